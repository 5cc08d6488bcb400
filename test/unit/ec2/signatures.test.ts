import { expect } from 'chai';
import { readdirSync, readFileSync } from 'node:fs';
import { readRequest, type Ec2Request } from '../../../nova-api/ec2/request.js';
import { parseTimestamp, readClaim } from '../../../nova-api/ec2/signatures.js';
import { doorRequest } from '../../support/ec2.js';
import { recordings } from '../../support/recordings.js';

interface Recorded {
  name: string;
  method: string;
  target: string;
  headers: Record<string, string>;
  body: string;
}
const folder = new URL('http/ec2/signed/', recordings);
/** Access keys of the recorded users. */
const secrets: Readonly<Record<string, string>> = { akey: 'skey', dkey: 'dsecret' };

function read(parts: {
  method: string;
  url: string;
  headers?: Record<string, string>;
  body?: string;
}): Promise<Ec2Request> {
  const { method, url, headers = {}, body = '' } = parts;
  return readRequest(doorRequest({ method, url, headers, body: Buffer.from(body) }), 100_000);
}

async function codeOf(work: () => unknown): Promise<string> {
  try {
    await work();
    return 'accepted';
  } catch (error) {
    return (error as { code?: string }).code ?? String(error);
  }
}

describe('EC2 signatures', () => {
  for (const file of readdirSync(folder).sort()) {
    it(`verifies what ${file.replace('.json', '')} sent to a live Nova, and refuses another secret`, async () => {
      const recorded = JSON.parse(readFileSync(new URL(file, folder), 'utf8')) as Recorded[];
      expect(recorded).not.to.be.empty;
      for (const { name, method, target, headers, body } of recorded) {
        const request = await read({ method, url: target, headers, body });
        const claim = readClaim(request);
        const secret = secrets[claim.accessKey.split(':')[0]!]!;
        expect(await codeOf(() => claim.verify(secret)), name).to.equal('accepted');
        expect(await codeOf(() => claim.verify(`${secret}x`)), name).to.equal('SignatureDoesNotMatch');
      }
    });
  }

  const old = {
    Action: 'DescribeInstances',
    'InstanceId.1': 'i-00000001',
    Timestamp: '2011-09-22T12:00:00Z',
    Version: '2009-11-30',
    AWSAccessKeyId: 'user:proj',
  };
  const v2 = { ...old, SignatureVersion: '2', SignatureMethod: 'HmacSHA256' };
  const vectors: [string, string, string, string, Record<string, string>, string][] = [
    // name, method, host, path, parameters, signature
    ['0', 'GET', '', '/services/Cloud/', { ...old, SignatureVersion: '0' }, 'qMRzkyb/GT7zK6e4JIrtQ8Utoks='],
    ['1', 'GET', '', '/services/Cloud/', { ...old, SignatureVersion: '1' }, 'AwaVT0kGu+18TeqXpPVzMQd26s4='],
    ['2', 'GET', 'api.example:8773', '/services/Cloud/', v2, 'dZqA4UPr6/069Cnxioc163RSviRrMrZtMJkHIySj48w='],
    ['2', 'POST', 'api.example:8773', '/services/Cloud/', v2, 'Q26178kk3ZjB6n+f6yTwOvTE8rbyLeWxK2e2K1NU9Eo='],
    ['2', 'GET', 'api.example:8773', '/services/Cloud', v2, 'OPneQN/QsF3FBcZrkHL59sNAG3lJaLHrCiL+a0HAcr0='],
    ['2', 'POST', 'api.example:8773', '/services/Cloud', v2, 's0lc8J6f2lSWqfJ8iZRUr5/Wlavb5CoSxv0HrBNSCgg='],
    [
      '2 with port dropped',
      'POST',
      'api.example:8773',
      '/services/Cloud/',
      v2,
      'ILKqWmrOEi5k8XGcYKKzr1e2CxEZd03hRGaNAV3lsO4=',
    ],
    [
      '2 with slashes doubled',
      'POST',
      'api.example:8773',
      '/services//Cloud/',
      v2,
      'Q26178kk3ZjB6n+f6yTwOvTE8rbyLeWxK2e2K1NU9Eo=',
    ],
  ];
  for (const [name, method, host, path, params, signature] of vectors) {
    it(`verifies version ${name}, ${method} ${path}`, async () => {
      const query = new URLSearchParams({ ...params, Signature: signature }).toString();
      const request =
        method === 'GET'
          ? await read({ method, url: `${path}?${query}`, headers: { host } })
          : await read({ method, url: path, headers: { host }, body: query });
      const claim = readClaim(request);
      expect(claim.signedAt).to.equal(Date.UTC(2011, 8, 22, 12));
      expect(await codeOf(() => claim.verify('SECRETKEY'))).to.equal('accepted');
      expect(await codeOf(() => claim.verify('SECRETKEz'))).to.equal('SignatureDoesNotMatch');
    });
  }

  const form = 'application/x-www-form-urlencoded';
  const v4Vectors: [string, string, string, string | undefined, string, string, string, string, string][] = [
    // secret, path, host, content type, date, scope, signed headers, body, signature
    [
      'SECRETKEY',
      '/services/Cloud',
      'api.example:8773',
      `${form}; charset=utf-8`,
      '20110922T120000Z',
      'nova/ec2',
      'content-type;host;x-amz-date',
      'Action=DescribeInstances&Version=2016-11-15&InstanceId.1=i-00000001',
      '498a27405f3007dc6736fef71cbb37dacd1933dc9dc12b5581b9c5dd9fa1d1f6',
    ],
    [
      'SECRETKEY',
      '/services/Cloud/',
      'api.example:8773',
      undefined,
      '20110922T120000Z',
      'example/api',
      'host;x-amz-date',
      'Action=DescribeInstances&Version=2016-11-15&InstanceId.1=i-00000001',
      'eb122587cef8d269b21b09a9044c7a5dcd98ef0560c4331c097e0904d34cf78d',
    ],
    [
      'sec',
      '/services/Cloud/',
      '127.0.0.1:18773',
      undefined,
      '20261120T042027Z',
      '0/127',
      'host;x-amz-date',
      'Action=DescribeInstances&Version=2014-10-01',
      'e89ba496b63497608a658ac746ff4a840155621f3d9ec81a3594738575c008a1',
    ],
    [
      'sec',
      '/services/Cloud',
      '127.0.0.1',
      form,
      '20261120T042028Z',
      'us-east-1/ec2',
      'content-type;host;x-amz-date',
      'Action=DescribeInstances&Version=2016-11-15',
      'c288b0a1ba05dc7592e0380fc77a2f8de302ad40bd09158b639320aacc535f56',
    ],
  ];
  for (const [secret, url, host, type, date, scope, signed, body, signature] of v4Vectors) {
    for (const separator of [', ', ',']) {
      it(`verifies version 4 of scope ${scope}, fields parted by '${separator}'`, async () => {
        const fields = [
          `AWS4-HMAC-SHA256 Credential=a/key:proj/${date.slice(0, 8)}/${scope}/aws4_request`,
          `SignedHeaders=${signed}`,
          `Signature=${signature}`,
        ];
        const headers: Record<string, string> = { host, 'x-amz-date': date, authorization: fields.join(separator) };
        if (type !== undefined) headers['content-type'] = type;
        const claim = readClaim(await read({ method: 'POST', url, headers, body }));
        expect(claim.accessKey).to.equal('a/key:proj');
        expect(await codeOf(() => claim.verify(secret))).to.equal('accepted');
        expect(await codeOf(() => claim.verify('other'))).to.equal('SignatureDoesNotMatch');
        const changed = readClaim(
          await read({ method: 'POST', url, headers, body: `${body}&InstanceId.2=i-00000002` }),
        );
        expect(await codeOf(() => changed.verify(secret)), 'another body').to.equal('SignatureDoesNotMatch');
      });
    }
  }

  it('verifies a version 4 signature in the query (made with botocore, SigV4QueryAuth)', async () => {
    const url =
      '/services/Cloud?Action=DescribeRegions&Version=2016-11-15&X-Amz-Algorithm=AWS4-HMAC-SHA256' +
      '&X-Amz-Credential=akey%3Aproj%2F20110922%2Fnova%2Fec2%2Faws4_request&X-Amz-Date=20110922T120000Z' +
      '&X-Amz-Expires=60&X-Amz-SignedHeaders=host&X-Amz-Signature=SIGNATURE';
    const signature = 'f4a9e1faff42f39c15037fdf4765bd0fdfc1e0d8a664575063aaff155e1f0ad0';
    const request = await read({
      method: 'GET',
      url: url.replace('SIGNATURE', signature),
      headers: { host: 'api.example:8773' },
    });
    const claim = readClaim(request);
    expect(claim).to.include({ accessKey: 'akey:proj', expiresAt: Date.UTC(2011, 8, 22, 12, 1) });
    expect(await codeOf(() => claim.verify('skey'))).to.equal('accepted');
    expect(await codeOf(() => claim.verify('sKey'))).to.equal('SignatureDoesNotMatch');
  });

  it('refuses what is no signature with a code of its own', async () => {
    const get = (params: Record<string, string>, headers: Record<string, string> = {}): Promise<string> =>
      codeOf(async () =>
        readClaim(await read({ method: 'GET', url: `/?${new URLSearchParams(params).toString()}`, headers })),
      );
    const full = { ...v2, Signature: 'x' };
    for (const name of ['AWSAccessKeyId', 'Signature', 'SignatureVersion', 'SignatureMethod', 'Timestamp'] as const) {
      expect(await get(without(full, name)), name).to.equal('MissingParameter');
    }
    expect(await get({ ...full, AWSAccessKeyId: '' })).to.equal('MissingParameter');
    expect(await get({ ...full, SignatureVersion: '9' })).to.equal('InvalidParameterValue');
    expect(await get({ ...full, SignatureVersion: 'NaN' })).to.equal('InvalidParameterValue');
    expect(await get({ ...full, SignatureMethod: 'HmacMD5' })).to.equal('InvalidParameterValue');
    const v4 = 'Credential=k/20110922/r/s/aws4_request, SignedHeaders=host, Signature=0';
    const date = { 'x-amz-date': '20110922T120000Z' };
    expect(await get({}, { ...date, authorization: `AWS4-HMAC-SHA256 ${v4}` })).to.equal('accepted');
    expect(await get({}, { ...date, authorization: `AWS4-HMAC-SHA512 ${v4}` })).to.equal('InvalidParameterValue');
    expect(await get({}, { authorization: `AWS4-HMAC-SHA256 ${v4}` }), 'no date').to.equal('IncompleteSignature');
    for (const broken of [
      '',
      'Credential=k',
      v4.replace('k/', ''),
      v4.replace('=host', '=x-amz-date'),
      v4.replace('Signature=0', ''),
    ]) {
      expect(await get({}, { ...date, authorization: `AWS4-HMAC-SHA256 ${broken}` }), broken).to.equal(
        'IncompleteSignature',
      );
    }
    expect(await get({ 'X-Amz-Algorithm': 'AWS4-HMAC-SHA256' })).to.equal('IncompleteSignature');
  });

  it('refuses a credential of another day than the request', async () => {
    const authorization = 'AWS4-HMAC-SHA256 Credential=k/20110921/r/s/aws4_request, SignedHeaders=host, Signature=0';
    const claim = readClaim(
      await read({ method: 'GET', url: '/', headers: { authorization, 'x-amz-date': '20110922T120000Z' } }),
    );
    expect(await codeOf(() => claim.verify('s'))).to.equal('SignatureDoesNotMatch');
  });

  it('reads the timestamps of old and new clients', () => {
    const noon = Date.UTC(2011, 8, 22, 12);
    expect(parseTimestamp('2011-09-22T12:00:00')).to.equal(noon);
    expect(parseTimestamp('2011-09-22T12:00:00Z')).to.equal(noon);
    expect(parseTimestamp('2011-09-22T12:00:00.000Z')).to.equal(noon);
    for (const text of ['yesterday', '', undefined, '2011-13-22T12:00:00Z', '2011-09-22']) {
      expect(parseTimestamp(text), String(text)).to.equal(undefined);
    }
  });
});

function without(params: Readonly<Record<string, string>>, name: string): Record<string, string> {
  return Object.fromEntries(Object.entries(params).filter(([key]) => key !== name));
}
