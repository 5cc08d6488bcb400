import { expect } from 'chai';
import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { s3SignatureV2 } from '../../../common/auth/signing.js';
import { recordings } from '../../support/recordings.js';
import { startTestObjectstore, type S3Answer, type TestObjectstore } from '../../support/objectstore.js';

interface Exchange {
  request: { method: string; target: string; headers: [string, string][]; body?: string; body_b64?: string };
  response: { status: number; headers: [string, string][]; body?: string; body_b64?: string };
}

const folder = new URL('http/objectstore/', recordings);
const exchangesOf = (name: string): Exchange[] =>
  (JSON.parse(readFileSync(new URL(`${name}.json`, folder), 'utf8')) as { exchanges: Exchange[] }).exchanges;

/** The order of the recorded run, and in it what the recordings leave out. */
const run: readonly (string | { put: string; body?: string })[] = [
  'list-buckets-empty',
  'create-bucket',
  'list-bucket-empty',
  'list-bucket-missing',
  { put: '/one/a.txt', body: 'hello' },
  'put-object-overwrite',
  'put-object-binary',
  'put-object-empty',
  'put-object-no-bucket',
  'put-object-expect',
  'put-object-content-md5-wrong',
  { put: '/one/md5', body: 'x' },
  'put-object-metadata',
  { put: '/one/with%20space', body: 'x' },
  'get-object',
  'get-object-binary',
  'get-object-conditional',
  'get-object-empty',
  'get-object-no-bucket',
  'get-object-range',
  'get-object-traversal',
  'head-bucket-missing',
  'head-object',
  'head-object-missing',
  'list-bucket',
  'options',
  'post-object',
  'deep-path',
  'double-slash',
  { put: '/two5/' },
  { put: '/two5/k1', body: '1' },
  { put: '/two5/k2', body: '12' },
  { put: '/two5/k3', body: '123' },
  { put: '/two5/k4', body: '1234' },
  'list-bucket-acl',
  'list-bucket-delimiter',
  'list-bucket-location',
  'list-bucket-marker',
  'list-bucket-max-garbage',
  'list-bucket-max-keys',
  'list-bucket-max-zero',
  'list-bucket-prefix',
  'list-bucket-prefix-marker',
  'delete-bucket-not-empty',
  'delete-bucket-missing',
  'delete-object-no-bucket',
  'delete-object',
  'delete-object-missing',
  'bad-signature',
  'create-bucket-odd-names',
  'v4',
  'list-bucket-no-slash',
  'create-bucket-no-slash',
  'put-object-encoded-slash',
  'put-object-nested',
  'delete-bucket',
];

/** What is answered otherwise than by 2011.3, on purpose (docs/objectstore.md): status, and error code where there is one. */
const deviations: Readonly<Record<string, string>> = {
  'put-object-content-md5-wrong': '400 BadDigest',
  'get-object-range': '206 none',
  'head-bucket-missing': '404 none',
  'head-object-missing': '404 none',
  options: '405 MethodNotAllowed',
  'post-object': '405 MethodNotAllowed',
  'list-bucket-max-garbage': '400 InvalidArgument',
  'bad-signature': '403 SignatureDoesNotMatch',
  // Its key names no project, and 2011.3 needed none.
  v4: '403 InvalidAccessKeyId',
  'list-bucket-no-slash': '200 none',
  'create-bucket-no-slash': '200 none',
  'put-object-encoded-slash': '200 none',
  'put-object-nested': '200 none',
};
/** Subresources have documents of their own. */
const otherDocument: Readonly<Record<string, string>> = {
  'list-bucket-acl': 'AccessControlPolicy',
  'list-bucket-location': 'LocationConstraint',
};
/** Exchanges which keep the signature that they were recorded with. */
const unsigned = ['bad-signature', 'v4'];

/** Texts by path of elements; ETag and StorageClass, which 2011.3 lacks, and the case of booleans don't count. */
function elements(xml: string): string[] {
  const found: string[] = [];
  const path: string[] = [];
  for (const [, close, name, text] of xml.matchAll(/<(\/?)([A-Za-z]+)(?: [^>]*)?>([^<]*)/g)) {
    if (close === '/') {
      path.pop();
      continue;
    }
    path.push(name!);
    if (name === 'ETag' || name === 'StorageClass' || name === 'Delimiter') continue;
    const value = /Date$|Modified$/.test(name!) ? text!.replace(/\d/g, '0') : text!;
    found.push(`${path.join('/')}=${name === 'IsTruncated' ? value.toLowerCase() : value}`);
  }
  return found.sort();
}

