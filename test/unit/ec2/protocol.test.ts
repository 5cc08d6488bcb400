import { expect } from 'chai';
import { parseStringPromise } from 'xml2js';
import type { DoorRequest } from '../../../common/http/door.js';
import { keyPairActions } from '../../../nova-api/ec2/keyPairs.js';
import { doorRequest, signedV2 } from '../../support/ec2.js';
import { bodyOf, codeOf, demo, openTestDoor, outcome, type TestDoor } from '../../support/ec2Door.js';

const endpoint = '/services/Cloud/';
const query = (params: Record<string, string>): string =>
  `${endpoint}?${Object.entries(params)
    .map(([name, value]) => `${encodeURIComponent(name)}=${encodeURIComponent(value)}`)
    .join('&')}`;
/** Everything which a request of signature version 2 has. */
const complete = {
  Action: 'DescribeKeyPairs',
  AWSAccessKeyId: demo.access,
  Signature: 'AAAA',
  SignatureMethod: 'HmacSHA256',
  SignatureVersion: '2',
  Timestamp: '2011-09-22T12:00:00Z',
  Version: '2009-11-30',
};
/** Values for one protocol parameter with which nothing may break. */
const values = [
  '',
  ' ',
  '-1',
  '3',
  '99999999999999999999',
  '__proto__',
  'constructor',
  'toString',
  ':',
  '::::',
  'dkey:',
  `'; DROP TABLE users; --`,
  '<&>',
  'x'.repeat(65_535),
  '\u{1f600}',
  '../../etc/passwd',
];
const scope = '20110922/nova/ec2/aws4_request';
const headers: Record<string, string>[] = [
  'AWS4-HMAC-SHA256',
  'AWS4-HMAC-SHA256 ',
  'AWS4-HMAC-SHA512 Credential=a',
  'AWS4-HMAC-SHA256 Credential=,SignedHeaders=,Signature=',
  'AWS4-HMAC-SHA256 Credential=dkey:demo, SignedHeaders=host, Signature=00',
  `AWS4-HMAC-SHA256 Credential=dkey:demo/${scope}, SignedHeaders=host, Signature=00`,
  `AWS4-HMAC-SHA256 Credential=/${scope}, SignedHeaders=host, Signature=00`,
  `AWS4-HMAC-SHA256 Credential=dkey:demo/x/${scope}, SignedHeaders=host;;;__proto__, Signature=zz`,
  `AWS4-HMAC-SHA256 Credential=dkey:demo/${scope}, SignedHeaders=date, Signature=00`,
  `AWS4-HMAC-SHA256 ${'Credential=dkey:demo/'.repeat(2000)}`,
  'Basic ZGtleTpkc2VjcmV0',
  'Bearer x',
  '\u0000\u0001',
].flatMap((authorization) =>
  ['20110922T120000Z', '', 'never', '99991399T999999Z', '2011-09-22'].map((date) => ({
    authorization,
    'x-amz-date': date,
  })),
);

