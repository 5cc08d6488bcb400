import { expect } from 'chai';
import { createHash, randomBytes } from 'node:crypto';
import { mkdirSync, readdirSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { type Readable } from 'node:stream';
import { s3SignatureV2 } from '../../../common/auth/signing.js';
import { inTime } from '../../../nova-objectstore/answers.js';
import { badRequest } from '../../../nova-objectstore/refusal.js';
import { startObjectstore } from '../../../nova-objectstore/start.js';
import {
  s3Demo,
  s3Eve,
  sendS3,
  startTestObjectstore,
  type S3Answer,
  type TestObjectstore,
} from '../../support/objectstore.js';

const MiB = 1024 * 1024;
const md5 = (bytes: Buffer | string): string => createHash('md5').update(bytes).digest('hex');
const one = (answer: S3Answer, name: string): string =>
  new RegExp(`<${name}>(.*?)</${name}>`).exec(answer.text)?.[1] ?? '';
const all = (answer: S3Answer, name: string): string[] =>
  [...answer.text.matchAll(new RegExp(`<${name}>(.*?)</${name}>`, 'g'))].map((match) => match[1]!);
const outcome = ({ status, code }: S3Answer): string => `${status} ${code}`;
const listOf = (parts: readonly (readonly [number, string])[]): string =>
  `<CompleteMultipartUpload>${parts
    .map(([number, etag]) => `<Part><PartNumber>${number}</PartNumber><ETag>${etag}</ETag></Part>`)
    .join('')}</CompleteMultipartUpload>`;

describe('objectstore: uploads in parts', () => {
  let store: TestObjectstore;
  const [first, second, last] = [randomBytes(5 * MiB), randomBytes(6 * MiB), randomBytes(1234)];
  const whole = Buffer.concat([first, second, last]);
  const mark = `${createHash('md5')
    .update(Buffer.from([first, second, last].map(md5).join(''), 'hex'))
    .digest('hex')}-3`;

  before(async () => {
    store = await startTestObjectstore({ s3_max_object: 12 * MiB });
    await store.send('PUT', '/b/', { body: '' });
  });
  after(() => store.stop());

  const begin = async (key: string, headers: Record<string, string> = {}): Promise<string> =>
    one(await store.send('POST', `/b/${key}?uploads`, { headers }), 'UploadId');
  const part = (key: string, id: string, number: number | string, body: Buffer | string): Promise<S3Answer> =>
    store.send('PUT', `/b/${key}?partNumber=${number}&uploadId=${id}`, { body });
  const complete = (key: string, id: string, parts: readonly (readonly [number, string])[]): Promise<S3Answer> =>
    store.send('POST', `/b/${key}?uploadId=${id}`, { body: listOf(parts) });
  const leftovers = (): string[] => readdirSync(join(store.folder, '.nova', 'incoming'));
  const unfinished = async (): Promise<string[]> => all(await store.send('GET', '/b/?uploads'), 'UploadId');

  it('makes one object of parts which came in any order, and shows nothing of it before', async () => {
    const id = await begin('dir/large', { 'content-type': 'text/x-parts', 'x-amz-meta-origin': 'parts' });
    expect(id).to.match(/^[0-9a-f]{32}$/);
    expect((await part('dir/large', id, 30, last)).headers['etag']).to.equal(`"${md5(last)}"`);
    await part('dir/large', id, 20, 'to be replaced');
    for (const [number, body] of [
      [20, second],
      [1, first],
    ] as const) {
      expect((await part('dir/large', id, number, body)).status).to.equal(200);
    }
    const shown = await store.send('GET', `/b/dir/large?uploadId=${id}&max-parts=2`);
    expect([all(shown, 'PartNumber'), one(shown, 'IsTruncated'), one(shown, 'NextPartNumberMarker')]).to.deep.equal([
      ['1', '20'],
      'true',
      '20',
    ]);
    expect(all(shown, 'Size')).to.deep.equal([String(first.length), String(second.length)]);
    expect(
      all(await store.send('GET', `/b/dir/large?uploadId=${id}&part-number-marker=20`), 'PartNumber'),
    ).to.deep.equal(['30']);
    expect((await store.send('GET', '/b/dir/large')).code).to.equal('NoSuchKey');
    expect(all(await store.send('GET', '/b/'), 'Key')).to.deep.equal([]);
    expect(await unfinished()).to.deep.equal([id]);

    const wish = [
      [1, `"${md5(first)}"`],
      [20, `&quot;${md5(second)}&quot;`],
      [30, md5(last)],
    ] as const;
    const done = await complete('dir/large', id, wish);
    expect([done.status, one(done, 'ETag'), one(done, 'Key')]).to.deep.equal([200, `&quot;${mark}&quot;`, 'dir/large']);
    const read = await store.send('GET', '/b/dir/large');
    expect(read.body.equals(whole)).to.equal(true);
    expect(read.headers).to.include({
      etag: `"${mark}"`,
      'content-type': 'text/x-parts',
      'x-amz-meta-origin': 'parts',
    });
    expect(one(await store.send('GET', '/b/'), 'ETag')).to.equal(`&quot;${mark}&quot;`);
    expect(await unfinished()).to.deep.equal([]);
    expect((await part('dir/large', id, 2, 'late')).code).to.equal('NoSuchUpload');
    // Whoever lost the answer asks again, and gets it as long as the object is this one.
    expect(one(await complete('dir/large', id, wish), 'ETag')).to.equal(`&quot;${mark}&quot;`);
    await store.send('PUT', '/b/dir/large', { body: 'another' });
    expect((await complete('dir/large', id, wish)).code).to.equal('NoSuchUpload');
    expect(leftovers()).to.deep.equal([]);
  });

  it('refuses what is no upload, and keeps the upload', async () => {
    const id = await begin('k');
    const other = await begin('other');
    await part('k', id, 1, 'small');
    await part('k', id, 2, last);
    for (const [what, answer, wish] of [
      ['an unknown id', part('k', '0'.repeat(32), 1, 'x'), '404 NoSuchUpload'],
      ['a path as id', part('k', '..%2F..%2Fx', 1, 'x'), '404 NoSuchUpload'],
      ["another key's id", part('k', other, 1, 'x'), '404 NoSuchUpload'],
      ['no id', store.send('PUT', '/b/k?partNumber=1&uploadId', { body: 'x' }), '404 NoSuchUpload'],
      ['part 0', part('k', id, 0, 'x'), '400 InvalidArgument'],
      ['part 10001', part('k', id, 10_001, 'x'), '400 InvalidArgument'],
      ['part -1', part('k', id, '-1', 'x'), '400 InvalidArgument'],
      ['part one', part('k', id, 'one', 'x'), '400 InvalidArgument'],
      ['a part too large', part('k', id, 3, Buffer.alloc(12 * MiB + 1)), '400 EntityTooLarge'],
      [
        'another order',
        complete('k', id, [
          [2, md5(last)],
          [1, md5('small')],
        ]),
        '400 InvalidPartOrder',
      ],
      [
        'a part twice',
        complete('k', id, [
          [2, md5(last)],
          [2, md5(last)],
        ]),
        '400 InvalidPartOrder',
      ],
      ['an absent part', complete('k', id, [[7, md5(last)]]), '400 InvalidPart'],
      ['another ETag', complete('k', id, [[2, md5('x')]]), '400 InvalidPart'],
      ['an ETag of nothing', complete('k', id, [[2, '']]), '400 InvalidPart'],
      [
        'small parts',
        complete('k', id, [
          [1, md5('small')],
          [2, md5(last)],
        ]),
        '400 EntityTooSmall',
      ],
      ['no parts', complete('k', id, []), '400 MalformedXML'],
      ['no document', store.send('POST', `/b/k?uploadId=${id}`, { body: '' }), '400 MalformedXML'],
      ['completing nothing', complete('k', 'f'.repeat(32), [[1, md5(last)]]), '404 NoSuchUpload'],
      ['aborting nothing', store.send('DELETE', '/b/k?uploadId=x'), '404 NoSuchUpload'],
      ['listing nothing', store.send('GET', '/b/k?uploadId=x'), '404 NoSuchUpload'],
      [
        'a wrong Content-MD5',
        store.send('PUT', `/b/k?partNumber=1&uploadId=${id}`, {
          body: 'x',
          headers: { 'content-md5': 'AAAAAAAAAAAAAAAAAAAAAA==' },
        }),
        '400 BadDigest',
      ],
      ['another method', store.send('DELETE', '/b/k?uploads'), '405 MethodNotAllowed'],
      ["an upload in others' bucket", store.send('POST', '/b/k?uploads', { as: s3Eve }), '403 AccessDenied'],
      [
        "a part of others' upload",
        store.send('PUT', `/b/k?partNumber=1&uploadId=${id}`, { as: s3Eve, body: 'x' }),
        '403 AccessDenied',
      ],
      ["others' list", store.send('GET', '/b/?uploads', { as: s3Demo }), '403 AccessDenied'],
    ] as const) {
      expect(outcome(await answer), what).to.equal(wish);
    }
    expect(all(await store.send('GET', `/b/k?uploadId=${id}`), 'Size')).to.deep.equal(['5', String(last.length)]);
    expect((await store.send('GET', '/b/k')).code).to.equal('NoSuchKey');
    for (const [key, each] of [
      ['k', id],
      ['other', other],
    ] as const) {
      expect((await store.send('DELETE', `/b/${key}?uploadId=${each}`)).status).to.equal(204);
    }
    expect(await unfinished()).to.deep.equal([]);
    expect(leftovers()).to.deep.equal([]);
  });

  it('refuses parts which together are too large, and documents which could grow', async () => {
    const id = await begin('sum');
    for (const number of [1, 2, 3]) await part('sum', id, number, first);
    const wish = [1, 2, 3].map((number) => [number, md5(first)] as const);
    expect((await complete('sum', id, wish)).code).to.equal('EntityTooLarge');
    const bomb = `<!DOCTYPE x [<!ENTITY a "${'1'.repeat(100)}"><!ENTITY b "&a;&a;">]>${listOf([[1, '&b;']])}`;
    const deep = `${'<a>'.repeat(50_000)}${'</a>'.repeat(50_000)}`;
    const many = listOf(Array.from({ length: 10_001 }, (_, index) => [index + 1, md5('x')] as const));
    const external = `<!DOCTYPE x SYSTEM "file:///etc/passwd">${listOf(wish)}`;
    const second = [`${listOf(wish)}<x/>`, `${listOf(wish)}garbage`, listOf(wish) + listOf(wish), `x${listOf(wish)}`];
    for (const body of [
      bomb,
      deep,
      many,
      external,
      ...second,
      '<',
      '<CompleteMultipartUpload/>',
      Buffer.from([0xff, 0xfe]),
    ]) {
      const refused = await store.send('POST', `/b/sum?uploadId=${id}`, { body });
      expect(outcome(refused), body.slice(0, 30).toString()).to.equal('400 MalformedXML');
    }
    const long = await store.send('POST', `/b/sum?uploadId=${id}`, { body: ' '.repeat(5 * MiB) });
    expect(outcome(long)).to.equal('400 EntityTooLarge');
    await store.send('DELETE', `/b/sum?uploadId=${id}`);
  });

  it('lists unfinished uploads by pages, prefixes and delimiters', async () => {
    const ids: Record<string, string> = {};
    for (const key of ['a/1', 'a/2', 'b', 'c&d']) ids[key] = await begin(encodeURIComponent(key));
    const pages: string[][] = [];
    let more = '';
    for (;;) {
      const answer = await store.send('GET', `/b/?uploads&max-uploads=2&encoding-type=url${more}`);
      pages.push(all(answer, 'Key'));
      if (one(answer, 'IsTruncated') === 'false') break;
      more = `&key-marker=${one(answer, 'NextKeyMarker')}&upload-id-marker=${one(answer, 'NextUploadIdMarker')}`;
    }
    expect(pages).to.deep.equal([
      ['a/1', 'a/2'],
      ['b', 'c%26d'],
    ]);
    const grouped = await store.send('GET', '/b/?uploads&delimiter=/');
    expect([all(grouped, 'Key'), /<CommonPrefixes><Prefix>(.*?)</.exec(grouped.text)?.[1]]).to.deep.equal([
      ['b', 'c&amp;d'],
      'a/',
    ]);
    expect(all(await store.send('GET', '/b/?uploads&prefix=a/'), 'UploadId')).to.deep.equal([ids['a/1'], ids['a/2']]);
    for (const [key, id] of Object.entries(ids))
      await store.send('DELETE', `/b/${encodeURIComponent(key)}?uploadId=${id}`);
  });

  it('keeps nothing of a part which is cut off', async () => {
    const id = await begin('cut');
    const target = `/b/cut?partNumber=1&uploadId=${id}`;
    const query: [string, string][] = [
      ['partNumber', '1'],
      ['uploadId', id],
    ];
    const signature = s3SignatureV2('skey', { method: 'PUT', path: '/b/cut', query, headers: { date: 'x' } });
    await new Promise<void>((resolve) => {
      const socket = connect(store.port, '127.0.0.1', () => {
        socket.write(
          `PUT ${target} HTTP/1.1\r\nHost: x\r\nDate: x\r\nContent-Length: 1000\r\nAuthorization: AWS akey:proj:${signature}\r\n\r\nhalf`,
        );
      });
      socket.on('close', () => resolve()).on('error', () => undefined);
      void (async () => {
        while (leftovers().length === 0) await new Promise((again) => setTimeout(again, 5));
        socket.destroy();
      })();
    });
    while (leftovers().length > 0) await new Promise((again) => setTimeout(again, 5));
    expect(all(await store.send('GET', `/b/cut?uploadId=${id}`), 'PartNumber')).to.deep.equal([]);
    await store.send('DELETE', `/b/cut?uploadId=${id}`);
  });

  it('has one winner when an upload is completed, aborted and added to at the same time', async () => {
    const id = await begin('race');
    await part('race', id, 1, last);
    const [done, again, gone, added] = await Promise.all([
      complete('race', id, [[1, md5(last)]]),
      complete('race', id, [[1, md5(last)]]),
      store.send('DELETE', `/b/race?uploadId=${id}`),
      part('race', id, 2, 'late'),
    ]);
    const object = await store.send('GET', '/b/race');
    expect(done.status === 200).to.equal(object.status === 200);
    expect(again.status).to.equal(done.status);
    expect([done.status, gone.status].sort()).to.be.deep.oneOf([
      [200, 404],
      [204, 404],
    ]);
    expect(added.status).to.be.oneOf([200, 404]);
    expect(await unfinished()).to.deep.equal([]);
    expect(
      readdirSync(join(store.folder, '.nova', 'uploads')).flatMap((each) =>
        readdirSync(join(store.folder, '.nova', 'uploads', each)),
      ),
    ).to.deep.equal([]);
  });

  it('goes on with uploads after a restart, without what was half begun', async () => {
    const id = await begin('later');
    await part('later', id, 1, last);
    const [bucket] = readdirSync(join(store.folder, '.nova', 'uploads'));
    mkdirSync(join(store.folder, '.nova', 'uploads', bucket!, 'e'.repeat(32)));
    const again = await startObjectstore({ runtime: store.runtime, db: store.db });
    const { port } = again.address;
    try {
      expect(all(await sendS3(port, 'GET', '/b/?uploads'), 'UploadId')).to.deep.equal([id]);
      expect(readdirSync(join(store.folder, '.nova', 'uploads', bucket!))).to.deep.equal([id]);
      const done = await sendS3(port, 'POST', `/b/later?uploadId=${id}`, { body: listOf([[1, md5(last)]]) });
      expect(done.status).to.equal(200);
      expect((await sendS3(port, 'GET', '/b/later')).body.equals(last)).to.equal(true);
    } finally {
      await again.stop();
    }
  });

  it('removes the uploads of a bucket with it', async () => {
    await store.send('PUT', '/gone/', { body: '' });
    await store.send('POST', '/gone/k?uploads');
    expect((await store.send('DELETE', '/gone/')).status).to.equal(204);
    await store.send('PUT', '/gone/', { body: '' });
    expect(all(await store.send('GET', '/gone/?uploads'), 'UploadId')).to.deep.equal([]);
  });
});

describe('objectstore: copies', () => {
  let store: TestObjectstore;
  before(async () => {
    store = await startTestObjectstore();
    await store.send('PUT', '/b/', { body: '' });
    await store.send('PUT', '/demo/', { as: s3Demo, body: '' });
    await store.send('PUT', '/demo/theirs', { as: s3Demo, body: 'theirs' });
    const headers = { 'content-type': 'text/x-old', 'x-amz-meta-origin': 'old' };
    await store.send('PUT', '/b/dir/s%20%E2%98%83', { body: '0123456789', headers });
  });
  after(() => store.stop());
  const source = '/b/dir/s%20%E2%98%83';
  const copy = (target: string, headers: Record<string, string>, as?: typeof s3Eve): Promise<S3Answer> =>
    store.send('PUT', target, { headers: { 'x-amz-copy-source': source, ...headers }, body: '', ...(as && { as }) });

  it('copies bytes, type and metadata, or gives others', async () => {
    const answer = await copy('/b/copy', {});
    expect([answer.status, one(answer, 'ETag')]).to.deep.equal([200, `&quot;${md5('0123456789')}&quot;`]);
    expect(answer.text).to.contain('<CopyObjectResult');
    const read = await store.send('GET', '/b/copy');
    expect(read.text).to.equal('0123456789');
    expect(read.headers).to.include({ 'content-type': 'text/x-old', 'x-amz-meta-origin': 'old' });
    const replace = { 'x-amz-metadata-directive': 'REPLACE', 'content-type': 'text/x-new', 'x-amz-meta-new': 'yes' };
    expect((await copy(source, replace)).status).to.equal(200);
    const renewed = await store.send('GET', source);
    expect(renewed.text).to.equal('0123456789');
    expect(renewed.headers).to.include({ 'content-type': 'text/x-new', 'x-amz-meta-new': 'yes' });
    expect(renewed.headers).not.to.have.property('x-amz-meta-origin');
    // Without the slash in front, and across buckets.
    expect((await copy('/demo/copy', { 'x-amz-copy-source': source.slice(1) })).status).to.equal(200);
    expect((await store.send('GET', '/demo/copy', { as: s3Demo })).text).to.equal('0123456789');
  });

  it('copies a range into a part of an upload', async () => {
    const id = one(await store.send('POST', '/b/parts?uploads'), 'UploadId');
    const target = `/b/parts?partNumber=1&uploadId=${id}`;
    const answer = await copy(target, { 'x-amz-copy-source-range': 'bytes=2-5' });
    expect(answer.text).to.contain('<CopyPartResult');
    expect(one(answer, 'ETag')).to.equal(`&quot;${md5('2345')}&quot;`);
    for (const range of ['bytes=5-2', 'bytes=0-10', 'bytes=-3', '2-5']) {
      expect(outcome(await copy(target, { 'x-amz-copy-source-range': range })), range).to.equal('400 InvalidArgument');
    }
    await store.send('POST', `/b/parts?uploadId=${id}`, { body: listOf([[1, md5('2345')]]) });
    expect((await store.send('GET', '/b/parts')).text).to.equal('2345');
  });

  it('refuses sources which there are not, which are others’, or are not as wished', async () => {
    const etag = md5('0123456789');
    for (const [headers, wish] of [
      [{ 'x-amz-copy-source': '/b/missing' }, '404 NoSuchKey'],
      [{ 'x-amz-copy-source': '/missing/k' }, '404 NoSuchBucket'],
      [{ 'x-amz-copy-source': '/.nova/buckets' }, '404 NoSuchBucket'],
      [{ 'x-amz-copy-source': '/b/..%2f..%2fetc%2fpasswd' }, '404 NoSuchKey'],
      [{ 'x-amz-copy-source': '/..%2fb/k' }, '404 NoSuchBucket'],
      [{ 'x-amz-copy-source': '/b' }, '400 InvalidArgument'],
      [{ 'x-amz-copy-source': '/' }, '400 InvalidArgument'],
      [{ 'x-amz-copy-source': '/b/%ff' }, '400 InvalidURI'],
      [{ 'x-amz-copy-source': '/b/a%00b' }, '400 InvalidArgument'],
      [{ 'x-amz-copy-source': `${source}?versionId=1` }, '501 NotImplemented'],
      [{ 'x-amz-metadata-directive': 'MERGE' }, '400 InvalidArgument'],
      [{ 'x-amz-copy-source-if-match': '"other"' }, '412 PreconditionFailed'],
      [{ 'x-amz-copy-source-if-none-match': `"${etag}"` }, '412 PreconditionFailed'],
      [{ 'x-amz-copy-source-if-modified-since': 'Fri, 01 Jan 2100 00:00:00 GMT' }, '412 PreconditionFailed'],
      [{ 'x-amz-copy-source-if-unmodified-since': 'Sat, 01 Jan 2011 00:00:00 GMT' }, '412 PreconditionFailed'],
      [
        {
          'x-amz-copy-source-if-match': `"${etag}"`,
          'x-amz-copy-source-if-unmodified-since': 'Sat, 01 Jan 2011 00:00:00 GMT',
        },
        '200 none',
      ],
      [{ 'x-amz-copy-source-if-none-match': '"other"' }, '200 none'],
    ] as const) {
      expect(outcome(await copy('/b/refused', { ...headers })), JSON.stringify(headers)).to.equal(wish);
    }
    expect(outcome(await copy(source, {}))).to.equal('400 InvalidRequest');
    // Eve has a bucket of her own, and may not read demo's into it, nor write into demo's.
    await store.send('PUT', '/eve/', { as: s3Eve, body: '' });
    for (const [target, from] of [
      ['/eve/k', '/demo/theirs'],
      ['/demo/k', '/eve/k'],
    ] as const) {
      expect(outcome(await copy(target, { 'x-amz-copy-source': from }, s3Eve)), target).to.equal('403 AccessDenied');
    }
    expect(outcome(await copy('/demo/copied', { 'x-amz-copy-source': '/demo/theirs' }, s3Demo))).to.equal('200 none');
    expect(readdirSync(join(store.folder, '.nova', 'incoming'))).to.deep.equal([]);
  });
});

describe('objectstore: answers which take long', () => {
  /** A runtime whose timers run at once, until the work is allowed to end. */
  const impatient = {
    after: (_ms: number, fn: () => void) => {
      const timer = setImmediate(fn);
      return { cancel: () => clearImmediate(timer) };
    },
    random: { uuid: () => 'id' },
  } as unknown as Parameters<typeof inTime>[0];

  async function answerOf(work: Promise<string>): Promise<{ status: number; text: string }> {
    const { status, body } = await inTime(impatient, work);
    const chunks = typeof body === 'string' ? [body] : await (body as Readable).toArray();
    return { status, text: chunks.join('') };
  }
  const later = <T>(settle: () => T): Promise<T> =>
    new Promise((resolve, reject) =>
      setTimeout(() => {
        try {
          resolve(settle());
        } catch (error) {
          reject(error as Error);
        }
      }, 50),
    );
  const head = '<?xml version="1.0" encoding="UTF-8"?>\n';

  it('begin with blanks, and end with the document, or with what went wrong', async () => {
    expect(await answerOf(Promise.resolve(`${head}<Done/>`))).to.deep.equal({ status: 200, text: `${head}<Done/>` });
    const slow = await answerOf(later(() => `${head}<Done/>`));
    expect(slow.status).to.equal(200);
    expect(slow.text).to.match(/^<\?xml version="1.0" encoding="UTF-8"\?>\n +<Done\/>$/);
    const failed = await answerOf(
      later((): string => {
        throw badRequest('InvalidPart', 'none');
      }),
    );
    expect(failed.text).to.match(/^<\?xml [^>]*>\n +<Error><Code>InvalidPart<\/Code>/);
    await answerOf(Promise.reject(badRequest('InvalidPart', 'none'))).then(
      () => expect.fail('not refused'),
      (error: unknown) => expect(error).to.include({ status: 400, code: 'InvalidPart' }),
    );
  });
});
