import { expect } from 'chai';
import { chmodSync, readFileSync, renameSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { Context } from '../../../common/context.js';
import { StartupError } from '../../../common/errors.js';
import type { FlagName } from '../../../common/flags/flags.js';
import { flagsFrom } from '../../../common/flags/values.js';
import { withLogContext } from '../../../common/log.js';
import { FileSink } from '../../../common/log/fileSink.js';
import { asctime } from '../../../common/log/format.js';
import { NovaLog } from '../../../common/log/novaLog.js';
import { temporaryFolder } from '../../support/temporary.js';

const now = 1_700_000_000_123;
const context = new Context({
  userId: 'demo',
  projectId: null,
  isAdmin: false,
  readDeleted: false,
  roles: [],
  remoteAddress: null,
  timestamp: '2011-10-01T00:00:00.000000',
  requestId: 'req',
  authToken: null,
  strategy: 'noauth',
});

function memoryLog(flags: Partial<Record<FlagName, unknown>> = {}): { log: NovaLog; text: () => string } {
  let text = '';
  const sink = {
    write: (line: string) => void (text += line),
    reopen: () => undefined,
    flushSync: () => undefined,
    close: async () => undefined,
  };
  return {
    log: new NovaLog({ program: 'nova-test', flags: flagsFrom(flags), clock: { now: () => now }, pid: 42, sink }),
    text: () => text,
  };
}

describe('log lines', () => {
  it('have the form of Nova, within a request and without', () => {
    const { log, text } = memoryLog({ verbose: true });
    const logger = log.logger('nova.compute');
    logger.audit('hello');
    withLogContext(context, () => logger.warn('there'));
    logger.debug('deep');
    const time = asctime(now);
    expect(text()).to.equal(
      `${time} AUDIT nova.compute [-] hello\n` +
        `${time} WARNING nova.compute [req demo None] there\n` +
        `${time} DEBUG nova.compute [-] deep from (pid=42)\n`,
    );
    expect(time).to.match(/^2023-11-1\d \d\d:\d\d:\d\d,123$/);
  });

  it('name the request which they belong to, whatever else runs at the time', async () => {
    const { log, text } = memoryLog();
    const logger = log.logger('nova.rpc');
    const work = (requestId: string): Promise<void> =>
      withLogContext(new Context({ ...context, requestId }), async () => {
        for (let step = 0; step < 3; step += 1) {
          await new Promise((resolve) => setTimeout(resolve, 1));
          logger.audit(`of ${requestId}`);
        }
      });
    await Promise.all(['a', 'b', 'c'].map(work));
    const lines = text().trimEnd().split('\n');
    expect(lines).to.have.length(9);
    for (const line of lines) expect(line).to.match(/\[(\w) demo None\] of \1$/);
  });

  it('prefix a trace, and further lines of a message, so that none can be forged', () => {
    const { log, text } = memoryLog();
    const error = new Error('bad');
    error.stack = 'Error: bad\n    at x';
    log.logger('a.b').error('one\n2011 CRITICAL forged\u001b[2J', error);
    const [first, ...rest] = text().split('\n');
    expect(first).to.match(/ ERROR a\.b \[-\] one$/);
    expect(rest).to.deep.equal([
      '(a.b): TRACE: 2011 CRITICAL forged\\x1b[2J',
      '(a.b): TRACE: Error: bad',
      '(a.b): TRACE:     at x',
      '(a.b): TRACE: ',
      '',
    ]);
  });

  it('follow verbose and default_log_levels', () => {
    const { log, text } = memoryLog({ default_log_levels: ['amqplib=WARN', 'amqplib.x=DEBUG'] });
    log.logger('nova').debug('1');
    log.logger('amqplib.y').info('2');
    log.logger('amqplib.x').debug('3');
    log.logger('amqplibrary').info('4');
    expect(text().match(/\] \d/g)).to.deep.equal(['] 3', '] 4']);
    expect(() => memoryLog({ default_log_levels: ['amqplib'] })).to.throw(StartupError);
  });

  it('take formats of Python', () => {
    const { log, text } = memoryLog({
      logging_default_format_string: '%(levelname)-8s|%(lineno)d|%(name)5s 100%% %(message)s',
    });
    log.logger('nova').info('x');
    expect(text()).to.equal('INFO    |-| nova 100% x\n');
    expect(() => memoryLog({ logging_default_format_string: '%q' })).to.throw(
      StartupError,
      '--logging_default_format_string',
    );
  });

  it('are JSON objects when asked', () => {
    const { log, text } = memoryLog({ log_json: true });
    withLogContext(context, () => log.logger('nova').info('a\n"b" password=hunter2'));
    expect(JSON.parse(text())).to.deep.equal({
      time: '2023-11-14T22:13:20.123Z',
      level: 'INFO',
      program: 'nova-test',
      pid: 42,
      logger: 'nova',
      request_id: 'req',
      user_id: 'demo',
      project_id: null,
      message: 'a\n"b" password=***',
    });
  });
});

describe('a log file', () => {
  const file = (): string => join(temporaryFolder('log'), 'nova.log');

  it('has the mode of the flag, and everything once it is closed', async () => {
    const path = file();
    const sink = new FileSink(path, 0o640, { now: () => 0 });
    for (let line = 0; line < 1000; line += 1) sink.write(`${line}\n`);
    await sink.close();
    expect(readFileSync(path, 'utf8')).to.equal(Array.from({ length: 1000 }, (_, line) => `${line}\n`).join(''));
    expect(statSync(path).mode & 0o777).to.equal(0o640);
  });

  it('is opened anew after a rotation, with and without a signal', async () => {
    const path = file();
    let time = 0;
    const sink = new FileSink(path, 0o644, { now: () => time });
    sink.write('one\n');
    await new Promise((resolve) => setImmediate(resolve));
    renameSync(path, `${path}.1`);
    sink.reopen();
    sink.write('two\n');
    await new Promise((resolve) => setTimeout(resolve, 50));
    renameSync(path, `${path}.2`);
    time = 5000;
    sink.write('three\n');
    await sink.close();
    const texts = [`${path}.1`, `${path}.2`, path].map((name) => readFileSync(name, 'utf8'));
    expect(texts).to.deep.equal(['one\n', 'two\n', 'three\n']);
  });

  it('loses lines, and no more, while the disk is full', async () => {
    const sink = new FileSink('/dev/full', 0o666, { now: () => 0 });
    sink.write('lost\n');
    await new Promise((resolve) => setTimeout(resolve, 50));
    sink.write('lost as well\n');
    await sink.close();
  });

  it('which cannot be written is a sentence', () => {
    const path = file();
    chmodSync(join(path, '..'), 0o500);
    expect(() => new FileSink('/nowhere/nova.log', 0o644, { now: () => 0 })).to.throw(
      StartupError,
      '/nowhere/nova.log',
    );
  });
});
