import { expect } from 'chai';
import { s3Demo, startTestObjectstore, type TestObjectstore } from '../../support/objectstore.js';
import { signedHeadersV4, signedQueryV4 } from '../../support/s3Chunks.js';

/** When the requests of test/support/s3Chunks.ts are signed. */
const signedAt = Date.UTC(2026, 0, 1);

describe('objectstore: requests which come late', () => {
  let store: TestObjectstore;
  let now: number;
  async function start(window: number): Promise<void> {
    store = await startTestObjectstore({ ec2_timestamp_window: window });
    now = signedAt;
    Object.assign(store.runtime, { clock: { now: () => now } });
    await store.send('PUT', '/demo/', { as: s3Demo, body: '', headers: { date: new Date(now).toUTCString() } });
    await store.send('PUT', '/demo/key', { as: s3Demo, body: 'x', headers: { date: new Date(now).toUTCString() } });
  }
  afterEach(() => store.stop());

  const ask = async (target: string, as: typeof s3Demo | null, headers: Record<string, string>): Promise<string> => {
    const answer = await store.send('GET', target, { as, headers });
    return `${answer.status} ${answer.code}`;
  };
  const byV2 = (headers: Record<string, string>): Promise<string> => ask('/demo/key', s3Demo, headers);
  const byHeaderV4 = (): Promise<string> => {
    const by = { ...s3Demo, host: `127.0.0.1:${store.port}` };
    const request = { method: 'GET', path: '/demo/key', hash: 'UNSIGNED-PAYLOAD' };
    return ask('/demo/key', null, signedHeadersV4(by, request));
  };
  const byQueryV4 = (expires: number): Promise<string> => {
    const by = { ...s3Demo, host: `127.0.0.1:${store.port}` };
    return ask(`/demo/key?${signedQueryV4(by, '/demo/key', expires)}`, null, { host: by.host });
  };

  it('are refused beyond ec2_timestamp_window', async () => {
    await start(900);
    const date = new Date(signedAt).toUTCString();
    for (const [offset, wish] of [
      [0, '200 none'],
      [899, '200 none'],
      [-899, '200 none'],
      [901, '403 RequestTimeTooSkewed'],
      [-901, '403 RequestTimeTooSkewed'],
    ] as const) {
      now = signedAt + offset * 1000;
      expect(await byV2({ date }), `version 2, ${offset}`).to.equal(wish);
      expect(await byV2({ date: 'x', 'x-amz-date': date }), `x-amz-date, ${offset}`).to.equal(wish);
      expect(await byHeaderV4(), `version 4, ${offset}`).to.equal(wish);
    }
    now = signedAt;
    expect(await byV2({ date: 'some time' })).to.equal('403 RequestTimeTooSkewed');
  });

  it('are taken whenever they come without the flag', async () => {
    await start(0);
    now = signedAt + 1e9;
    expect(await byV2({ date: 'some time' })).to.equal('200 none');
    expect(await byHeaderV4()).to.equal('200 none');
  });

  it('end with X-Amz-Expires, whatever the flag says', async () => {
    for (const window of [0, 900]) {
      await start(window);
      now = signedAt + 3600_000;
      expect(await byQueryV4(3601)).to.equal('200 none');
      expect(await byQueryV4(3599)).to.equal('403 AccessDenied');
      if (window === 0) await store.stop();
    }
  });
});
