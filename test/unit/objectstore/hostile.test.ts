import { expect } from 'chai';
import { createHash } from 'node:crypto';
import { mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { percentEncode, s3SignatureV2 } from '../../../common/auth/signing.js';
import { s3Demo, s3Eve, s3Joe, startTestObjectstore, type TestObjectstore } from '../../support/objectstore.js';
import { signedHeadersV4, signedQueryV4 } from '../../support/s3Chunks.js';

/** Every file below a folder, relative. */
function tree(folder: string, prefix = ''): string[] {
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry) =>
    entry.isDirectory() ? tree(join(folder, entry.name), `${prefix}${entry.name}/`) : [`${prefix}${entry.name}`],
  );
}

describe('objectstore: names', () => {
  let store: TestObjectstore;
  before(async () => {
    store = await startTestObjectstore();
    await store.send('PUT', '/b/', { body: '' });
  });
  after(() => store.stop());

  it('keeps keys of every kind within the bucket, and gives each back as it was', async () => {
    const keys = [
      '../../etc/passwd',
      '..',
      '.',
      './x',
      '/absolute',
      '//double//',
      'dir/',
      'dir/file',
      '.hidden',
      '.nova/x',
      '.key-0000',
      'per%2Fcent',
      '%00',
      'a+b c',
      'snow ☃ and 𝄞',
      'ünïcode'.normalize('NFD'),
      'C:\\windows',
      'x'.repeat(300),
      '☃'.repeat(341),
      '<&>"\'',
    ];
    const outside = tree(store.runtime.flags.state_path).filter((name) => !name.startsWith('buckets/'));
    for (const key of keys) {
      const target = `/b/${key.split('/').map(percentEncode).join('/')}`;
      expect((await store.send('PUT', target, { body: `at ${key}` })).status, key).to.equal(200);
    }
    for (const key of keys) {
      const answer = await store.send('GET', `/b/${key.split('/').map(percentEncode).join('/')}`);
      expect(answer.text, key).to.equal(`at ${key}`);
    }
    const list = await store.send('GET', '/b/?encoding-type=url');
    const listed = [...list.text.matchAll(/<Key>(.*?)<\/Key>/g)].map((match) => decodeURIComponent(match[1]!));
    expect(listed.sort()).to.deep.equal([...keys].sort());
    expect(tree(store.runtime.flags.state_path).filter((name) => !name.startsWith('buckets/'))).to.deep.equal(outside);
    for (const key of keys) {
      const target = `/b/${key.split('/').map(percentEncode).join('/')}`;
      expect((await store.send('DELETE', target)).status, key).to.equal(204);
    }
    expect(tree(store.folder).filter((name) => !name.startsWith('.nova/buckets/'))).to.deep.equal([]);
  });

  it('refuses keys which nobody could list', async () => {
    for (const [target, outcome] of [
      [`/b/${'k'.repeat(1025)}`, '400 KeyTooLongError'],
      ['/b/a%00b', '400 InvalidArgument'],
      ['/b/a%0Ab', '400 InvalidArgument'],
      ['/b/%ff%fe', '400 InvalidURI'],
      ['/b/%zz', '400 InvalidURI'],
    ] as const) {
      const answer = await store.send('PUT', target, { body: 'x' });
      expect(`${answer.status} ${answer.code}`, target).to.equal(outcome);
    }
  });

  it('refuses bucket names which leave the folder or are its own', async () => {
    for (const name of ['..', '.', '.nova', '%2e%2e', 'a%5Cb', 'a%00', 'b'.repeat(256), '%2e%2e%2fx']) {
      const answer = await store.send('PUT', `/${name}`, { body: '' });
      expect(answer.status, name).to.be.oneOf([400, 404]);
      const read = await store.send('GET', `/${name}/`);
      expect(read.status, name).to.be.oneOf([400, 404]);
    }
    const get = await store.send('GET', '/.nova/buckets');
    expect(`${get.status} ${get.code}`).to.equal('404 NoSuchBucket');
  });

  it('follows no link which somebody put among the objects', async () => {
    writeFileSync(join(store.runtime.flags.state_path, 'secret'), 'secret');
    symlinkSync('../../secret', join(store.folder, 'b', 'link'));
    symlinkSync('..', join(store.folder, 'up'));
    expect((await store.send('GET', '/b/link')).code).to.equal('NoSuchKey');
    expect((await store.send('GET', '/up/')).code).to.equal('NoSuchBucket');
    expect((await store.send('PUT', '/b/link', { body: 'x' })).status).to.equal(403);
    expect(readFileSync(join(store.runtime.flags.state_path, 'secret'), 'utf8')).to.equal('secret');
  });

  it('serves the buckets which 2011.3 left, to administrators, who may give them to a project', async () => {
    mkdirSync(join(store.folder, 'old'));
    writeFileSync(join(store.folder, 'old', 'image.manifest.xml'), '<manifest/>');
    const read = await store.send('GET', '/old/image.manifest.xml');
    expect(read.text).to.equal('<manifest/>');
    expect(read.headers['etag']).to.equal(`"${createHash('md5').update('<manifest/>').digest('hex')}"`);
    expect((await store.send('GET', '/old/', { as: s3Demo })).code).to.equal('AccessDenied');
    expect(
      (await store.send('PUT', '/old/', { as: { access: 'akey:demo', secret: 'skey' }, body: '' })).status,
    ).to.equal(200);
    expect((await store.send('GET', '/old/', { as: s3Joe })).status).to.equal(200);
    expect((await store.send('GET', '/old/', { as: s3Eve })).code).to.equal('AccessDenied');
  });
});

