import { expect } from 'chai';
import { mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { startTestObjectstore, type TestObjectstore } from '../../support/objectstore.js';

/** Every file and folder below a folder, with what is in it. */
function tree(folder: string, prefix = ''): string[] {
  return readdirSync(folder)
    .sort()
    .flatMap((name) => {
      const path = join(folder, name);
      if (statSync(path).isDirectory()) return [`${prefix}${name}/`, ...tree(path, `${prefix}${name}/`)];
      return [`${prefix}${name}: ${readFileSync(path, 'utf8')}`];
    });
}

describe('objectstore: requests as no client sends them', () => {
  let store: TestObjectstore;
  before(async () => {
    // Without signatures, so that nothing but the names is in the way.
    store = await startTestObjectstore({ s3_auth: 'noauth' });
    await store.send('PUT', '/b/', { as: null, body: '' });
    await store.send('PUT', '/b/key', { as: null, body: 'bits' });
    mkdirSync(join(store.runtime.flags.state_path, 'secrets'));
    writeFileSync(join(store.runtime.flags.state_path, 'secrets', 'key'), 'secret');
  });
  after(() => store.stop());

  /** Sends bytes as they are; answers everything that comes back until the server closes. */
  function raw(text: string | Buffer): Promise<string> {
    return new Promise((resolve, reject) => {
      const chunks: Buffer[] = [];
      const socket = connect(store.port, '127.0.0.1', () => socket.write(text));
      socket.on('data', (chunk) => chunks.push(chunk));
      socket.on('close', () => resolve(Buffer.concat(chunks).toString('latin1')));
      socket.on('error', (error: NodeJS.ErrnoException) =>
        error.code === 'ECONNRESET' || error.code === 'EPIPE' ? undefined : reject(error),
      );
    });
  }
  const ask = (method: string, target: string, body = '', more = ''): Promise<string> =>
    raw(
      Buffer.from(
        `${method} ${target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: ${body.length}\r\n${more}\r\n${body}`,
        'latin1',
      ),
    );
  const outcome = (answer: string): string =>
    `${/^HTTP\/1\.1 (\d+)/.exec(answer)?.[1] ?? 'no answer'} ${/<Code>(.*?)</.exec(answer)?.[1] ?? 'none'}`;
  const outside = (): string[] => tree(store.runtime.flags.state_path).filter((name) => !name.startsWith('buckets/'));
  const buckets = (): string[] => readdirSync(store.folder).sort();

  it('leave the folder of buckets by no path', async () => {
    const before = outside();
    for (const [target, wish] of [
      ['/../secrets/key', '404 NoSuchBucket'],
      ['/b/../../secrets/key', '404 NoSuchKey'],
      ['/b/../key', '404 NoSuchKey'],
      ['/./b/key', '404 NoSuchBucket'],
      ['//b/key', '404 NoSuchKey'],
      ['/b//key', '404 NoSuchKey'],
      ['/%2e%2e/secrets/key', '404 NoSuchBucket'],
      ['/%2E%2E%2Fsecrets/key', '404 NoSuchBucket'],
      ['/%252e%252e/secrets/key', '404 NoSuchBucket'],
      ['/b/%2e%2e%2f%2e%2e%2fsecrets%2fkey', '404 NoSuchKey'],
      ['/b%2fkey', '200 none'],
      ['/..%5csecrets/key', '404 NoSuchBucket'],
      ['/..\\secrets/key', '404 NoSuchBucket'],
      ['/b/..\\..\\secrets\\key', '404 NoSuchKey'],
      ['/%c0%ae%c0%ae/secrets/key', '400 InvalidURI'],
      ['/b/%c0%af', '400 InvalidURI'],
      ['/b/%ed%a0%80', '400 InvalidURI'],
      ['/b/key%00.txt', '400 InvalidArgument'],
      ['/b%00/key', '404 NoSuchBucket'],
      ['/b/%0d%0aX-Injected:%20yes', '400 InvalidArgument'],
      ['/b/%', '400 InvalidURI'],
      ['/b/%2', '400 InvalidURI'],
      ['/.nova/buckets/x', '404 NoSuchBucket'],
      ['/%2enova/objects/x', '404 NoSuchBucket'],
      ['/b/.key-0000', '404 NoSuchKey'],
      [`/b/${'x'.repeat(1025)}`, '400 KeyTooLongError'],
      [`/${'x'.repeat(256)}/key`, '404 NoSuchBucket'],
      [`/b/${'%e2%98%83'.repeat(342)}`, '400 KeyTooLongError'],
      [`/b/${'a/'.repeat(512)}`, '404 NoSuchKey'],
      [`/b/${'x'.repeat(70_000)}`, '431 none'],
      ['http://evil.example/b/key', '200 none'],
      ['http://evil.example/../secrets/key', '404 NoSuchBucket'],
      ['/b/key#/../../secrets', '200 none'],
      ['b/key', '400 none'],
      ['*', '404 NoSuchBucket'],
      ['/b/key?uploadId=../../../secrets', '404 NoSuchUpload'],
      ['/b/key?uploadId=%00', '404 NoSuchUpload'],
      ['/b?uploads&prefix=../&key-marker=%2e%2e', '200 none'],
      ['/b?prefix=../../&marker=../&delimiter=/', '200 none'],
    ] as const) {
      const answer = await ask('GET', target);
      expect(outcome(answer), target.slice(0, 60)).to.equal(wish);
      expect(answer, target.slice(0, 60)).not.to.match(/secret\b|\r\nX-Injected/);
    }
    for (const target of [
      '/../secrets/new',
      '/%2e%2e/secrets/new',
      '/..%2fsecrets/new',
      '/.nova/new',
      '/..\\new/x',
      '/%2e%2e',
      '/%2e',
      '/a%00',
      '/a%5cb',
      `/${'b'.repeat(256)}`,
      '/%c0%ae%c0%ae',
    ]) {
      expect(outcome(await ask('PUT', target, 'x')), target).to.match(/^4\d\d /);
      expect(outcome(await ask('DELETE', target)), target).to.match(/^4\d\d /);
    }
    for (const target of ['/b/../../secrets/key', '/b/%2e%2e%2f%2e%2e%2fsecrets%2fkey', '/b//etc/passwd', '/b/..']) {
      expect(outcome(await ask('PUT', target, 'mine')), target).to.equal('200 none');
      expect(await ask('GET', target), target).to.match(/\r\n\r\nmine$/);
      expect(outcome(await ask('DELETE', target)), target).to.equal('204 none');
    }
    expect(outside()).to.deep.equal(before);
    expect(buckets()).to.deep.equal(['.nova', 'b']);
  });

  it('tell names apart which look alike', async () => {
    const names = ['\u00e9', 'e\u0301', '\uff0e\uff0e', '\u202ecod.exe', '\u200b', 'A', 'a', 'a ', ' a', 'CON', 'a:b'];
    for (const name of names) {
      expect(
        outcome(await ask('PUT', `/b/${encodeURIComponent(name)}`, `at ${name.length} ${names.indexOf(name)}`)),
      ).to.equal('200 none');
    }
    for (const name of names) {
      const answer = await ask('GET', `/b/${encodeURIComponent(name)}`);
      expect(answer.slice(-20), name).to.contain(`at ${name.length} ${names.indexOf(name)}`);
      expect(outcome(await ask('DELETE', `/b/${encodeURIComponent(name)}`))).to.equal('204 none');
    }
  });

  it('are no way to have one request taken for two, or to write into headers', async () => {
    const smuggled = 'GET /b/key HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n';
    for (const [what, text] of [
      ['two lengths', `PUT /b/s HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\nContent-Length: 5\r\n\r\n${smuggled}`],
      [
        'length and chunks',
        `PUT /b/s HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n${smuggled}`,
      ],
      [
        'an encoding of another kind',
        `PUT /b/s HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n${smuggled}`,
      ],
      ['a length below zero', `PUT /b/s HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n${smuggled}`],
      [
        'a line end alone in a header',
        `PUT /b/s HTTP/1.1\r\nHost: x\r\nx-amz-meta-a: b\nX-Injected: yes\r\nContent-Length: 1\r\n\r\nx`,
      ],
      ['a blank in a header’s name', `PUT /b/s HTTP/1.1\r\nHost: x\r\nContent-Length : 5\r\n\r\n${smuggled}`],
      ['a NUL in a header', 'PUT /b/s HTTP/1.1\r\nHost: x\r\nx-amz-meta-a: \0\r\nContent-Length: 1\r\n\r\nx'],
      ['a NUL in the path', 'GET /b/\0key HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n'],
      ['no HTTP', '\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03'],
    ] as const) {
      const answer = await raw(Buffer.from(text, 'latin1'));
      expect(answer, what).to.match(/^HTTP\/1\.1 400 /);
      expect(answer.match(/^HTTP\/1\.1 /gm), what).to.have.length(1);
      expect(answer, what).not.to.match(/\r\nX-Injected/i);
    }
    expect(outcome(await ask('GET', '/b/s'))).to.equal('404 NoSuchKey');
    const odd = 'x-amz-meta-odd: caf\u00e9\r\nContent-Type: text/x;a="b"\r\n';
    expect(outcome(await ask('PUT', '/b/meta', 'x', odd))).to.equal('200 none');
    expect(await ask('HEAD', '/b/meta')).to.match(/x-amz-meta-odd: caf\u00e9\r\n/i);
    const names = 'x-amz-meta-__proto__: a\r\nx-amz-meta-constructor: b\r\n';
    expect(outcome(await ask('PUT', '/b/meta', 'x', names))).to.equal('200 none');
    expect(await ask('HEAD', '/b/meta')).to.match(/x-amz-meta-__proto__: a\r\nx-amz-meta-constructor: b\r\n/i);
    const long = await ask('PUT', '/b/meta', 'x', `x-amz-meta-long: ${'x'.repeat(3000)}\r\n`);
    expect(outcome(long)).to.equal('400 MetadataTooLarge');
  });

  it('have a thousand parameters which count', async () => {
    expect(await ask('GET', `/b?${'a=1&'.repeat(999)}acl`)).to.contain('<AccessControlPolicy');
    expect(await ask('GET', `/b?${'a=1&'.repeat(1000)}acl`)).to.contain('<ListBucketResult');
  });

  it('bring documents which nobody reads to their end, or at all', async () => {
    const laughs = Array.from({ length: 10 }, (_, at) => `<!ENTITY l${at + 1} "${`&l${at};`.repeat(10)}">`).join('');
    const documents = [
      `<!DOCTYPE x [<!ENTITY l0 "k">${laughs}]><Delete><Object><Key>&l10;</Key></Object></Delete>`,
      '<!DOCTYPE x [<!ENTITY f SYSTEM "file:///etc/passwd">]><Delete><Object><Key>&f;</Key></Object></Delete>',
      '<!DOCTYPE x SYSTEM "http://127.0.0.1:1/x.dtd"><Delete><Object><Key>key</Key></Object></Delete>',
      `<Delete>${'<Object><Key>k</Key></Object>'.repeat(1001)}</Delete>`,
      `<Delete>${'<a>'.repeat(100_000)}`,
      `<Delete>${'<Object/>'.repeat(200_000)}</Delete>`,
      '<Delete><Object><Key></Key></Object></Delete>',
      '<Delete><Object><Key>key</Key></Object>',
      '<Other><Object><Key>key</Key></Object></Other>',
      '<__proto__><Object><Key>key</Key></Object></__proto__>',
      '<constructor><Object><Key>key</Key></Object></constructor>',
      '<Delete><__proto__><Key>key</Key></__proto__><constructor/></Delete>',
      '<Delete><Object><Key>key</Key></Object></Delete><Delete/>',
      '<Delete><Object><Key>key</Key></Object></Delete>garbage',
      '<Delete><Object><Key>key</Key></Object></Delete></Delete>',
      'garbage<Delete><Object><Key>key</Key></Object></Delete>',
      Buffer.from('<Delete><Object><Key>key</Key></Object></Delete>', 'utf16le').toString('latin1'),
      '<Delete><Object><Key>\xff</Key></Object></Delete>',
    ];
    for (const body of documents) {
      expect(outcome(await ask('POST', '/b?delete', body)), body.slice(0, 60)).to.equal('400 MalformedXML');
    }
    expect(outcome(await ask('POST', '/b?delete', ' '.repeat(2_200_000)))).to.equal('400 EntityTooLarge');
    const tricks = ['../b/key', '../../secrets/key', '/etc/passwd', '.', '..', 'x'.repeat(2000), '.key-0'];
    const list = tricks.map((key) => `<Object><Key>${key}</Key></Object>`).join('');
    const deleted = await ask('POST', '/b?delete', `<Delete>${list}</Delete>`);
    expect(deleted.match(/<Deleted>/g)).to.have.length(tricks.length);
    // What else has a body is not looked at, and not kept.
    for (const [method, target] of [
      ['PUT', '/b?acl'],
      ['PUT', '/b/key?acl'],
    ] as const) {
      for (const body of documents) expect(outcome(await ask(method, target, body)), target).to.equal('200 none');
      expect(outcome(await ask(method, target, ' '.repeat(2_200_000))), target).to.equal('400 EntityTooLarge');
    }
    expect(await ask('GET', '/b/key')).to.match(/\r\n\r\nbits$/);
    expect(readFileSync(join(store.runtime.flags.state_path, 'secrets', 'key'), 'utf8')).to.equal('secret');
    expect(store.log.lines.filter((line) => /^(ERROR|CRITICAL)/.test(line))).to.deep.equal([]);
  });
});
