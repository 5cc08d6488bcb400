import { expect } from 'chai';
import { createHash, randomBytes } from 'node:crypto';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { decodeChunks } from '../../../nova-objectstore/awsChunked.js';
import { startChecksum, type ChecksumName } from '../../../nova-objectstore/checksums.js';
import { s3Demo, startTestObjectstore, type S3Answer, type TestObjectstore } from '../../support/objectstore.js';
import { awsChunked, signedHeadersV4 } from '../../support/s3Chunks.js';

const signedHash = 'STREAMING-AWS4-HMAC-SHA256-PAYLOAD';
const signedTrailer = 'STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER';
const unsignedTrailer = 'STREAMING-UNSIGNED-PAYLOAD-TRAILER';
const outcome = ({ status, code }: S3Answer): string => `${status} ${code}`;

const checksum = (name: ChecksumName, bytes: Buffer | string): string => {
  const running = startChecksum(name);
  running.update(Buffer.from(bytes as string));
  return running.digest();
};

describe('objectstore: bodies in chunks', () => {
  let store: TestObjectstore;
  const bits = randomBytes(300_000);
  const pieces = [bits.subarray(0, 65_536), bits.subarray(65_536, 131_072), bits.subarray(131_072)];

  before(async () => {
    store = await startTestObjectstore({ s3_max_object: 1_000_000 });
    await store.send('PUT', '/demo/', { as: s3Demo, body: '' });
    await store.send('PUT', '/demo/old', { as: s3Demo, body: 'old' });
  });
  after(() => store.stop());

  interface Sending {
    hash: string;
    chunks?: readonly (Buffer | string)[];
    trailer?: Record<string, string>;
    headers?: Record<string, string>;
    /** Bytes which the client says that there are. */
    length?: number | null;
    change?: (body: Buffer) => Buffer;
  }
  /** Puts /demo/old, in chunks, signed with version 4. */
  function put({
    hash,
    chunks = pieces,
    trailer,
    headers = {},
    length,
    change = (body) => body,
  }: Sending): Promise<S3Answer> {
    const size = length === undefined ? chunks.reduce((sum, chunk) => sum + chunk.length, 0) : length;
    const by = { ...s3Demo, host: `127.0.0.1:${store.port}` };
    const all = {
      'content-encoding': 'aws-chunked',
      ...(size !== null && { 'x-amz-decoded-content-length': String(size) }),
      ...(trailer && { 'x-amz-trailer': Object.keys(trailer).join(',') }),
      ...headers,
    };
    const signed = signedHeadersV4(by, { method: 'PUT', path: '/demo/old', hash }, all);
    const signer = hash.startsWith('STREAMING-AWS4')
      ? { secret: s3Demo.secret, authorization: signed.authorization }
      : null;
    const body = change(awsChunked(chunks, signer, hash.endsWith('-TRAILER') ? (trailer ?? {}) : null));
    return store.send('PUT', '/demo/old', { as: null, headers: signed, body });
  }
  const stored = async (): Promise<Buffer> => (await store.send('GET', '/demo/old', { as: s3Demo })).body;
  const reset = (): Promise<S3Answer> => store.send('PUT', '/demo/old', { as: s3Demo, body: 'old' });

  it('stores the bytes of chunks which are signed', async () => {
    const answer = await put({ hash: signedHash });
    expect(answer.headers['etag']).to.equal(`"${createHash('md5').update(bits).digest('hex')}"`);
    expect((await stored()).equals(bits)).to.equal(true);
    expect((await put({ hash: signedHash, chunks: [] })).status).to.equal(200);
    expect((await stored()).length).to.equal(0);
  });

  it('compares each checksum, in the trailer and in a header, with what came', async () => {
    for (const name of ['crc32', 'crc32c', 'crc64nvme', 'sha1', 'sha256'] as const) {
      const [header, right, wrong] = [`x-amz-checksum-${name}`, checksum(name, bits), checksum(name, 'other')];
      for (const hash of [signedTrailer, unsignedTrailer]) {
        const answer = await put({ hash, trailer: { [header]: right } });
        expect(outcome(answer), `${name} ${hash}`).to.equal('200 none');
        expect(answer.headers[header]).to.equal(right);
        expect((await stored()).equals(bits)).to.equal(true);
        await reset();
        expect(outcome(await put({ hash, trailer: { [header]: wrong } })), `${name} ${hash}`).to.equal('400 BadDigest');
        expect(outcome(await put({ hash, trailer: { [header]: 'eA==' } }))).to.equal('400 InvalidRequest');
        const missing = await put({ hash, trailer: {}, headers: { 'x-amz-trailer': header } });
        expect(outcome(missing), `${name} ${hash}`).to.equal('400 MalformedTrailerError');
      }
      const plain = (value: string): Promise<S3Answer> =>
        store.send('PUT', '/demo/old', { as: s3Demo, body: 'plain', headers: { [header]: value } });
      expect(outcome(await plain(checksum(name, 'plain'))), name).to.equal('200 none');
      expect(outcome(await plain(wrong)), name).to.equal('400 BadDigest');
      expect(outcome(await plain('!')), name).to.equal('400 InvalidRequest');
      await reset();
    }
    const two = { 'x-amz-checksum-sha1': checksum('sha1', 'x'), 'x-amz-checksum-crc32': checksum('crc32', 'x') };
    expect(outcome(await store.send('PUT', '/demo/old', { as: s3Demo, body: 'x', headers: two }))).to.equal(
      '400 InvalidRequest',
    );
    expect((await stored()).toString()).to.equal('old');
  });

  it('refuses what was changed on the way, is cut off, or is no such body, and keeps the old object', async () => {
    const crc = { 'x-amz-checksum-crc32': checksum('crc32', bits) };
    const flip = (at: number) => (body: Buffer) => {
      const changed = Buffer.from(body);
      changed[at]! ^= 1;
      return changed;
    };
    const tail = (from: string, to: string) => (body: Buffer) =>
      Buffer.from(body.toString('latin1').replace(new RegExp(`${from}(?![^]*${from})`), to), 'latin1');
    const first = awsChunked([], null).length;
    expect(first).to.equal(5);
    for (const [what, sending, wish] of [
      ['a bit in a chunk', { hash: signedHash, change: flip(1000) }, '403 SignatureDoesNotMatch'],
      ['a bit in the last chunk', { hash: signedHash, change: flip(200_000) }, '403 SignatureDoesNotMatch'],
      [
        'chunks in another order',
        {
          hash: signedHash,
          change: (body: Buffer) => {
            const size = 65_536 + '10000;chunk-signature='.length + 64 + 4;
            return Buffer.concat([body.subarray(size, 2 * size), body.subarray(0, size), body.subarray(2 * size)]);
          },
        },
        '403 SignatureDoesNotMatch',
      ],
      ['no signatures', { hash: signedHash, change: () => awsChunked(pieces, null) }, '403 SignatureDoesNotMatch'],
      [
        'a bit in the trailer',
        { hash: signedTrailer, trailer: crc, change: tail('crc32:.', 'crc32:A') },
        '403 SignatureDoesNotMatch',
      ],
      [
        'an unsigned trailer',
        { hash: signedTrailer, trailer: crc, change: tail('x-amz-trailer-signature:\\w+\\r\\n', '') },
        '403 SignatureDoesNotMatch',
      ],
      ['no end', { hash: signedHash, change: (body: Buffer) => body.subarray(0, -100) }, '400 IncompleteBody'],
      ['half a chunk', { hash: signedHash, change: (body: Buffer) => body.subarray(0, 100_000) }, '400 IncompleteBody'],
      ['nothing', { hash: signedHash, change: () => Buffer.alloc(0) }, '400 IncompleteBody'],
      [
        'bytes behind the end',
        { hash: unsignedTrailer, change: (body: Buffer) => Buffer.concat([body, Buffer.from('x')]) },
        '400 InvalidRequest',
      ],
      ['no chunks', { hash: unsignedTrailer, change: () => bits }, '400 InvalidRequest'],
      ['a long line', { hash: unsignedTrailer, change: () => Buffer.alloc(100_000, 'a') }, '400 InvalidRequest'],
      ['a negative size', { hash: unsignedTrailer, change: () => Buffer.from('-1\r\n\r\n') }, '400 InvalidRequest'],
      [
        'a huge size',
        { hash: unsignedTrailer, length: 5, change: () => Buffer.from('ffffffffffff\r\nhello') },
        '400 IncompleteBody',
      ],
      [
        'a size beyond all',
        { hash: unsignedTrailer, change: () => Buffer.from('fffffffffffffffff\r\nhello') },
        '400 InvalidRequest',
      ],
      [
        'a chunk without end',
        { hash: unsignedTrailer, length: 5, change: () => Buffer.from('5\r\nhelloX\r\n0\r\n\r\n') },
        '400 InvalidRequest',
      ],
      [
        'many trailers',
        {
          hash: unsignedTrailer,
          length: 0,
          change: () => Buffer.from(`0\r\n${Array.from({ length: 100 }, (_, i) => `x${i}:1\r\n`).join('')}\r\n`),
        },
        '400 MalformedTrailerError',
      ],
      [
        'a trailer which is none',
        { hash: unsignedTrailer, length: 0, change: () => Buffer.from('0\r\nhello\r\n\r\n') },
        '400 MalformedTrailerError',
      ],
      ['fewer bytes than said', { hash: unsignedTrailer, length: 300_001 }, '400 IncompleteBody'],
      ['more bytes than said', { hash: unsignedTrailer, length: 299_999 }, '400 IncompleteBody'],
      ['no length', { hash: unsignedTrailer, length: null }, '411 MissingContentLength'],
      [
        'a length which is none',
        { hash: unsignedTrailer, length: null, headers: { 'x-amz-decoded-content-length': '-1' } },
        '411 MissingContentLength',
      ],
      ['a length too large', { hash: unsignedTrailer, length: 1_000_001 }, '400 EntityTooLarge'],
      [
        'bytes too many',
        { hash: unsignedTrailer, length: 10, chunks: Array.from({ length: 11 }, () => Buffer.alloc(100_000)) },
        '400 EntityTooLarge',
      ],
      ['an unknown kind', { hash: 'STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD' }, '501 NotImplemented'],
    ] as const satisfies [string, Sending, string][]) {
      expect(outcome(await put(sending)), what).to.equal(wish);
      expect((await stored()).toString(), what).to.equal('old');
    }
    expect(readdirSync(join(store.folder, '.nova', 'incoming'))).to.deep.equal([]);
  });

  it('takes them from callers who sign with version 2, and for parts of an upload', async () => {
    const trailer = { 'x-amz-checksum-crc32': checksum('crc32', bits) };
    const headers = {
      'content-encoding': 'aws-chunked',
      'x-amz-decoded-content-length': String(bits.length),
      'x-amz-trailer': 'x-amz-checksum-crc32',
    };
    const body = awsChunked(pieces, null, trailer);
    const started = await store.send('POST', '/demo/parts?uploads', { as: s3Demo });
    const id = /<UploadId>(.*?)</.exec(started.text)![1]!;
    for (const target of ['/demo/old', `/demo/parts?partNumber=1&uploadId=${id}`]) {
      expect(outcome(await store.send('PUT', target, { as: s3Demo, headers, body })), target).to.equal('200 none');
    }
    expect((await stored()).equals(bits)).to.equal(true);
    const etag = createHash('md5').update(bits).digest('hex');
    const listOf = (value: string): string =>
      `<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>${etag}</ETag>` +
      `<ChecksumCRC32>${value}</ChecksumCRC32></Part></CompleteMultipartUpload>`;
    const complete = (value: string, more: Record<string, string> = {}): Promise<S3Answer> =>
      store.send('POST', `/demo/parts?uploadId=${id}`, { as: s3Demo, body: listOf(value), headers: more });
    expect(outcome(await complete(checksum('crc32', 'x')))).to.equal('400 InvalidPart');
    const right = checksum('crc32', bits);
    expect(outcome(await complete(right, { 'x-amz-checksum-crc64nvme': checksum('crc64nvme', 'x') }))).to.equal(
      '400 BadDigest',
    );
    expect(outcome(await complete(right, { 'x-amz-checksum-crc64nvme': checksum('crc64nvme', bits) }))).to.equal(
      '200 none',
    );
    expect((await store.send('GET', '/demo/parts', { as: s3Demo })).body.equals(bits)).to.equal(true);
    await reset();
  });

  it('reads chunks wherever the network cuts them, and lets go of the rest', async () => {
    const body = awsChunked(['first', 'second', Buffer.alloc(3000, 'x')], null, { 'x-amz-checksum-crc32': 'AAAAAA==' });
    for (const step of [1, 2, 3, 7, 100, 5000]) {
      const cut = Array.from({ length: Math.ceil(body.length / step) }, (_, at) =>
        body.subarray(at * step, (at + 1) * step),
      );
      const trailer = new Map<string, string>();
      const got: Uint8Array[] = [];
      for await (const piece of decodeChunks(cut, { signer: null, hasTrailer: true }, trailer)) got.push(piece);
      expect(Buffer.concat(got).toString(), `cut after each ${step}`).to.equal(`firstsecond${'x'.repeat(3000)}`);
      expect([...trailer]).to.deep.equal([['x-amz-checksum-crc32', 'AAAAAA==']]);
    }
    let isClosed = false;
    const endless = (function* (): Generator<Uint8Array> {
      try {
        for (;;) yield Buffer.from('5\r\nhello\r\n');
      } finally {
        isClosed = true;
      }
    })();
    for await (const piece of decodeChunks(endless, { signer: null, hasTrailer: false }, new Map())) {
      expect(Buffer.from(piece).toString()).to.equal('hello');
      break;
    }
    expect(isClosed).to.equal(true);
  });
});

describe('objectstore: checksums', () => {
  it('are those which others compute', () => {
    // The check values of these CRCs, of the text 123456789.
    const hex = (name: ChecksumName): string => Buffer.from(checksum(name, '123456789'), 'base64').toString('hex');
    expect(hex('crc32')).to.equal('cbf43926');
    expect(hex('crc32c')).to.equal('e3069283');
    expect(hex('crc64nvme')).to.equal('ae8b14860a799888');
    expect(hex('sha1')).to.equal('f7c3bc1d808e04732adf679965ccc34ca7ae3441');
    expect(checksum('crc32', '')).to.equal('AAAAAA==');
  });
});