describe('objectstore: who may what', () => {
  let store: TestObjectstore;
  before(async () => {
    store = await startTestObjectstore();
    await store.send('PUT', '/demo/', { as: s3Demo, body: '' });
    await store.send('PUT', '/demo/key', { as: s3Demo, body: 'bits' });
  });
  after(() => store.stop());

  it('checks signatures with the users’ keys', async () => {
    for (const [as, code] of [
      [null, 'AccessDenied'],
      [{ access: 'dkey:demo', secret: 'wrong' }, 'SignatureDoesNotMatch'],
      [{ access: 'nobody:demo', secret: 'x' }, 'InvalidAccessKeyId'],
      [{ access: 'ekey:demo', secret: 'esecret' }, 'InvalidAccessKeyId'],
      [{ access: 'notchecked', secret: 'notchecked' }, 'InvalidAccessKeyId'],
    ] as const) {
      const answer = await store.send('GET', '/demo/key', { as });
      expect(`${answer.status} ${answer.code}`).to.equal(`403 ${code}`);
    }
    expect((await store.send('GET', '/demo/key', { as: s3Joe })).text).to.equal('bits');
  });

  it('keeps a project’s buckets from other projects', async () => {
    for (const [method, target] of [
      ['GET', '/demo/key'],
      ['HEAD', '/demo/key'],
      ['PUT', '/demo/key'],
      ['DELETE', '/demo/key'],
      ['GET', '/demo/'],
      ['HEAD', '/demo/'],
      ['PUT', '/demo/'],
      ['DELETE', '/demo/'],
      ['POST', '/demo/?delete'],
      ['GET', '/demo/?acl'],
    ] as const) {
      const answer = await store.send(method, target, { as: s3Eve, ...(method === 'PUT' && { body: 'x' }) });
      expect(answer.status, `${method} ${target}`).to.equal(403);
    }
    expect((await store.send('GET', '/', { as: s3Eve })).text).not.to.contain('<Name>');
    expect((await store.send('GET', '/', { as: s3Demo })).text).to.contain('<Name>demo</Name>');
    expect((await store.send('GET', '/demo/key')).text).to.equal('bits');
  });

  it('takes a signed query until it ends, and not for another key', async () => {
    const now = Math.floor(store.runtime.clock.now() / 1000);
    const url = (expires: number, path = '/demo/key'): string => {
      const signature = s3SignatureV2('dsecret', { method: 'GET', path, query: [], headers: {} }, String(expires));
      return `?AWSAccessKeyId=dkey%3Ademo&Expires=${expires}&Signature=${encodeURIComponent(signature)}`;
    };
    const ask = async (target: string): Promise<string> => {
      const answer = await store.send('GET', target, { as: null });
      return answer.status === 200 ? answer.text : answer.code;
    };
    expect(await ask(`/demo/key${url(now + 60)}`)).to.equal('bits');
    expect(await ask(`/demo/key${url(now - 1)}`)).to.equal('AccessDenied');
    expect(await ask(`/demo/other${url(now + 60)}`)).to.equal('SignatureDoesNotMatch');
  });

  it('takes version 4 in header and query, and refuses bytes other than the signed ones', async () => {
    const by = { ...s3Demo, host: `127.0.0.1:${store.port}` };
    const ofX = '2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881';
    const put = (path: string, body: string, hash: string): Promise<{ status: number; code: string }> =>
      store.send('PUT', path, { as: null, body, headers: signedHeadersV4(by, { method: 'PUT', path, hash }) });
    expect((await put('/demo/v4%20key', 'x', ofX)).status).to.equal(200);
    expect((await put('/demo/v4%20key', 'y', ofX)).code).to.equal('XAmzContentSHA256Mismatch');
    expect((await store.send('GET', '/demo/v4%20key', { as: s3Demo })).text).to.equal('x');
    expect((await put('/demo/v4', 'x', 'no hash')).code).to.equal('InvalidDigest');

    const target = `/demo/key?${signedQueryV4(by, '/demo/key', 600_000_000)}`;
    const { host } = by;
    expect((await store.send('GET', target, { as: null, headers: { host } })).text).to.equal('bits');
    const wrong = await store.send('GET', target.replace('/key', '/key2'), { as: null, headers: { host } });
    expect(wrong.code).to.equal('SignatureDoesNotMatch');
  });

  it('looks for no signed header in the prototype of objects', async () => {
    const by = { ...s3Demo, host: `127.0.0.1:${store.port}` };
    const { authorization, ...signed } = signedHeadersV4(by, {
      method: 'GET',
      path: '/demo/key',
      hash: 'UNSIGNED-PAYLOAD',
    });
    for (const name of ['constructor', '__proto__', 'tostring']) {
      const named = authorization.replace('SignedHeaders=host;', `SignedHeaders=host;${name};`);
      const answer = await store.send('GET', '/demo/key', { as: null, headers: { ...signed, authorization: named } });
      expect(`${answer.status} ${answer.code}`, name).to.equal('403 SignatureDoesNotMatch');
    }
    const query = signedQueryV4(by, '/demo/key', 600_000_000).replace(
      'SignedHeaders=host',
      'SignedHeaders=host%3Bconstructor',
    );
    const { host } = by;
    expect((await store.send('GET', `/demo/key?${query}`, { as: null, headers: { host } })).status).to.equal(403);
    expect(store.log.lines.filter((line) => line.startsWith('ERROR'))).to.deep.equal([]);
  });

  it('takes signatures as clients make them: a slash which is not sent, lines which are sorted whole', async () => {
    const headers = { date: 'Tue, 20 Sep 2011 12:00:00 GMT' };
    const signature = s3SignatureV2('dsecret', { method: 'HEAD', path: '/demo/', query: [], headers });
    const authorization = `AWS dkey:demo:${signature}`;
    const ask = async (target: string, signed: Record<string, string>): Promise<number> =>
      (await store.send('HEAD', target, { as: null, headers: signed })).status;
    expect(await ask('/demo', { ...headers, authorization })).to.equal(200);
    expect(await ask('/demo/key', { ...headers, authorization })).to.equal(403);
    const by = { ...s3Demo, host: `127.0.0.1:${store.port}` };
    const request = { method: 'HEAD', path: '/demo/key', hash: 'UNSIGNED-PAYLOAD' };
    const range = { 'x-amz-copy-source': 'a', 'x-amz-copy-source-range': 'b' };
    expect(await ask('/demo/key', signedHeadersV4(by, request, range))).to.equal(200);
    const sortedWhole = signedHeadersV4(by, request, range, (a, b) => (a < b ? -1 : 1));
    expect(await ask('/demo/key', sortedWhole)).to.equal(200);
    expect(await ask('/demo/key', { ...sortedWhole, 'x-amz-copy-source': 'c' })).to.equal(403);
  });

  it('without authentication lets everybody in, and warns', async () => {
    const open = await startTestObjectstore({ s3_auth: 'noauth' });
    expect((await open.send('PUT', '/any/', { as: null, body: '' })).status).to.equal(200);
    expect((await open.send('PUT', '/any/key', { as: null, body: 'x' })).status).to.equal(200);
    expect((await open.send('GET', '/any/key', { as: null })).text).to.equal('x');
    expect(open.log.lines.join('\n')).to.match(/WARNING .*without authentication/);
    await open.stop();
  });
});

