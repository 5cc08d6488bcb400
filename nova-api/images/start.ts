import { STATUS_CODES } from 'node:http';
import { Readable } from 'node:stream';
import type { DaemonParts } from '../../common/daemon.js';
import { Duplicate, errorText, ImageNotFound, Invalid } from '../../common/errors.js';
import type { Image, ImageFields } from '../../common/images/imageService.js';
import { briefImageJson, imageHeaders, imageJson, isTrue, readImageHeaders } from '../../common/images/wire.js';
import type { Logger } from '../../common/log.js';
import { BodyTooLarge, type DoorRequest, type DoorResponse, type HttpDoor } from '../../common/http/door.js';
import { decodedPath, splitTarget } from '../../common/http/target.js';
import { type ExpectedData, ImageStore } from './imageStore.js';
import { listImages } from './listing.js';

/**
 * The image registry: Glance's HTTP API v1 (glance 2011.3, glance/api/v1/images.py) over files below the flag
 * images_path. As Glance's own default, it asks for no credentials: who can reach the port can read and change every
 * image, so the port belongs on a management network.
 */
export async function imagesDoor(parts: Pick<DaemonParts, 'runtime'>): Promise<HttpDoor> {
  const store = await ImageStore.open(parts.runtime, parts.runtime.flags.images_path);
  const { flags, log } = parts.runtime;
  return new ImagesDoor(store, flags.images_max_size, log.logger('nova.api.images'));
}

const json = { 'content-type': 'application/json' };

class ImagesDoor implements HttpDoor {
  constructor(
    private readonly store: ImageStore,
    /** Bytes of the largest image. */
    private readonly limit: number,
    private readonly logger: Logger,
  ) {}

  async handle(request: DoorRequest): Promise<DoorResponse> {
    try {
      return await this.#route(request);
    } catch (error) {
      if (error instanceof ImageNotFound) return plain(404, error.message);
      if (error instanceof Duplicate) return plain(409, error.message);
      if (error instanceof Invalid) return plain(400, error.message);
      if (error instanceof BodyTooLarge)
        return plain(413, `An image has at most ${error.limit} bytes (flag images_max_size).`);
      this.logger.error(`${request.method} ${request.url} failed: ${errorText(error)}`, error);
      const full = (error as NodeJS.ErrnoException).code === 'ENOSPC';
      return full
        ? plain(413, 'There is not enough space left to store the image.')
        : plain(500, 'The registry failed; see its log.');
    }
  }

  async #route(request: DoorRequest): Promise<DoorResponse> {
    const parts = decodedPath(request.url).split('/').filter(Boolean);
    if (parts.length === 0 || (parts.length === 1 && parts[0] === 'versions')) return versions();
    if (!/^v1(\.\d)?$/.test(parts[0]!) || parts[1] !== 'images' || parts.length > 3) {
      return plain(404, 'The resource could not be found.');
    }
    const id = parts[2];
    if (id === undefined || id === 'detail') {
      if (request.method === 'POST' && id === undefined) return this.#create(request);
      if (request.method !== 'GET' && request.method !== 'HEAD') return methodNotAllowed('GET, HEAD, POST');
      const describe = id === 'detail' ? imageJson : briefImageJson;
      return answer(200, {
        images: listImages(this.store.list(), new URLSearchParams(splitTarget(request.url).query)).map(describe),
      });
    }
    switch (request.method) {
      case 'HEAD':
        return this.#describe(this.store.get(id), Buffer.alloc(0));
      case 'GET':
        return this.#describe(this.store.get(id), Readable.from(this.store.data(id), { objectMode: false }));
      case 'PUT':
        return this.#update(id, request);
      case 'DELETE':
        return answer(200, { image: imageJson(await this.store.delete(id)) });
      default:
        return methodNotAllowed('GET, HEAD, PUT, DELETE');
    }
  }

  #describe(image: Image, body: Buffer | Readable): DoorResponse {
    const headers: Record<string, string> = { ...imageHeaders(image), 'content-type': 'application/octet-stream' };
    headers['content-length'] = String(image.size);
    if (image.checksum !== null) headers['etag'] = image.checksum;
    return { status: 200, headers, body };
  }

  async #create(request: DoorRequest): Promise<DoorResponse> {
    const { fields, expected, id } = readFields(request);
    const data = bodyOf(request, expected, this.limit);
    const image = await this.store.create({ ...fields, ...(id !== undefined && { id }) }, data, expected);
    const response = answer(201, { image: imageJson(image) });
    return { ...response, headers: { ...response.headers, location: `/v1/images/${image.id}` } };
  }

  async #update(id: string, request: DoorRequest): Promise<DoorResponse> {
    const { fields, expected } = readFields(request);
    const purge = (request.headers['x-glance-registry-purge-props'] ?? 'true').toLowerCase() !== 'false';
    const data = bodyOf(request, expected, this.limit);
    const image = await this.store.update(id, fields, { purge, expected, ...(data && { data }) });
    return answer(200, { image: imageJson(image) });
  }
}

