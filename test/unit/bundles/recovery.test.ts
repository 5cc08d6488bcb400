import { expect } from 'chai';
import { createPrivateKey, createPublicKey } from 'node:crypto';
import { mkdirSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { createServer, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { Bundles } from '../../../common/cloud/bundles.js';
import { Context } from '../../../common/context.js';
import { flagsFrom } from '../../../common/flags/values.js';
import { createImageService } from '../../../common/images/client.js';
import type { Image } from '../../../common/images/imageService.js';
import { RealRuntime } from '../../../common/runtime/real.js';
import { startApiCloud, type ApiCloud } from '../../support/apiCloud.js';
import { bundleOf, tarOf } from '../../support/bundle.js';
import { temporaryFolder } from '../../support/temporary.js';

describe('registering bundles: daemons which end', function () {
  this.timeout(60_000);
  let cloud: ApiCloud;
  let store: Server;
  let work: string;
  let manifest: string;
  /** Requests for parts, which the store leaves without an end. */
  const hanging: ServerResponse[] = [];

  before(async () => {
    work = temporaryFolder('bundles');
    cloud = await startApiCloud({ ca_path: join(work, 'CA') });
    const cloudKey = createPublicKey(createPrivateKey(readFileSync(join(work, 'CA', 'private', 'cakey.pem'))));
    ({ manifest } = bundleOf({ tar: tarOf([{ name: 'img', content: Buffer.alloc(100) }]), cloudKey }));
    store = createServer((request, response) => {
      if (request.url?.endsWith('.xml')) return void response.end(manifest);
      response.writeHead(200).write('some bytes');
      hanging.push(response);
    });
    await new Promise<void>((resolve) => store.listen(0, '127.0.0.1', resolve));
  });
  after(async () => {
    store.closeAllConnections();
    store.close();
    await cloud.stop();
    rmSync(work, { recursive: true, force: true });
  });

  /** The part of a nova-api which registers bundles, in a runtime of its own. */
  function daemon(port = 8773): { bundles: Bundles; runtime: RealRuntime; context: Context } {
    const flags = flagsFrom({
      host: 'cloud1',
      my_ip: '127.0.0.1',
      ec2_listen_port: port,
      s3_port: (store.address() as AddressInfo).port,
      image_decryption_dir: join(work, 'unpack'),
      ca_path: join(work, 'CA'),
      glance_api_servers: [`127.0.0.1:${cloud.imagesPort}`],
    });
    const runtime = new RealRuntime({ binary: 'nova-api', flags, log: cloud.log });
    const images = createImageService(runtime);
    const context = new Context({ ...cloud.adminContext(), projectId: 'demo' });
    return { runtime, bundles: new Bundles({ runtime, db: cloud.db, images }), context };
  }

  async function until(image: Image, state: string): Promise<Image> {
    for (let round = 0; round < 2000; round++) {
      const now = await cloud.images.show(cloud.adminContext(), image.id);
      if (now.properties['image_state'] === state) return now;
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    throw new Error(`Image ${image.id} does not become ${state}`);
  }
  const unpacked = (): string[] => readdirSync(join(work, 'unpack'));

  it('leaves an image which says so when a daemon dies; its successor ends it, and cleans up', async () => {
    const first = daemon();
    const image = await first.bundles.register(first.context, { location: 'b/x.xml', blockDevices: [] });
    await until(image, 'downloading');
    while (hanging.length === 0) await new Promise((resolve) => setTimeout(resolve, 5));
    first.runtime.halt();
    mkdirSync(join(work, 'unpack', 'somebody-else'), { recursive: true });
    expect(unpacked()).to.have.length(2);

    const other = daemon(9999);
    await other.bundles.recover();
    expect((await until(image, 'downloading')).status).to.equal('queued');
    const second = daemon();
    await second.bundles.recover();
    const ended = await until(image, 'failed_download');
    expect(ended.properties['image_state_reason']).to.match(/ended before it was done/);
    expect(unpacked()).to.deep.equal(['somebody-else']);
  });

  it('takes an image whose bits were all there for available, and fails the others by their step', async () => {
    const { bundles } = daemon();
    const begun = async (state: string, bits?: string): Promise<Image> =>
      cloud.images.create(
        cloud.adminContext(),
        { name: state, properties: { image_state: state, registered_by: 'cloud1:8773/old', project_id: 'demo' } },
        bits === undefined ? undefined : (new Blob([bits]).stream() as ReadableStream<Uint8Array>),
      );
    const images = {
      pending: await begun('pending'),
      decrypting: await begun('decrypting'),
      untarring: await begun('untarring'),
      uploading: await begun('uploading'),
    };
    const whole = await begun('uploading', 'bits');
    const done = await begun('available', 'bits');
    await bundles.recover();
    await until(images.pending, 'failed_download');
    await until(images.decrypting, 'failed_decrypt');
    await until(images.untarring, 'failed_untar');
    await until(images.uploading, 'failed_upload');
    await until(whole, 'available');
    await until(done, 'available');
  });

  it('ends images as failed when it is stopped, those which wait for their turn too', async () => {
    const { bundles, context } = daemon(7777);
    const images: Image[] = [];
    for (let count = 0; count < 4; count++) {
      images.push(await bundles.register(context, { location: 'b/x.xml', blockDevices: [] }));
    }
    await until(images[0]!, 'downloading');
    await bundles.stop();
    for (const image of images) {
      const { properties } = await cloud.images.show(cloud.adminContext(), image.id);
      expect(properties['image_state']).to.equal('failed_download');
    }
    expect(unpacked()).to.deep.equal(['somebody-else']);
  });
});