describe('objectstore: bytes', () => {
  let store: TestObjectstore;
  before(async () => {
    store = await startTestObjectstore({ s3_max_object: 1_000_000 });
    await store.send('PUT', '/b/', { body: '' });
  });
  after(() => store.stop());
  const leftovers = (): string[] => readdirSync(join(store.folder, '.nova', 'incoming'));

  it('refuses what is too large, said or not', async () => {
    const large = Buffer.alloc(1_000_001);
    expect((await store.send('PUT', '/b/large', { body: large })).code).to.equal('EntityTooLarge');
    const chunked = { 'transfer-encoding': 'chunked' };
    expect((await store.send('PUT', '/b/large', { body: large, headers: chunked })).code).to.equal('EntityTooLarge');
    expect((await store.send('GET', '/b/large')).code).to.equal('NoSuchKey');
    expect(leftovers()).to.deep.equal([]);
  });

  it('keeps the old object when an upload breaks off', async () => {
    await store.send('PUT', '/b/key', { body: 'old' });
    const headers = { date: 'x', 'content-length': '1000' };
    const signature = s3SignatureV2('skey', { method: 'PUT', path: '/b/key', query: [], headers });
    await new Promise<void>((resolve) => {
      const socket = connect(store.port, '127.0.0.1', () => {
        socket.write(
          `PUT /b/key HTTP/1.1\r\nHost: x\r\nDate: x\r\nContent-Length: 1000\r\nAuthorization: AWS akey:proj:${signature}\r\n\r\nnew`,
        );
        setTimeout(() => socket.destroy(), 100);
      });
      socket.on('close', () => resolve());
      socket.on('error', () => undefined);
    });
    while (leftovers().length > 0) await new Promise((resolve) => setTimeout(resolve, 10));
    expect((await store.send('GET', '/b/key')).text).to.equal('old');
  });

  it('gives one whole object to whoever reads while many write it', async () => {
    const bodies = Array.from({ length: 10 }, (_, index) => String(index).repeat(200_000 + index * 1000));
    await store.send('PUT', '/b/race', { body: bodies[0]! });
    const writes = bodies.map((body) => store.send('PUT', '/b/race', { body }));
    const reads = bodies.map(() => store.send('GET', '/b/race'));
    for (const answer of await Promise.all(reads)) {
      expect(bodies.includes(answer.text)).to.equal(true);
    }
    const etags = (await Promise.all(writes)).map((answer) => answer.headers['etag']);
    const last = await store.send('GET', '/b/race');
    expect(etags).to.include(last.headers['etag']);
    expect(leftovers()).to.deep.equal([]);
  });

  it('makes one bucket of racing requests, and no object in a bucket that goes', async () => {
    const made = await Promise.all(Array.from({ length: 8 }, () => store.send('PUT', '/race/', { body: '' })));
    expect(made.filter((answer) => answer.status === 200)).to.have.length(1);
    const [put, gone] = await Promise.all([
      store.send('PUT', '/race/k', { body: 'x' }),
      store.send('DELETE', '/race/'),
    ]);
    const exists = (await store.send('GET', '/race/k')).status === 200;
    expect([put.status, gone.status, exists]).to.be.deep.oneOf([
      [200, 403, true],
      [404, 204, false],
    ]);
  });

  it('answers parts of an object', async () => {
    await store.send('PUT', '/b/part', { body: '0123456789' });
    for (const [range, status, text] of [
      ['bytes=2-4', 206, '234'],
      ['bytes=7-', 206, '789'],
      ['bytes=-3', 206, '789'],
      ['bytes=8-100', 206, '89'],
      ['bytes=5-2', 200, '0123456789'],
      ['bytes=0-1,3-4', 200, '0123456789'],
      ['lines=1-2', 200, '0123456789'],
    ] as const) {
      const answer = await store.send('GET', '/b/part', { headers: { range } });
      expect([answer.status, answer.text], range).to.deep.equal([status, text]);
    }
    expect((await store.send('GET', '/b/part', { headers: { range: 'bytes=10-' } })).status).to.equal(416);
  });

  it('lists by pages, with common prefixes', async () => {
    await store.send('PUT', '/pages/', { body: '' });
    for (const key of ['a/1', 'a/2', 'b', 'c/1', 'd']) await store.send('PUT', `/pages/${key}`, { body: 'x' });
    const seen: string[] = [];
    let token = '';
    for (;;) {
      const target = `/pages/?list-type=2&delimiter=/&max-keys=1${token && `&continuation-token=${percentEncode(token)}`}`;
      const { text } = await store.send('GET', target);
      seen.push(...[...text.matchAll(/<(?:Key|CommonPrefixes><Prefix)>(.*?)</g)].map((match) => match[1]!));
      if (!text.includes('<IsTruncated>true')) break;
      token = /<NextContinuationToken>(.*?)</.exec(text)![1]!;
    }
    expect(seen).to.deep.equal(['a/', 'b', 'c/', 'd']);
  });

  it('deletes many objects, and refuses XML which is no list of them', async () => {
    for (const key of ['m1', 'm2']) await store.send('PUT', `/b/${key}`, { body: 'x' });
    const body =
      '<Delete><Object><Key>m1</Key></Object><Object><Key>m2</Key></Object><Object><Key>m3</Key></Object></Delete>';
    const answer = await store.send('POST', '/b/?delete', { body });
    expect(answer.text.match(/<Deleted>/g)).to.have.length(3);
    const deep = `${'<a>'.repeat(3000)}${'</a>'.repeat(3000)}`;
    const bomb =
      '<!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]><Delete><Object><Key>&b;</Key></Object></Delete>';
    for (const bad of ['', '<', '<Delete/>', deep, bomb, 'x'.repeat(3_000_000)]) {
      const refused = await store.send('POST', '/b/?delete', { body: bad });
      expect(refused.status, bad.slice(0, 20)).to.equal(400);
    }
  });

  it('refuses what it would do otherwise than meant', async () => {
    for (const [method, target, headers] of [
      ['PUT', '/b/copy', { 'x-amz-copy-source': '/b/key?versionId=1' }],
      ['GET', '/b/key?partNumber=1', {}],
      ['PUT', '/b/key?tagging', {}],
      ['PUT', '/b/key', { 'x-amz-content-sha256': 'STREAMING-OF-ANOTHER-KIND' }],
      ['PUT', '/b/?policy', {}],
    ] as const) {
      const answer = await store.send(method, target, {
        headers: { ...headers },
        ...(method === 'PUT' && { body: 'x' }),
      });
      expect(`${answer.status} ${answer.code}`, target).to.equal('501 NotImplemented');
    }
    expect((await store.send('GET', '/b/key')).text).to.equal('old');
  });
});
