import { expect } from 'chai';
import { adminContext } from '../../../common/context.js';
import { NovaPlainError, PythonError, RemoteError } from '../../../common/errors.js';
import { checkArguments } from '../../../common/rpc/arguments.js';
import {
  encodeJson,
  isPoison,
  parsePythonJson,
  parseReply,
  parseRequest,
  requestBody,
  resultBodies,
} from '../../../common/rpc/envelope.js';
import { failureOf } from '../../../common/rpc/failure.js';
import { ReplyGatherer } from '../../../common/rpc/replies.js';
import { createNotifier } from '../../../common/rpc/notifier.js';
import type { Transport } from '../../../common/rpc/transport.js';
import { testRuntime } from '../../support/runtime.js';

const { runtime } = testRuntime();
const json = { contentType: 'application/json', contentEncoding: 'utf-8' };

describe('envelopes', () => {
  it('are ASCII, have exactly the keys of 2011.3 and never an undefined argument', () => {
    const context = adminContext(runtime);
    const text = requestBody(context, 'm', { a: undefined, b: 'ü\u007f😀', c: [undefined] }, 'f'.repeat(32));
    expect(text).to.match(/^[\x20-\x7e]*$/);
    expect(JSON.parse(text)).to.deep.equal({
      ...context.toWire(),
      method: 'm',
      args: { a: null, b: 'ü\u007f😀', c: [null] },
      _msg_id: 'f'.repeat(32),
    });
    expect(Object.keys(JSON.parse(requestBody(context, 'm', {})) as object)).to.have.length(12);
    expect(encodeJson('\u007f')).to.equal('"\\u007f"');
  });

  it('of results are two messages, both empty for none', () => {
    const end = { result: null, failure: null };
    expect(resultBodies(undefined).map((body) => JSON.parse(body) as unknown)).to.deep.equal([end, end]);
    expect(resultBodies(false).map((body) => JSON.parse(body) as unknown)).to.deep.equal([
      { result: false, failure: null },
      end,
    ]);
  });

  it('from Python may hold NaN and infinities, outside of strings', () => {
    expect(parsePythonJson('{"a": NaN, "b": [-Infinity, Infinity], "c": "NaN \\" Infinity"}')).to.deep.equal({
      a: null,
      b: [null, null],
      c: 'NaN " Infinity',
    });
    expect(() => parsePythonJson('{"a": nan}')).to.throw(SyntaxError);
    expect(parseReply('[1]')).to.equal(null);
    expect(parseReply('{"failure": 5}')).to.equal(null);
  });

  it('with mended contexts are read, and what goes on is in the form which Python reads', () => {
    const context = adminContext(runtime).toWire();
    const read = (body: object): ReturnType<typeof parseRequest> =>
      parseRequest({ ...json, body: JSON.stringify(body) }, runtime);
    for (const [sent, kept] of [
      ['2011-09-30T08:15:02.004711Z', '2011-09-30T08:15:02.004000'],
      ['2011-09-30T08:15:02', '2011-09-30T08:15:02.000000'],
      ['2011-09-30T08:15:02.004711', '2011-09-30T08:15:02.004711'],
    ]) {
      const request = read({ ...context, _context_timestamp: sent, _context_foo: 1, method: 'm' });
      if (isPoison(request)) throw new Error(request.reason);
      expect(request.context.timestamp).to.equal(kept);
      expect(Object.keys(request.context.toWire())).to.have.length(10);
    }
    const bare = read({ method: 'm' });
    if (isPoison(bare)) throw new Error(bare.reason);
    expect(bare.context).to.include({ userId: null, isAdmin: false });
    expect(bare.context.timestamp).to.match(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}$/);
  });

  it('are poison without an object, a method or arguments, and tell whom to answer where that can be read', () => {
    const id = 'a'.repeat(32);
    const poison = (body: string, type = json): unknown => {
      const parsed = parseRequest({ ...type, body }, runtime);
      return isPoison(parsed) ? [parsed.messageId, parsed.pythonClass] : parsed;
    };
    expect(poison(`{"method": "m", "_msg_id": "${id}", "args": `)).to.deep.equal([id, 'ValueError']);
    expect(poison('[1, 2]')).to.deep.equal([null, 'AttributeError']);
    expect(poison(`{"_msg_id": "${id}", "args": {}}`)).to.deep.equal([id, 'AttributeError']);
    expect(poison(`{"_msg_id": "${id}", "method": "m", "args": null}`)).to.deep.equal([id, 'AttributeError']);
    expect(poison(`{"_msg_id": "${id}", "method": "m"}`, { ...json, contentType: 'text/plain' })).to.deep.equal([
      id,
      'ValueError',
    ]);
    expect(poison(`{"_msg_id": "../${id}", "args": 5}`)).to.deep.equal([null, 'AttributeError']);
  });
});

