import { expect } from 'chai';
import type { Context } from '../../../common/context.js';
import type { Db } from '../../../common/db/db.js';
import { addProjectRole } from '../../../common/db/projects.js';
import { addGlobalRole, modifyUser, removeGlobalRole } from '../../../common/db/users.js';
import { ApiError, DBError, InstanceNotFound } from '../../../common/errors.js';
import type { FlagName } from '../../../common/flags/flags.js';
import { action, done, netadmin, sysadmin, type Ec2Actions } from '../../../nova-api/ec2/action.js';
import { list, required, text } from '../../../nova-api/ec2/params.js';
import type { AuthMode } from '../../../nova-api/ec2/paste.js';
import type { Ec2Door } from '../../../nova-api/ec2/server.js';
import { doorRequest, signedV0, signedV2 } from '../../support/ec2.js';
import { admin, bodyOf, codeOf, demo, joe, openTestDoor, outcome } from '../../support/ec2Door.js';
import type { MemoryLog } from '../../support/runtime.js';

/** What the actions below were called with. */
interface Calls {
  contexts: Context[];
  params: unknown[];
}

function testActions(calls: Calls): Ec2Actions {
  const note = (context: Context, params: unknown): void => {
    calls.contexts.push(context);
    calls.params.push(params);
  };
  return {
    DescribeThings: action({
      roles: 'all',
      params: { ThingId: list(text) },
      async run(_cloud, context, params) {
        note(context, params);
        return { thingSet: params.ThingId };
      },
    }),
    CreateThing: action({
      roles: sysadmin,
      params: { Name: required(text), UserData: text },
      async run(_cloud, context, params) {
        note(context, params);
        return done;
      },
    }),
    OpenThing: action({ roles: netadmin, params: {}, run: async () => done }),
    ResetThing: action({ roles: [], params: {}, run: async () => done }),
    DescribeBugs: action({
      roles: 'all',
      params: { Kind: text },
      async run(_cloud, _context, { Kind: kind }) {
        if (kind === 'missing') throw new InstanceNotFound(10);
        if (kind === 'api') throw new ApiError('<no>\nforged line');
        throw new TypeError('undefined is not a password');
      },
    }),
  };
}

