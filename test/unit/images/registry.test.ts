import { expect } from 'chai';
import { createHash } from 'node:crypto';
import { request, type OutgoingHttpHeaders } from 'node:http';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { adminContext, Context } from '../../../common/context.js';
import { Duplicate, ImageNotFound, ImageServiceUnavailable } from '../../../common/errors.js';
import { GlanceImageService } from '../../../common/images/client.js';
import type { ImageService } from '../../../common/images/imageService.js';
import type { Runtime } from '../../../common/runtime/runtime.js';
import { imagesDoor } from '../../../nova-api/images/start.js';
import type { HttpDoor } from '../../../common/http/door.js';
import { listen, streamingLimits } from '../../../common/http/listen.js';
import { testRuntime } from '../../support/runtime.js';

/** A fetch which ends at the door. */
function fetchOf(door: () => HttpDoor): typeof fetch {
  return async (input, init) => {
    const url = new URL(String(input));
    if (url.port === '1') throw new TypeError('fetch failed', { cause: new Error('connect ECONNREFUSED') });
    const body = init?.body === undefined ? Buffer.alloc(0) : Readable.fromWeb(init.body as never);
    const headers: Record<string, string> = Object.fromEntries(new Headers(init?.headers));
    if (init?.body !== undefined) headers['transfer-encoding'] = 'chunked';
    const response = await door().handle({
      method: init?.method ?? 'GET',
      url: url.pathname + url.search,
      headers,
      remoteAddress: '127.0.0.1',
      body,
    });
    const answer = response.body instanceof Readable ? Readable.toWeb(response.body) : response.body;
    return new Response(
      init?.method === 'HEAD' ? null : (answer as ConstructorParameters<typeof Response>[0]),
      response,
    );
  };
}

function bits(text: string): ReadableStream<Uint8Array> {
  return new Blob([text]).stream() as ReadableStream<Uint8Array>;
}

async function textOf(stream: ReadableStream<Uint8Array>): Promise<string> {
  return new Response(stream).text();
}