describe('failures', () => {
  it('carry the name of our errors, Error for others, and the whole text of a remote one', () => {
    expect(failureOf(new NovaPlainError('x')).slice(0, 2)).to.deep.equal(['Error', 'x']);
    expect(failureOf(new RangeError('x'))[0]).to.equal('Error');
    expect(failureOf('text').slice(0, 2)).to.deep.equal(['Error', 'text']);
    expect(failureOf(new PythonError('IndexError', 'list index out of range'))[0]).to.equal('IndexError');
    expect(failureOf(new RemoteError('NoMoreFixedIps', 'none', ["it's\n"])).slice(0, 2)).to.deep.equal([
      'RemoteError',
      "NoMoreFixedIps none\n[u'it\\'s\\n']",
    ]);
  });
});

describe('the replies of a call', () => {
  const gathered = (...replies: object[]): unknown[] => {
    const gatherer = new ReplyGatherer();
    return replies.map((reply) => {
      const step = gatherer.accept(JSON.stringify(reply));
      return step.kind === 'end' ? [step.reply.result, step.reply.failure, step.rest] : step.kind;
    });
  };
  const none = { result: null, failure: null };

  it('end with the null after the result; a null result has one of its own', () => {
    expect(gathered({ result: 5, failure: null }, none)).to.deep.equal(['more', [5, null, 'clean']]);
    expect(gathered(none)).to.deep.equal([[null, null, 'ending']]);
  });

  it('may say that they end, as those of later releases do', () => {
    const ending = { ...none, ending: true };
    expect(gathered({ result: [], failure: null }, ending)).to.deep.equal(['more', [[], null, 'clean']]);
    expect(gathered(none)).to.deep.equal([[null, null, 'ending']]);
    expect(gathered({ ...none, failure: ['ApiError', 'no', []], ending: true })).to.deep.equal([
      [null, ['ApiError', 'no', []], 'unsure'],
    ]);
  });
});

describe('arguments of a message', () => {
  it('are checked with the texts of Python', () => {
    const text = (spec: Parameters<typeof checkArguments>[1], args: Record<string, unknown>): string => {
      try {
        checkArguments('delete_snapshot', spec, args);
      } catch (error) {
        return `${(error as Error).name}: ${(error as Error).message}`;
      }
      return 'fine';
    };
    const spec = { required: ['snapshot_id'] };
    expect(text(spec, { snapshot_id: 1, bogus: 2 })).to.equal(
      "TypeError: delete_snapshot() got an unexpected keyword argument 'bogus'",
    );
    expect(text(spec, {})).to.equal('TypeError: delete_snapshot() takes exactly 3 arguments (2 given)');
    expect(text({ required: ['a', 'b'], optional: ['c'] }, { c: 1 })).to.equal(
      'TypeError: delete_snapshot() takes at least 4 arguments (3 given)',
    );
    expect(text({ required: ['a'], open: true }, { z: 1 })).to.equal(
      'TypeError: delete_snapshot() takes exactly 3 arguments (2 given)',
    );
    expect(text({ required: ['a'], open: true }, { a: null, z: 1 })).to.equal('fine');
  });
});

describe('notifications', () => {
  it('go out without secrets, and a transport which fails is only logged', async () => {
    const rabbit = testRuntime({ notification_driver: 'nova.notifier.rabbit_notifier' });
    const sent: [string, Record<string, unknown>][] = [];
    const transport = {
      publish: (key: string, body: string) => {
        sent.push([key, JSON.parse(body) as Record<string, unknown>]);
        return Promise.reject(new Error('broker away'));
      },
    } as unknown as Transport;
    const payload = {
      args: { admin_password: 's3cret', new_pass: 's3cret', instance_id: 4 },
      context: { auth_token: 's3cret', user_id: 'u' },
    };
    await createNotifier(rabbit.runtime, transport)('ERROR', {
      event_type: 'run_instance',
      publisher_id: 'compute.cloud1',
      payload,
    });
    const [key, body] = sent[0]!;
    expect(key).to.equal('notifications.error');
    expect(JSON.stringify(body)).not.to.include('s3cret');
    expect(body).to.deep.include({
      priority: 'ERROR',
      payload: { args: { instance_id: 4 }, context: { user_id: 'u' } },
    });
    expect(body['timestamp']).to.match(/^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(\.\d{6})?$/);
    expect(Object.keys(body).filter((name) => name.startsWith('_context_'))).to.have.length(10);
    expect(rabbit.log.lines.join()).to.include('broker away').and.not.include('s3cret');
    expect(() =>
      createNotifier(testRuntime({ notification_driver: 'nova.notifier.pigeon' }).runtime, transport),
    ).to.throw('notification_driver');
  });
});
