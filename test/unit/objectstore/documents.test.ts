import { expect } from 'chai';
import { createHash } from 'node:crypto';
import { s3SignatureV2 } from '../../../common/auth/signing.js';
import { startChecksum } from '../../../nova-objectstore/checksums.js';
import { s3Demo, startTestObjectstore, type S3Answer, type TestObjectstore } from '../../support/objectstore.js';
import { awsChunked, signedHeadersV4 } from '../../support/s3Chunks.js';

const hashOf = (text: string): string => createHash('sha256').update(text).digest('hex');
const md5Of = (text: string): string => createHash('md5').update(text).digest('base64');
const outcome = ({ status, code }: S3Answer): string => `${status} ${code}`;
const deleting = (key: string): string => `<Delete><Object><Key>${key}</Key></Object></Delete>`;

describe('objectstore: documents which are signed', () => {
  let store: TestObjectstore;
  beforeEach(async () => {
    store = await startTestObjectstore();
    await store.send('PUT', '/demo/', { as: s3Demo, body: '' });
    for (const key of ['a', 'b']) await store.send('PUT', `/demo/${key}`, { as: s3Demo, body: key });
  });
  afterEach(() => store.stop());
  const keys = async (): Promise<string[]> =>
    [...(await store.send('GET', '/demo/', { as: s3Demo })).text.matchAll(/<Key>(.*?)</g)].map((match) => match[1]!);

  /** Sends a body with the headers of a request which was signed with version 4 for the body `signed`. */
  function sendV4(
    request: { method: string; path: string; query: string },
    body: Buffer | string,
    hash: string,
    more: Record<string, string> = {},
  ): Promise<S3Answer> {
    const { method, path, query } = request;
    const by = { ...s3Demo, host: `127.0.0.1:${store.port}` };
    const headers = signedHeadersV4(
      by,
      { method, path, query: query === '' || /=/.test(query) ? query : `${query}=`, hash },
      more,
    );
    return store.send(method, query === '' ? path : `${path}?${query}`, { as: null, headers, body });
  }
  const deleteV4 = (body: Buffer | string, hash: string, more: Record<string, string> = {}): Promise<S3Answer> =>
    sendV4({ method: 'POST', path: '/demo/', query: 'delete' }, body, hash, more);

  it('are good with version 4 for the bytes whose hash it covers alone', async () => {
    expect(outcome(await deleteV4(deleting('b'), hashOf(deleting('a'))))).to.equal('400 XAmzContentSHA256Mismatch');
    expect(outcome(await deleteV4('', hashOf(deleting('a'))))).to.equal('400 XAmzContentSHA256Mismatch');
    expect(await keys()).to.deep.equal(['a', 'b']);
    expect(outcome(await deleteV4(deleting('a'), hashOf(deleting('a'))))).to.equal('200 none');
    expect(await keys()).to.deep.equal(['b']);
    expect(outcome(await deleteV4(deleting('b'), 'UNSIGNED-PAYLOAD'))).to.equal('200 none');
    expect(await keys()).to.deep.equal([]);
  });

  it('are good with version 2 for the bytes whose Content-MD5 it covers alone', async () => {
    const headers = { date: 'Tue, 20 Sep 2011 12:00:00 GMT', 'content-md5': md5Of(deleting('a')) };
    const query = [['delete', null]] as const;
    const signature = s3SignatureV2('dsecret', { method: 'POST', path: '/demo/', query, headers });
    const signed = { ...headers, authorization: `AWS ${s3Demo.access}:${signature}` };
    const send = (body: string, more = {}): Promise<S3Answer> =>
      store.send('POST', '/demo/?delete', { as: null, headers: { ...signed, ...more }, body });
    expect(outcome(await send(deleting('b')))).to.equal('400 BadDigest');
    expect(outcome(await send(deleting('b'), { 'content-md5': md5Of(deleting('b')) }))).to.equal(
      '403 SignatureDoesNotMatch',
    );
    expect(await keys()).to.deep.equal(['a', 'b']);
    expect(outcome(await send(deleting('a')))).to.equal('200 none');
    const odd = await store.send('POST', '/demo/?delete', {
      as: s3Demo,
      headers: { 'content-md5': 'short' },
      body: deleting('b'),
    });
    expect(outcome(odd)).to.equal('400 InvalidDigest');
    expect(await keys()).to.deep.equal(['b']);
  });

  it('are compared with the checksum in the headers, or in the trailer', async () => {
    const crc = startChecksum('crc32');
    crc.update(Buffer.from(deleting('a')));
    const header = { 'x-amz-checksum-crc32': crc.digest() };
    expect(outcome(await deleteV4(deleting('b'), hashOf(deleting('b')), header))).to.equal('400 BadDigest');
    expect(await keys()).to.deep.equal(['a', 'b']);
    expect(outcome(await deleteV4(deleting('a'), hashOf(deleting('a')), header))).to.equal('200 none');
    const trailer = { 'x-amz-trailer': 'x-amz-checksum-crc32', 'content-encoding': 'aws-chunked' };
    for (const [key, wish] of [
      ['b', '400 BadDigest'],
      ['a', '200 none'],
    ] as const) {
      const more = { ...trailer, 'x-amz-decoded-content-length': String(deleting(key).length) };
      const body = awsChunked([deleting(key)], null, header);
      expect(outcome(await deleteV4(body, 'STREAMING-UNSIGNED-PAYLOAD-TRAILER', more)), key).to.equal(wish);
    }
    expect(await keys()).to.deep.equal(['b']);
  });

  it('are so wherever there is one', async () => {
    const begun = await store.send('POST', '/demo/parts?uploads', { as: s3Demo });
    const id = /<UploadId>(.*?)</.exec(begun.text)![1]!;
    const part = async (number: number): Promise<string> => {
      const sent = await store.send('PUT', `/demo/parts?partNumber=${number}&uploadId=${id}`, {
        as: s3Demo,
        body: 'x',
      });
      return `<Part><PartNumber>${number}</PartNumber><ETag>${sent.headers['etag']}</ETag></Part>`;
    };
    const [one, two] = [await part(1), await part(2)].map(
      (text) => `<CompleteMultipartUpload>${text}</CompleteMultipartUpload>`,
    ) as [string, string];
    for (const [method, path, query] of [
      ['POST', '/demo/parts', `uploadId=${id}`],
      ['POST', '/demo/new', 'uploads'],
      ['PUT', '/demo/', 'acl'],
      ['PUT', '/demo/a', 'acl'],
      ['PUT', '/demo2/', ''],
    ] as const) {
      const request = { method, path, query };
      expect(outcome(await sendV4(request, two, hashOf(one))), path).to.equal('400 XAmzContentSHA256Mismatch');
      const md5 = { 'content-md5': md5Of(one) };
      expect(outcome(await sendV4(request, two, hashOf(two), md5)), path).to.equal('400 BadDigest');
    }
    expect((await store.send('GET', '/', { as: s3Demo })).text).not.to.contain('demo2');
    expect(await keys()).to.deep.equal(['a', 'b']);
    // A checksum here is that of the object, not of the document.
    const crc = startChecksum('crc32');
    crc.update(Buffer.from('x'));
    const sum = { 'x-amz-checksum-crc32': crc.digest(), 'x-amz-checksum-type': 'FULL_OBJECT' };
    const completed = await sendV4(
      { method: 'POST', path: '/demo/parts', query: `uploadId=${id}` },
      one,
      hashOf(one),
      sum,
    );
    expect(outcome(completed)).to.equal('200 none');
    expect(await keys()).to.deep.equal(['a', 'b', 'parts']);
  });
});