describe('image registry and its client', () => {
  let runtime: Runtime;
  let door: HttpDoor;
  let images: ImageService;
  let admin: Context;
  const user = (projectId: string): Context =>
    new Context({ ...admin, isAdmin: false, userId: `${projectId}-user`, projectId });

  beforeEach(async () => {
    const made = testRuntime({ glance_api_servers: ['registry:9292'] });
    runtime = made.runtime;
    Object.assign(runtime, { fetch: fetchOf(() => door) });
    door = await imagesDoor({ runtime });
    images = new GlanceImageService(runtime);
    admin = adminContext(runtime);
  });

  it('keeps bits and description, and answers them as they were given', async () => {
    const made = await images.create(
      admin,
      {
        name: 'Jörg – lucid',
        disk_format: 'raw',
        container_format: 'bare',
        is_public: true,
        properties: { arch: 'x86_64' },
      },
      bits('hello image'),
    );
    expect(made).to.include({
      id: '1',
      status: 'active',
      size: 11,
      checksum: createHash('md5').update('hello image').digest('hex'),
    });
    const shown = await images.show(admin, '1');
    expect(shown).to.deep.include({ name: 'Jörg – lucid', size: 11, is_public: true, properties: { arch: 'x86_64' } });
    expect(await textOf(await images.download(admin, '1'))).to.equal('hello image');
    expect(shown.created_at).to.match(/^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d/);
  });

  it('shows a private image to its project and to administrators alone', async () => {
    const own = await images.create(admin, { name: 'own', properties: { project_id: 'acme' } }, bits('x'));
    expect((await images.detail(user('acme'))).map((image) => image.name)).to.deep.equal(['own']);
    expect(await images.detail(user('other'))).to.deep.equal([]);
    expect(await images.detail(admin)).to.have.length(1);
    await images.show(user('other'), own.id).then(
      () => expect.fail('was shown'),
      (error) => expect(error).to.be.instanceOf(ImageNotFound),
    );
  });

  it('survives a restart, uses no id twice, and marks an upload which was cut off as killed', async () => {
    await images.create(admin, { name: 'a' }, bits('a'));
    await images.create(admin, { name: 'b' });
    await images.delete(admin, '1');
    const file = join(runtime.flags.images_path, '2.json');
    const queued = JSON.parse(await runtime.files.read(file)) as object;
    await runtime.files.writeAtomic(file, JSON.stringify({ ...queued, status: 'saving' }));
    door = await imagesDoor({ runtime });
    expect((await images.detail(admin)).map(({ id, status }) => [id, status])).to.deep.equal([['2', 'killed']]);
    expect((await images.create(admin, { name: 'c' })).id).to.equal('3');
    expect(await runtime.files.exists(join(runtime.flags.images_path, '1.data'))).to.equal(false);
  });

  it('keeps properties which an update does not name, and takes bits once', async () => {
    const queued = await images.create(admin, { name: 'late', properties: { kernel_id: '7' } });
    expect(queued.status).to.equal('queued');
    const updated = await images.update(admin, queued.id, { properties: { image_state: 'available' } }, bits('now'));
    expect(updated).to.deep.include({ status: 'active', properties: { kernel_id: '7', image_state: 'available' } });
    await images.update(admin, queued.id, {}, bits('again')).then(
      () => expect.fail('was taken'),
      (error) => expect(error).to.be.instanceOf(Duplicate),
    );
  });

  it('keeps what others change while bits come in, and takes them from one of two', async () => {
    await images.create(admin, { name: 'first' });
    let feed!: ReadableStreamDefaultController<Uint8Array>;
    const slow = new ReadableStream<Uint8Array>({ start: (controller) => void (feed = controller) });
    const upload = images.update(admin, '1', { disk_format: 'raw', container_format: 'bare' }, slow);
    const second = await images.update(admin, '1', {}, bits('other')).catch((error: unknown) => error);
    expect(second).to.be.instanceOf(Duplicate);
    feed.enqueue(Buffer.from('whole'));
    feed.close();
    await Promise.all([
      upload,
      images.update(admin, '1', { is_public: true }),
      images.update(admin, '1', { name: 'second' }),
    ]);
    const image = await images.show(admin, '1');
    expect(image).to.include({ name: 'second', status: 'active', is_public: true, size: 5, disk_format: 'raw' });
    expect(await textOf(await images.download(admin, '1'))).to.equal('whole');
  });

  it('leaves an image deleted whose bits were still coming in', async () => {
    await images.create(admin, { name: 'first' });
    let feed!: ReadableStreamDefaultController<Uint8Array>;
    const slow = new ReadableStream<Uint8Array>({ start: (controller) => void (feed = controller) });
    const upload = images.update(admin, '1', { disk_format: 'raw', container_format: 'bare' }, slow);
    feed.enqueue(Buffer.from('half'));
    await images.update(admin, '1', { name: 'second' });
    await images.delete(admin, '1');
    feed.close();
    expect(await upload.catch((error: unknown) => error)).to.be.instanceOf(ImageNotFound);
    expect(await images.detail(admin)).to.deep.equal([]);
    expect(await runtime.files.list(join(runtime.flags.state_path, 'images'))).to.deep.equal(['1.json']);
    door = await imagesDoor({ runtime });
    expect(await images.detail(admin)).to.deep.equal([]);
  });

  it('leaves nothing of an upload which breaks off', async () => {
    const broken = new ReadableStream<Uint8Array>({
      pull(controller) {
        controller.enqueue(new Uint8Array(10));
        controller.error(new Error('gone'));
      },
    });
    await images.create(admin, { name: 'broken' }, broken).then(
      () => expect.fail('was stored'),
      () => undefined,
    );
    expect((await images.detail(admin)).map((image) => image.status)).to.deep.equal(['killed']);
    expect(
      (await runtime.files.list(runtime.flags.images_path)).filter((name) => !name.endsWith('.json')),
    ).to.deep.equal([]);
  });

  it('refuses bits which are too many, announced or not, and leaves none of them', async () => {
    Object.assign(runtime, { flags: { ...runtime.flags, images_max_size: 1000 } });
    door = await imagesDoor({ runtime });
    const options = { name: 'images', host: '127.0.0.1', port: 0, limits: streamingLimits };
    const listener = await listen(runtime, door, options);
    // The answer comes before all is sent: what was announced is never sent, the rest of the chunks neither.
    const send = (method: string, path: string, headers: OutgoingHttpHeaders, sent: number): Promise<number> =>
      new Promise((resolve, reject) => {
        const common = { 'content-type': 'application/octet-stream', ...headers };
        const { host, port } = listener.address;
        const sending = request({ host, port, method, path, headers: common }, (response) => {
          resolve(response.statusCode!);
          sending.destroy();
        });
        sending.on('error', reject).write(Buffer.alloc(sent));
      });
    const files = (): Promise<string[]> => runtime.files.list(runtime.flags.images_path);
    try {
      expect(await send('POST', '/v1/images', { 'content-length': '1001' }, 1)).to.equal(413);
      const announced = { 'transfer-encoding': 'chunked', 'x-image-meta-size': '1001' };
      expect(await send('POST', '/v1/images', announced, 1)).to.equal(413);
      expect(await files()).to.deep.equal([]);
      expect(await send('POST', '/v1/images', { 'transfer-encoding': 'chunked' }, 1001)).to.equal(413);
      await images.create(admin, { name: 'queued' });
      expect(await send('PUT', '/v1/images/2', { 'content-length': '1001' }, 1)).to.equal(413);
      expect((await images.detail(admin)).map(({ status }) => status)).to.deep.equal(['killed', 'queued']);
      expect(await send('PUT', '/v1/images/2', { 'transfer-encoding': 'chunked' }, 1001)).to.equal(413);
      expect((await images.detail(admin)).map(({ status }) => status)).to.deep.equal(['killed', 'killed']);
      expect((await files()).sort()).to.deep.equal(['1.json', '2.json']);
      expect(await images.create(admin, {}, bits('x'.repeat(1000)))).to.include({ status: 'active', size: 1000 });
    } finally {
      await listener.stop(0);
    }
  });

  it('refuses formats which do not exist and bits which are not those announced', async () => {
    const create = (headers: Record<string, string>, body: string): Promise<number> =>
      door
        .handle({
          method: 'POST',
          url: '/v1/images',
          headers: { 'content-type': 'application/octet-stream', 'content-length': String(body.length), ...headers },
          remoteAddress: null,
          body: Buffer.from(body),
        })
        .then((response) => response.status);
    expect(await create({ 'x-image-meta-disk_format': 'floppy' }, 'x')).to.equal(400);
    expect(await create({ 'x-image-meta-disk_format': 'ami', 'x-image-meta-container_format': 'bare' }, 'x')).to.equal(
      400,
    );
    expect(await create({ 'x-image-meta-size': '5' }, 'x')).to.equal(400);
    expect(await create({ 'x-image-meta-checksum': 'f'.repeat(32) }, 'x')).to.equal(400);
    expect(await create({ 'x-image-meta-id': '../../etc/passwd' }, 'x')).to.equal(400);
    expect(await create({ 'x-image-meta-location': 'file:///etc/passwd' }, 'x')).to.equal(400);
    expect(await create({ 'x-image-meta-id': '77' }, 'x')).to.equal(201);
    expect(await create({ 'x-image-meta-id': '77' }, 'x')).to.equal(409);
  });

  it('answers paths which it does not have, and a client which asks for one says so', async () => {
    const status = async (method: string, url: string): Promise<number> =>
      (await door.handle({ method, url, headers: {}, remoteAddress: null, body: Buffer.alloc(0) })).status;
    expect(await status('GET', '/v2/images')).to.equal(404);
    expect(await status('GET', '/v1/images/99')).to.equal(404);
    expect(await status('GET', '/v1/images/..%2f..%2fetc%2fpasswd')).to.equal(404);
    expect(await status('PATCH', '/v1/images/1')).to.equal(405);
    expect(await status('GET', '/v1/images?limit=x')).to.equal(400);
    for (const url of ['//[', 'http://[/x', '*', '/v1/images/constructor', '/v1/images/__proto__']) {
      expect(await status('GET', url), url).to.equal(404);
    }
    for (const url of ['/v1/images/%zz', '/v1/images/%', '/v1/images/%ff']) {
      expect(await status('GET', url), url).to.equal(404);
    }
    expect(await status('GET', '/v1/images?size_min=%zz')).to.equal(400);
    expect(await status('GET', '//')).to.equal(300);
    expect(await status('GET', '//v1/images')).to.equal(200);
    for (const url of ['/v1/images?%zz=%ff', '/v1/images?constructor=x&__proto__=y&property-__proto__=z']) {
      expect(await status('GET', url), url).to.equal(200);
    }
    expect(await status('GET', 'http://elsewhere/v1/images/detail')).to.equal(200);
    await images.show(admin, '12').then(
      () => expect.fail('was shown'),
      (error) => expect(error).to.be.instanceOf(ImageNotFound),
    );
  });

  it('keeps properties whatever their names', async () => {
    const properties = Object.fromEntries(['__proto__', 'constructor', 'tostring'].map((name) => [name, `of ${name}`]));
    const { id } = await images.create(admin, { name: 'odd', properties });
    expect(Object.entries((await images.show(admin, id)).properties)).to.deep.equal(Object.entries(properties));
  });

  it('lists more images than one page holds', async () => {
    for (let index = 0; index < 30; index++) await images.create(admin, { name: `i${index}`, is_public: true });
    expect(await images.detail(admin)).to.have.length(30);
    const page = await door.handle({
      method: 'GET',
      url: '/v1/images?limit=3&sort_key=id&sort_dir=asc&marker=2',
      headers: {},
      remoteAddress: null,
      body: Buffer.alloc(0),
    });
    const { images: rows } = JSON.parse(page.body as string) as { images: { id: number }[] };
    expect(rows.map(({ id }) => id)).to.deep.equal([3, 4, 5]);
  });

  it('goes to the next registry when one is away, and says which when all are', async () => {
    await images.create(admin, { name: 'a', is_public: true });
    const { runtime: other } = testRuntime({ glance_api_servers: ['registry:1', 'registry:9292'] });
    Object.assign(other, { fetch: fetchOf(() => door) });
    expect(await new GlanceImageService(other).detail(admin)).to.have.length(1);
    const { runtime: none } = testRuntime({ glance_api_servers: ['registry:1'] });
    Object.assign(none, { fetch: fetchOf(() => door) });
    await new GlanceImageService(none).detail(admin).then(
      () => expect.fail('was answered'),
      (error: Error) => {
        expect(error).to.be.instanceOf(ImageServiceUnavailable);
        expect(error.message).to.contain('registry:1').and.to.contain('ECONNREFUSED');
      },
    );
  });

  it('is asked without a socket by who is in the same process, and answers the same', async () => {
    const properties = { arch: 'x86_64', motto: ' à ', project_id: 'acme' };
    await images.create(admin, { name: ' Jörg – à ', disk_format: 'raw', container_format: 'bare', properties });
    const { runtime: here } = testRuntime({ glance_api_servers: ['registry:1'] });
    Object.assign(here, { fetch: fetchOf(() => door) });
    const own = new GlanceImageService(here, { server: 'registry:1', door });
    expect(await own.show(admin, '1')).to.deep.equal(await images.show(admin, '1'));
    for (const work of [own.show(user('other'), '1'), own.show(admin, '2')]) {
      await work.then(
        () => expect.fail('was shown'),
        (error) => expect(error).to.be.instanceOf(ImageNotFound),
      );
    }
    const { runtime: there } = testRuntime({ glance_api_servers: ['registry:1'] });
    Object.assign(there, { fetch: fetchOf(() => door) });
    await new GlanceImageService(there, { server: 'registry:2', door }).show(admin, '1').then(
      () => expect.fail('was answered'),
      (error) => expect(error).to.be.instanceOf(ImageServiceUnavailable),
    );
  });
});
