import { expect } from 'chai';
import { listen, type HttpListener } from '../../../common/http/listen.js';
import { percentEncode } from '../../../common/auth/signing.js';
import type { Db } from '../../../common/db/db.js';
import { action, type Ec2Actions } from '../../../nova-api/ec2/action.js';
import { filtersParam } from '../../../nova-api/ec2/filters.js';
import { group, list, text } from '../../../nova-api/ec2/params.js';
import { queryV4, signedV2 } from '../../support/ec2.js';
import { admin, openTestDoor } from '../../support/ec2Door.js';
import { testRuntime, type MemoryLog } from '../../support/runtime.js';

const actions: Ec2Actions = {
  DescribeThings: action({
    roles: 'all',
    params: { Thing: list(group({ Name: text })), Placement: group({ Zone: text }), Filter: filtersParam },
    run: async (_cloud, _context, params) => ({ names: params.Thing.map((thing) => thing?.Name ?? '') }),
  }),
};
/** Names which every object of JavaScript has something under. */
const inherited = ['constructor', '__proto__', 'toString', 'hasOwnProperty'];

describe('EC2: names which every object knows', () => {
  let db: Db;
  let log: MemoryLog;
  let listener: HttpListener;
  let host: string;
  before(async () => {
    const made = await openTestDoor(actions);
    ({ db, log } = made);
    listener = await listen(testRuntime().runtime, made.ec2, { name: 'ec2', host: '127.0.0.1', port: 0 });
    host = `127.0.0.1:${listener.address.port}`;
  });
  after(async () => {
    await listener.stop(0);
    await db.close();
  });
  const ask = async (target: string, init: RequestInit = {}): Promise<string> => {
    const answer = await fetch(`http://${host}${target}`, init);
    return `${answer.status} ${/<Code>(.*?)</.exec(await answer.text())?.[1] ?? 'none'}`;
  };

  it('are no headers which were signed', async () => {
    const body = Buffer.from('Action=DescribeThings&Version=1');
    const { url, headers } = queryV4({ ...admin, host, body, now: Date.now(), expires: 600 });
    const send = (target: string): Promise<string> => ask(target, { method: 'POST', body, headers });
    expect(await send(url)).to.equal('200 none');
    for (const name of inherited) {
      const named = url.replace('SignedHeaders=host', `SignedHeaders=${percentEncode(`host;${name}`)}`);
      expect(await send(named), name).to.equal('403 SignatureDoesNotMatch');
    }
    const scope = 'akey:proj/20110922/nova/ec2/aws4_request';
    const authorization = `AWS4-HMAC-SHA256 Credential=${scope}, SignedHeaders=host;constructor, Signature=${'0'.repeat(64)}`;
    const signed = { authorization, 'x-amz-date': '20110922T120000Z' };
    expect(await ask('/services/Cloud?Action=DescribeThings&Version=1', { headers: signed })).to.equal(
      '403 SignatureDoesNotMatch',
    );
  });

  it('are parameters like others', async () => {
    for (const name of inherited) {
      const params = {
        [name]: 'x',
        [`Thing.1.${name}`]: 'x',
        [`Thing.${name}.Name`]: 'x',
        [`Placement.${name}.${name}`]: 'x',
        'Filter.1.Name': name,
        'Filter.1.Value.1': name,
      };
      expect(await ask(signedV2('DescribeThings', params, { ...admin, host }).url), name).to.equal('200 none');
      expect(await ask(signedV2(name, params, { ...admin, host }).url), name).to.equal('400 InvalidAction');
    }
    expect(log.lines.filter((line) => /^(ERROR|CRITICAL)/.test(line))).to.deep.equal([]);
  });
});