describe('objectstore: recordings of Nova 2011.3', () => {
  let store: TestObjectstore;
  before(async () => {
    store = await startTestObjectstore();
  });
  after(() => store.stop());

  async function replay(name: string, { request, response }: Exchange): Promise<void> {
    const headers = Object.fromEntries(request.headers.map(([key, value]) => [key.toLowerCase(), value]));
    const keepsSignature = unsigned.includes(name);
    if (!keepsSignature) delete headers['authorization'];
    if (headers['x-amz-date'] !== undefined) headers['x-amz-content-sha256'] = 'UNSIGNED-PAYLOAD';
    const body =
      request.body_b64 === undefined ? Buffer.from(request.body ?? '') : Buffer.from(request.body_b64, 'base64');
    const hasBody = headers['content-length'] !== undefined;
    const answer = await store.send(request.method, request.target, {
      headers,
      ...(hasBody && { body }),
      ...(keepsSignature && { as: null }),
    });
    const what = `${name}: ${request.method} ${request.target}: ${answer.text}`;
    const deviation = deviations[name];
    if (deviation !== undefined) {
      expect(`${answer.status} ${answer.code}`, what).to.equal(deviation);
      if (name !== 'get-object-range') return;
      expect(answer.text).to.equal('hell');
      expect(answer.headers['content-range']).to.equal('bytes 0-3/11');
      return;
    }
    expect(answer.status, what).to.equal(response.status);
    if (response.status >= 400) {
      expect(answer.code, what).to.be.oneOf(['NoSuchBucket', 'NoSuchKey', 'BucketNotEmpty']);
      return;
    }
    compare(name, answer, response, what);
  }

  function compare(name: string, answer: S3Answer, response: Exchange['response'], what: string): void {
    const recordedHeader = (wanted: string): string | undefined =>
      response.headers.find(([key]) => key.toLowerCase() === wanted)?.[1];
    if (recordedHeader('etag') !== undefined) expect(answer.headers['etag'], what).to.equal(recordedHeader('etag'));
    const other = otherDocument[name];
    if (other !== undefined) {
      expect(answer.text, what).to.contain(`<${other} xmlns=`);
      return;
    }
    if (recordedHeader('content-type') === 'application/xml; charset=UTF-8') {
      expect(answer.headers['content-type'], what).to.equal('application/xml; charset=UTF-8');
      expect(elements(answer.text), what).to.deep.equal(elements(response.body ?? ''));
      return;
    }
    const recorded =
      response.body_b64 === undefined ? Buffer.from(response.body ?? '') : Buffer.from(response.body_b64, 'base64');
    expect(answer.body.equals(recorded), what).to.equal(true);
    // The type is the one which the object was stored with.
    if (name !== 'get-object-binary') {
      const type = name === 'head-object' ? 'application/unknown' : recordedHeader('content-type');
      if (response.status !== 204) expect(answer.headers['content-type'], what).to.equal(type);
    }
    if (recordedHeader('last-modified') !== undefined) {
      expect(answer.headers['last-modified'], what).to.match(/^\w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT$/);
    }
  }

  it('answers the recorded run in its order', async () => {
    for (const step of run) {
      if (typeof step !== 'string') {
        const answer = await store.send('PUT', step.put, { body: step.body ?? '' });
        expect(answer.status, step.put).to.equal(200);
        continue;
      }
      if (step === 'delete-bucket') {
        for (const key of ['k1', 'k2', 'k3', 'k4']) await store.send('DELETE', `/two5/${key}`);
      }
      for (const exchange of exchangesOf(step)) await replay(step, exchange);
    }
  });

  it('leaves no recording out', () => {
    const all = readdirSync(fileURLToPath(folder)).map((file) => file.replace('.json', ''));
    expect(all.filter((name) => !run.includes(name))).to.deep.equal([]);
  });

  it('verifies the signature of the recorded request as it stands', () => {
    const [{ request }] = exchangesOf('create-bucket') as [Exchange];
    const headers = Object.fromEntries(request.headers.map(([key, value]) => [key.toLowerCase(), value]));
    const signature = s3SignatureV2('skey', { method: request.method, path: request.target, query: [], headers });
    expect(`AWS akey:proj:${signature}`).to.equal(headers['authorization']);
  });
});