/**
 * The bits which a request carries; undefined when it has none. Throws BodyTooLarge when it says that they are more than
 * `limit` bytes.
 */
function bodyOf(request: DoorRequest, expected: ExpectedData, limit: number): AsyncIterable<Uint8Array> | undefined {
  const { headers, body } = request;
  const length = Number(headers['content-length'] ?? 0);
  const hasBits = 'transfer-encoding' in headers || length > 0;
  if (!hasBits || (headers['content-type'] ?? '') !== 'application/octet-stream') return undefined;
  if (Math.max(length, expected.size ?? 0) > limit) throw new BodyTooLarge(limit);
  if (Buffer.isBuffer(body)) return Readable.from([body]);
  // Reading starts a little later; a stream which breaks off before that tells its reader then.
  body.on('error', () => undefined);
  // Not destroyed when it is too long: its sender still gets an answer on the same socket.
  return body.iterator({ destroyOnReturn: false }) as AsyncIterable<Uint8Array>;
}

function readFields(request: DoorRequest): { fields: ImageFields; expected: ExpectedData; id?: string } {
  const { meta, properties } = readImageHeaders(Object.entries(request.headers));
  if (meta['location'] != null || meta['copy_from'] != null) {
    throw new Invalid('This registry keeps the bits itself: x-image-meta-location is not supported.');
  }
  const fields: ImageFields = { properties };
  if (meta['name'] !== undefined) fields.name = meta['name'];
  if (meta['disk_format'] !== undefined) fields.disk_format = meta['disk_format'];
  if (meta['container_format'] !== undefined) fields.container_format = meta['container_format'];
  if (meta['is_public'] !== undefined) fields.is_public = isTrue(meta['is_public']);
  const expected: ExpectedData = {};
  if (meta['size'] != null) {
    const size = Number(meta['size']);
    if (!Number.isSafeInteger(size) || size < 0)
      throw new Invalid(`Invalid image size '${meta['size'].slice(0, 40)}'.`);
    expected.size = size;
  }
  if (meta['checksum'] != null) expected.checksum = meta['checksum'].toLowerCase();
  return { fields, expected, ...(meta['id'] != null && { id: meta['id'] }) };
}

function answer(status: number, body: unknown): DoorResponse {
  return { status, headers: json, body: JSON.stringify(body) };
}

function plain(status: number, text: string): DoorResponse {
  return {
    status,
    headers: { 'content-type': 'text/plain; charset=UTF-8' },
    body: `${status} ${STATUS_CODES[status] ?? ''}\n\n${text}\n`,
  };
}

function methodNotAllowed(allow: string): DoorResponse {
  const response = plain(405, 'The method is not allowed for this resource.');
  return { ...response, headers: { ...response.headers, allow } };
}

function versions(): DoorResponse {
  const version = (id: string, status: string): object => ({ id, status, links: [{ rel: 'self', href: '/v1/' }] });
  return answer(300, { versions: [version('v1.1', 'CURRENT'), version('v1.0', 'SUPPORTED')] });
}