describe('requests which are no requests of EC2', () => {
  let door: TestDoor;
  before(async () => {
    door = await openTestDoor(keyPairActions);
  });
  after(() => door.db.close());

  /** Status and code; throws unless the answer is a refusal in the form of one. */
  async function refusal(request: DoorRequest, what: string): Promise<string> {
    const response = await door.ec2.handle(request);
    const shown = `${what.slice(0, 300)}: ${response.status} ${bodyOf(response).slice(0, 300)}`;
    expect(response.status, shown).to.be.within(400, 499);
    expect(response.headers['content-type'], shown).to.equal('text/xml');
    expect(Object.keys((await parseStringPromise(bodyOf(response))) as object), shown).to.deep.equal(['Response']);
    expect(codeOf(response), shown).not.to.equal('UnknownError');
    expect(bodyOf(response).length, shown).to.be.below(1500);
    return `${response.status} ${codeOf(response)}`;
  }

  it('are refused whichever protocol parameter is missing or odd', async () => {
    for (const name of Object.keys(complete)) {
      const rest = Object.fromEntries(Object.entries(complete).filter(([other]) => other !== name));
      expect(await refusal(doorRequest({ url: query(rest) }), name)).to.match(/^400 MissingParameter|^403/);
      for (const value of values)
        await refusal(doorRequest({ url: query({ ...rest, [name]: value }) }), `${name}=${value}`);
    }
    for (const version of ['0', '1', '2', '4']) {
      await refusal(doorRequest({ url: query({ ...complete, SignatureVersion: version }) }), version);
    }
  });

  it('are refused with whatever there is in the header Authorization', async () => {
    for (const header of headers) {
      const url = `${endpoint}?Action=DescribeKeyPairs&Version=2009-11-30`;
      for (const method of ['GET', 'POST'])
        await refusal(doorRequest({ method, url, headers: header }), JSON.stringify(header));
    }
  });

  it('are refused with whatever there is in the parameters of version 4', async () => {
    const good: Record<string, string> = {
      'X-Amz-Algorithm': 'AWS4-HMAC-SHA256',
      'X-Amz-Credential': `${demo.access}/${scope}`,
      'X-Amz-Date': '20110922T120000Z',
      'X-Amz-Expires': '60',
      'X-Amz-SignedHeaders': 'host',
      'X-Amz-Signature': '00',
    };
    for (const name of Object.keys(good)) {
      for (const value of values) {
        const url = query({ Action: 'DescribeKeyPairs', Version: '2009-11-30', ...good, [name]: value });
        await refusal(doorRequest({ url }), `${name}=${value}`);
      }
    }
  });

  it('are refused when the body is too large, of another kind, or no form', async () => {
    const post = (body: Buffer, type = 'application/x-www-form-urlencoded'): DoorRequest =>
      doorRequest({ method: 'POST', url: endpoint, headers: { 'content-type': type }, body });
    expect(await refusal(post(Buffer.alloc(2 * 1024 * 1024 + 1, 'a')), '2 MiB')).to.equal('413 RequestEntityTooLarge');
    expect(await refusal(post(Buffer.from('&'.repeat(20_000))), 'only &')).to.equal('400 MissingParameter');
    expect(await refusal(post(Buffer.from('a&'.repeat(20_000))), '20000 parameters')).to.equal(
      '400 MalformedQueryString',
    );
    expect(await refusal(post(Buffer.from([0xff, 0xfe, 0x00])), 'bytes')).to.match(/^400/);
    expect(await refusal(post(Buffer.from('{"Action":"DescribeKeyPairs"}'), 'application/json'), 'JSON')).to.match(
      /^400/,
    );
    expect(
      await refusal(post(Buffer.from('<!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/passwd">]>'), 'text/xml'), 'XML'),
    ).to.match(/^400/);
  });

  it('leave the next request alone, and no alarm in the log', async () => {
    expect(await outcome(door.ec2, signedV2('DescribeKeyPairs', {}, demo))).to.equal('200 none');
    expect(door.log.lines.filter((line) => /^(ERROR|CRITICAL)/.test(line))).to.deep.equal([]);
  });

  it('is a dry run answered as one, when the caller may do it', async () => {
    const create = { KeyName: 'dry' };
    expect(await outcome(door.ec2, signedV2('CreateKeyPair', { ...create, DryRun: 'true' }, demo))).to.equal(
      '412 DryRunOperation',
    );
    expect(await outcome(door.ec2, signedV2('CreateKeyPair', { DryRun: 'true' }, demo))).to.equal(
      '400 MissingParameter',
    );
    expect(await door.db.all('SELECT id FROM key_pairs')).to.deep.equal([]);
    expect(await outcome(door.ec2, signedV2('CreateKeyPair', { ...create, DryRun: 'false' }, demo))).to.equal(
      '200 none',
    );
  });
});
