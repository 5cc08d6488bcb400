import { expect } from 'chai';
import { createHash, randomBytes } from 'node:crypto';
import { existsSync, readdirSync, rmSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { join } from 'node:path';
import { type DaemonProcess, spawnDaemon } from '../support/daemons.js';
import { sendS3, type S3Answer } from '../support/objectstore.js';
import { freePort } from '../support/serverProcess.js';
import { temporaryFolder } from '../support/temporary.js';

const MiB = 1024 * 1024;
const md5 = (bytes: Buffer): string => createHash('md5').update(bytes).digest('hex');

describe('nova-objectstore killed with kill -9', function () {
  this.timeout(120_000);
  const folder = temporaryFolder('objectstore');
  const incoming = join(folder, 'buckets', '.nova', 'incoming');
  let port: number;
  let daemon: DaemonProcess;

  const start = async (): Promise<void> => {
    const flags = ['--s3_auth=noauth', '--s3_host=127.0.0.1', `--s3_port=${port}`, `--state_path=${folder}`];
    daemon = await spawnDaemon('nova-objectstore', flags);
  };
  const send = (method: string, target: string, body: Buffer | string = ''): Promise<S3Answer> =>
    sendS3(port, method, target, { as: null, body });
  const begin = async (key: string): Promise<string> =>
    /<UploadId>(.*?)</.exec((await send('POST', `/b/${key}?uploads`)).text)![1]!;
  const listed = async (key: string, id: string): Promise<string[]> =>
    [...(await send('GET', `/b/${key}?uploadId=${id}`)).text.matchAll(/<PartNumber>(\d+)</g)].map((match) => match[1]!);
  const until = async (condition: () => boolean): Promise<void> => {
    while (!condition()) await new Promise((resolve) => setTimeout(resolve, 1));
  };

  before(async () => {
    port = await freePort();
    await start();
    await send('PUT', '/b/');
  });
  after(async () => {
    await daemon?.stop();
    rmSync(folder, { recursive: true, force: true });
  });

  /** Begins to send a body which never ends. */
  async function sendHalf(target: string): Promise<Socket> {
    const socket = connect(port, '127.0.0.1');
    socket.on('error', () => undefined);
    socket.write(`PUT ${target} HTTP/1.1\r\nHost: x\r\nContent-Length: ${10 * MiB}\r\n\r\n`);
    socket.write(Buffer.alloc(MiB));
    await until(() => readdirSync(incoming).length > 0);
    return socket;
  }

  it('in the middle of an upload keeps what was whole, and nothing else', async () => {
    await send('PUT', '/b/old', 'old');
    const id = await begin('parts');
    await send('PUT', `/b/parts?partNumber=1&uploadId=${id}`, 'whole');
    for (const target of ['/b/old', `/b/parts?partNumber=1&uploadId=${id}`, `/b/parts?partNumber=2&uploadId=${id}`]) {
      const socket = await sendHalf(target);
      await daemon.kill();
      socket.destroy();
      await start();
      expect(readdirSync(incoming), target).to.deep.equal([]);
      expect((await send('GET', '/b/old')).text, target).to.equal('old');
      expect(await listed('parts', id), target).to.deep.equal(['1']);
    }
    expect((await send('DELETE', `/b/parts?uploadId=${id}`)).status).to.equal(204);
  });

  it('while it makes an object of parts leaves the old object and the upload, or the new object', async () => {
    const parts = Array.from({ length: 4 }, () => randomBytes(6 * MiB));
    const whole = Buffer.concat(parts);
    const list = parts
      .map((part, at) => `<Part><PartNumber>${at + 1}</PartNumber><ETag>${md5(part)}</ETag></Part>`)
      .join('');
    const document = `<CompleteMultipartUpload>${list}</CompleteMultipartUpload>`;
    const seen = new Set<string>();
    for (let round = 0; round < 6; round++) {
      const key = `joined-${round}`;
      await send('PUT', `/b/${key}`, 'old');
      const id = await begin(key);
      for (const [at, part] of parts.entries())
        await send('PUT', `/b/${key}?partNumber=${at + 1}&uploadId=${id}`, part);
      const upload = join(folder, 'buckets', '.nova', 'uploads');
      const note = join(upload, readdirSync(upload)[0]!, id, 'upload');
      const asked = send('POST', `/b/${key}?uploadId=${id}`, document).catch(() => null);
      // Early, later, and about when the object takes its place.
      if (round < 3) await until(() => readdirSync(incoming).length > 0 || !existsSync(note));
      if (round % 3 === 1) await new Promise((resolve) => setTimeout(resolve, 20));
      if (round === 2) await until(() => readdirSync(incoming).length === 0);
      if (round > 3) await until(() => !existsSync(note));
      await daemon.kill();
      await asked;
      await start();
      const found = (await send('GET', `/b/${key}`)).body;
      seen.add(found.equals(whole) ? 'new' : found.toString('latin1', 0, 10));
      // Whoever got no answer asks again.
      const again = await send('POST', `/b/${key}?uploadId=${id}`, document);
      expect(again.status, again.text).to.equal(200);
      expect((await send('GET', `/b/${key}`)).body.equals(whole), key).to.equal(true);
      expect((await send('GET', '/b/?uploads')).text).not.to.contain('<UploadId>');
    }
    expect(['new', 'old']).to.include.members([...seen]);
    expect(seen.has('new')).to.equal(true);
  });
});