describe('EC2 door', () => {
  let db: Db;
  let calls: Calls;
  let log: MemoryLog;
  const opened: Db[] = [];

  async function door(flags: Partial<Record<FlagName, unknown>> = {}, mode: AuthMode = 'keys'): Promise<Ec2Door> {
    calls = { contexts: [], params: [] };
    const made = await openTestDoor(testActions(calls), { flags, mode });
    ({ db, log } = made);
    opened.push(db);
    return made.ec2;
  }
  afterEach(async () => {
    for (const database of opened.splice(0)) await database.close();
  });

  it('answers a signed request with XML, its request id and the context of its caller', async () => {
    const ec2 = await door();
    for (const method of ['GET', 'POST'] as const) {
      for (const path of ['/services/Cloud', '/services/Cloud/', '/services/Cloud/below/it']) {
        const response = await ec2.handle(
          signedV2('DescribeThings', { 'ThingId.2': 'b', 'ThingId.1': 'a' }, { ...admin, method, path }),
        );
        expect(response.status).to.equal(200);
        expect(response.headers).to.deep.equal({ 'content-type': 'text/xml' });
        const context = calls.contexts.at(-1)!;
        expect(response.body).to.equal(
          '<?xml version="1.0" ?><DescribeThingsResponse xmlns="http://ec2.amazonaws.com/doc/2009-11-30/">' +
            `<requestId>${context.requestId}</requestId><thingSet><item>a</item><item>b</item></thingSet></DescribeThingsResponse>`,
        );
        expect(context).to.include({
          userId: 'admin',
          projectId: 'proj',
          isAdmin: true,
          remoteAddress: '192.0.2.7',
          readDeleted: false,
        });
        expect(context.requestId).to.match(/^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}$/);
      }
    }
  });

  it('verifies a request with a doubled slash, which 2011.3 collapses', async () => {
    const ec2 = await door();
    const request = signedV2('DescribeThings', {}, { ...admin, path: '/services/Cloud/' });
    expect(await outcome(ec2, { ...request, url: request.url.replace('/services/', '/services//') })).to.equal(
      '200 none',
    );
  });

  it('lists the metadata versions for paths which it does not know', async () => {
    const ec2 = await door();
    for (const url of [
      '/',
      '/services/cloud/',
      '/services/Eucalyptus',
      '/services/Cloudy',
      '/2011-01-01/meta-data',
      '/%zz',
    ]) {
      const response = await ec2.handle(doorRequest({ url }));
      expect(response.status, url).to.equal(200);
      expect(response.headers['content-type']).to.equal('text/html; charset=UTF-8');
      expect(bodyOf(response).split('\n')).to.deep.equal([
        '1.0',
        '2007-01-19',
        '2007-03-01',
        '2007-08-29',
        '2007-10-10',
        '2007-12-15',
        '2008-02-01',
        '2008-09-01',
        '2009-04-04',
        '',
      ]);
    }
    expect((await ec2.handle(doorRequest({ url: '/latest/meta-data' }))).status).to.equal(404);
  });

  it('refuses callers whom it cannot know, with 403, and changes nothing', async () => {
    const ec2 = await door();
    const call = (by: { access: string; secret: string }): Promise<string> =>
      outcome(ec2, signedV2('CreateThing', { Name: 'n' }, by));
    expect(await call(admin)).to.equal('200 none');
    expect(await call({ ...admin, secret: 'wrong' })).to.equal('403 SignatureDoesNotMatch');
    expect(await call({ ...admin, access: 'nope:proj' })).to.equal('403 AuthFailure');
    expect(await call({ ...admin, access: 'AKEY:proj' })).to.equal('403 AuthFailure');
    expect(await call({ ...admin, access: 'akey:nope' })).to.equal('403 AuthFailure');
    expect(await call({ ...admin, access: 'akey:proj:x' })).to.equal('403 AuthFailure');
    expect(await call({ ...admin, access: 'akey' }), 'no project named admin').to.equal('403 AuthFailure');
    expect(await call({ ...demo, access: 'dkey:proj' }), 'not a member').to.equal('403 AuthFailure');
    expect(await call({ ...demo, access: 'dkey' }), 'project named as the user').to.equal('200 none');
    expect(await call({ ...demo, access: 'dkey:' })).to.equal('200 none');
    expect(await call({ access: 'vkey:void', secret: '' }), 'no secret').to.equal('403 SignatureDoesNotMatch');
    expect(calls.params).to.have.length(3);
    expect(log.lines.join('\n')).not.to.match(/skey|dsecret/);
  });

  it('authorizes by the roles which hold globally and in the project', async () => {
    const ec2 = await door();
    const call = (name: string, by = joe): Promise<string> => outcome(ec2, signedV2(name, { Name: 'n' }, by));
    expect(await call('DescribeThings')).to.equal('200 none');
    expect(await call('CreateThing')).to.equal('401 UnauthorizedOperation');
    await addGlobalRole(db, 'joe', 'sysadmin');
    expect(await call('CreateThing'), 'only global').to.equal('401 UnauthorizedOperation');
    await addProjectRole(db, 'joe', 'demo', 'sysadmin');
    expect(await call('CreateThing')).to.equal('200 none');
    expect(calls.contexts.at(-1)!.roles).to.deep.equal(['sysadmin']);
    await removeGlobalRole(db, 'joe', 'sysadmin');
    expect(await call('CreateThing'), 'only local').to.equal('401 UnauthorizedOperation');
    expect(await call('CreateThing', demo), 'project manager').to.equal('200 none');
    expect(calls.contexts.at(-1)!.roles).to.deep.equal(['projectmanager']);
    expect(await call('OpenThing', demo)).to.equal('401 UnauthorizedOperation');
    expect(await call('ResetThing', demo)).to.equal('401 UnauthorizedOperation');
    expect(await call('ResetThing', admin)).to.equal('200 none');
    await addGlobalRole(db, 'joe', 'itsec');
    expect(await call('ResetThing'), 'itsec is administrator').to.equal('200 none');
    expect(calls.contexts.at(-1)!.isAdmin, 'before').to.equal(false);
  });

  it('sees changed keys at once', async () => {
    const ec2 = await door();
    await modifyUser(db, 'demo', { secretKey: 'newer' });
    expect(await outcome(ec2, signedV2('DescribeThings', {}, demo))).to.equal('403 SignatureDoesNotMatch');
    expect(await outcome(ec2, signedV2('DescribeThings', {}, { ...demo, secret: 'newer' }))).to.equal('200 none');
  });

  it('asks the database at most twice for a request, however many come at once', async () => {
    const ec2 = await door();
    let statements = 0;
    for (const name of ['all', 'first', 'run'] as const) {
      const real = db[name].bind(db) as (...args: unknown[]) => Promise<unknown>;
      (db as unknown as Record<string, unknown>)[name] = (...args: unknown[]) => {
        statements++;
        return real(...args);
      };
    }
    expect(await outcome(ec2, signedV2('DescribeThings', {}, demo))).to.equal('200 none');
    expect(statements).to.equal(2);
    await Promise.all(Array.from({ length: 20 }, () => ec2.handle(signedV2('DescribeThings', {}, demo))));
    expect(statements).to.be.below(2 + 40);
  });

  it('answers unknown actions, missing and malformed parameters with 400', async () => {
    const ec2 = await door();
    const call = (name: string, params: Record<string, string> = {}): Promise<string> =>
      outcome(ec2, signedV2(name, params, admin));
    expect(await call('NoSuchThing')).to.equal('400 InvalidAction');
    expect(await call('')).to.equal('400 InvalidAction');
    expect(await call('constructor')).to.equal('400 InvalidAction');
    expect(await call('__proto__')).to.equal('400 InvalidAction');
    expect(await call('Describe Things><')).to.equal('400 InvalidAction');
    expect(await call('CreateThing')).to.equal('400 MissingParameter');
    expect(await call('DescribeThings', { 'ThingId.1': '\u0001' })).to.equal('400 InvalidParameterValue');
    expect(await outcome(ec2, doorRequest({ url: '/services/Cloud/' }))).to.equal('400 MissingParameter');
    const response = await ec2.handle(signedV2('NoSuchThing', {}, admin));
    expect(bodyOf(response)).to.match(/^<\?xml version="1.0"\?>\n<Response><Errors><Error><Code>InvalidAction<\/Code>/);
    expect(bodyOf(response)).to.match(/<Message>The action NoSuchThing is not valid for this web service.<\/Message>/);
    expect(bodyOf(response)).to.match(/<RequestID>[0-9a-f-]{36}<\/RequestID><\/Response>$/);
  });

  it('finds an action by the spelling of its Python method, for administrators only', async () => {
    const ec2 = await door();
    const response = await ec2.handle(signedV2('describe_things', {}, admin));
    expect(bodyOf(response)).to.match(/<describe_thingsResponse .*<\/describe_thingsResponse>$/);
    expect(await outcome(ec2, signedV2('describeThings', {}, admin))).to.equal('200 none');
    expect(await outcome(ec2, signedV2('describeThings', {}, demo))).to.equal('401 UnauthorizedOperation');
  });

  it('shows foreseen errors escaped and hides the others', async () => {
    const ec2 = await door();
    const missing = await ec2.handle(signedV2('DescribeBugs', { Kind: 'missing' }, admin));
    expect(bodyOf(missing)).to.contain(
      '<Code>InstanceNotFound</Code><Message>Instance i-0000000a could not be found.</Message>',
    );
    const api = await ec2.handle(signedV2('DescribeBugs', { Kind: 'api' }, admin));
    expect(bodyOf(api)).to.contain('<Code>ApiError</Code><Message>&lt;no&gt;\nforged line</Message>');
    expect(log.lines.filter((line) => line.includes('\nforged'))).to.deep.equal([]);
    const bug = await ec2.handle(signedV2('DescribeBugs', {}, admin));
    expect(bug.status).to.equal(400);
    expect(bodyOf(bug)).to.contain('<Code>UnknownError</Code><Message>An unknown error has occurred.');
    expect(log.lines.some((line) => line.startsWith('ERROR nova.api.ec2') && line.includes('TypeError'))).to.equal(
      true,
    );
    const aws = await door({ ec2_error_codes: 'aws' });
    expect(await outcome(aws, signedV2('DescribeBugs', { Kind: 'missing' }, admin))).to.equal(
      '400 InvalidInstanceID.NotFound',
    );
  });

  it("keeps the administrators' endpoint to administrators", async () => {
    const ec2 = await door();
    expect(await outcome(ec2, signedV2('DescribeUsers', {}, { ...demo, path: '/services/Admin/' }))).to.equal(
      '401 UnauthorizedOperation',
    );
    expect(await outcome(ec2, signedV2('DescribeUsers', {}, { ...admin, path: '/services/Admin/' }))).to.equal(
      '400 InvalidAction',
    );
    expect(await outcome(ec2, signedV2('DescribeThings', {}, { ...admin, path: '/services/Admin' }))).to.equal(
      '400 InvalidAction',
    );
  });

  it('takes everybody for an administrator with noauth', async () => {
    const ec2 = await door({}, 'noauth');
    const anybody = { access: 'someone:anyproj', secret: 'whatever' };
    expect(await outcome(ec2, signedV2('ResetThing', {}, anybody))).to.equal('200 none');
    expect(
      await outcome(
        ec2,
        signedV2('DescribeThings', { SignatureVersion: '9', SignatureMethod: 'x' }, { ...anybody, access: 'someone' }),
      ),
    ).to.equal('200 none');
    const fromHere = { remoteAddress: '192.0.2.7' };
    expect(calls.contexts[0]).to.include({ userId: 'someone', projectId: 'someone', isAdmin: true, ...fromHere });
    const authorization = 'AWS4-HMAC-SHA256 Credential=a:b/20110922/r/s/aws4_request, SignedHeaders=host, Signature=0';
    const headers = { authorization, 'x-amz-date': '20110922T120000Z' };
    expect(
      await outcome(ec2, doorRequest({ url: '/services/Cloud?Action=DescribeThings&Version=1', headers })),
    ).to.equal('200 none');
    expect(calls.contexts[1]).to.include({ userId: 'a', projectId: 'b' });
    const unsigned = doorRequest({ url: '/services/Cloud/?Action=DescribeThings&Version=1' });
    expect(await outcome(ec2, unsigned)).to.equal('400 MissingParameter');
  });

  it('checks the time of a request where the flag says so, and an end which the client sets always', async () => {
    const now = Date.now();
    const iso = (offset: number): string => `${new Date(now + offset * 1000).toISOString().slice(0, 19)}Z`;
    const ec2 = await door();
    const call = (door: Ec2Door, params: Record<string, string>): Promise<string> =>
      outcome(door, signedV2('DescribeThings', params, admin));
    expect(await call(ec2, { Timestamp: 'yesterday' })).to.equal('200 none');
    expect(await call(ec2, { Timestamp: iso(-1e6) })).to.equal('200 none');
    expect(await call(ec2, { Expires: iso(-60) })).to.equal('400 RequestExpired');
    expect(await call(ec2, { Expires: iso(600) })).to.equal('200 none');
    const strict = await door({ ec2_timestamp_window: 900 });
    expect(await call(strict, { Timestamp: iso(-800) })).to.equal('200 none');
    expect(await call(strict, { Timestamp: iso(-1000) })).to.equal('400 RequestExpired');
    expect(await call(strict, { Timestamp: iso(1000) })).to.equal('400 RequestExpired');
    expect(await call(strict, { Timestamp: 'yesterday' })).to.equal('400 RequestExpired');
  });

  it('lets no end which nobody signed stand for the time of a request of version 0', async () => {
    const iso = (offset: number): string => `${new Date(Date.now() + offset * 1000).toISOString().slice(0, 19)}Z`;
    const strict = await door({ ec2_timestamp_window: 900 });
    const call = (params: Record<string, string>): Promise<string> =>
      outcome(strict, signedV0('DescribeThings', params, admin));
    expect(await call({ Timestamp: iso(-800) })).to.equal('200 none');
    const ends: Record<string, string>[] = [{}, { Expires: '2999-01-01T00:00:00Z' }, { Expires: iso(600) }];
    for (const end of ends) {
      for (const time of ['2011-09-22T12:00:00Z', iso(1000)]) {
        expect(await call({ Timestamp: time, ...end })).to.equal('400 RequestExpired');
      }
    }
    expect(await call({ Timestamp: iso(-800), Expires: iso(-60) }), 'says nothing').to.equal('200 none');
  });

  it('writes the access line of 2011.3 and audits what changes, without a secret', async () => {
    const ec2 = await door({ use_forwarded_for: true, forwarded_for_proxies: ['192.0.2.0/24'] });
    const request = signedV2('CreateThing', { Name: 'web\nforged', UserData: 'hush' }, { ...demo, method: 'POST' });
    const headers = { ...request.headers, 'user-agent': 'Boto/2.0', 'x-forwarded-for': '10.9.9.9, 198.51.100.4' };
    await ec2.handle({ ...request, headers });
    const { requestId, remoteAddress } = calls.contexts[0]!;
    expect(remoteAddress).to.equal('198.51.100.4');
    const access = log.lines.find((line) => line.startsWith('INFO nova.api '))!;
    expect(access).to.match(
      /^INFO nova.api \[[0-9a-f-]{36}\] \d+\.\d{6}s 198\.51\.100\.4 POST \/services\/Cloud\/ CloudController:CreateThing 200 \[Boto\/2\.0\] application\/x-www-form-urlencoded; charset=UTF-8 text\/xml$/,
    );
    expect(access).to.contain(requestId);
    const audits = log.lines.filter((line) => line.startsWith('AUDIT'));
    expect(audits).to.have.length(2);
    expect(audits[0]).to.match(/Authenticated Request For demo:demo$/);
    expect(audits[1]).to.match(/CreateThing Name=web\\u000aforged$/);
    expect(log.lines.join('\n')).not.to.match(/hush|dsecret|Signature/);
    await ec2.handle(signedV2('DescribeThings', {}, { ...demo, secret: 'wrong' }));
    expect(log.lines.at(-1)).to.match(/CloudController:DescribeThings 403 \[None\] None text\/xml$/);
    expect(log.lines.filter((line) => line.startsWith('AUDIT')).at(-1)).to.match(
      /Failed authorization for access key dkey:demo from 192\.0\.2\.7/,
    );
  });

  it('refuses a body beyond ec2_max_body with 413', async () => {
    const ec2 = await door({ ec2_max_body: 1000 });
    const body = Buffer.alloc(1001, 'a');
    expect(await outcome(ec2, doorRequest({ method: 'POST', url: '/services/Cloud/', body }))).to.equal(
      '413 RequestEntityTooLarge',
    );
  });

  it('answers 503 with Retry-After while the database is away', async () => {
    const ec2 = await door();
    db.all = async () => {
      throw new DBError('connection refused', 'lost');
    };
    const response = await ec2.handle(signedV2('DescribeThings', {}, admin));
    expect(`${response.status} ${codeOf(response)}`).to.equal('503 Unavailable');
    expect(response.headers['retry-after']).to.equal('5');
  });
});
