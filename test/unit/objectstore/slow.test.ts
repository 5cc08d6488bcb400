import { expect } from 'chai';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { streamingLimits } from '../../../common/http/listen.js';
import { drip } from '../../support/drip.js';
import { startTestObjectstore, type TestObjectstore } from '../../support/objectstore.js';

describe('objectstore: clients which send in drops', () => {
  let store: TestObjectstore;
  afterEach(() => store.stop());

  const upload = (line: string): Promise<string> =>
    drip(store.runtime, store.port, `${line}\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n`, 20);
  const outcome = (answer: string): string =>
    `${/^HTTP\/1\.1 (\d+)/.exec(answer)?.[1] ?? 'none'} ${/<Code>(.*?)</.exec(answer)?.[1] ?? 'none'}`;

  it('get the answer to an upload which is refused without its end', async () => {
    store = await startTestObjectstore({}, { patience: { documentMs: 60_000, drainMs: 200 } });
    expect(outcome(await upload('PUT /b/key HTTP/1.1'))).to.equal('403 AccessDenied');
  });

  it('have so long for a document', async () => {
    store = await startTestObjectstore({ s3_auth: 'noauth' }, { patience: { documentMs: 200, drainMs: 60_000 } });
    await store.send('PUT', '/b/', { as: null, body: '' });
    for (const target of ['POST /b?delete', 'PUT /new', 'POST /b/key?uploads', 'PUT /b?acl']) {
      expect(outcome(await upload(`${target} HTTP/1.1`)), target).to.equal('400 RequestTimeout');
    }
    expect((await store.send('GET', '/new/', { as: null })).code).to.equal('NoSuchBucket');
    expect(store.log.lines.filter((line) => line.startsWith('ERROR'))).to.deep.equal([]);
  });

  it('hold no object', async () => {
    const slowest = { graceMs: 100, windowMs: 400, bytes: 200 };
    store = await startTestObjectstore({ s3_auth: 'noauth' }, { limits: { ...streamingLimits, slowest } });
    await store.send('PUT', '/b/', { as: null, body: '' });
    expect(await upload('PUT /b/key HTTP/1.1')).to.match(/^HTTP\/1\.1 408 /);
    while (readdirSync(join(store.folder, '.nova', 'incoming')).length > 0) await store.runtime.sleep(10);
    expect((await store.send('GET', '/b/key', { as: null })).code).to.equal('NoSuchKey');
    expect(store.log.lines.filter((line) => line.startsWith('ERROR'))).to.deep.equal([]);
  });
});
