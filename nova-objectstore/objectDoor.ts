import { Readable } from 'node:stream';
import { errorText } from '../common/errors.js';
import { BodyTooLarge, readBody, type DoorRequest, type DoorResponse, type HttpDoor } from '../common/http/door.js';
import type { Logger } from '../common/log.js';
import type { Runtime } from '../common/runtime/runtime.js';
import type { Access, Visitor } from './access.js';
import type { BucketStore, ByteRange, Incoming, StoredObject, Wish } from './bucketStore.js';
import { readDeleteRequest } from './deleteRequest.js';
import {
  aclDocument,
  bucketsDocument,
  deletedDocument,
  errorDocument,
  listingDocument,
  locationDocument,
} from './documents.js';
import { checkKey, decodePercent, splitPath } from './names.js';
import { accessDenied, badRequest, noSuchKey, notImplemented, S3Refusal } from './refusal.js';
import type { S3Request } from './signatures.js';

/** Keys in a listing unless the client wants fewer (nova 2011.3, nova/objectstore/s3server.py). */
const mostKeys = 50_000;
/** Bytes of a request whose body is a document. */
const largestDocument = 2 * 1024 * 1024;
/** Bytes of metadata which S3 lets an object have. */
const largestMetadata = 2048;
/** Bytes of a refused upload which are read and thrown away, so that the client, still sending, gets the answer. */
const patience = 16 * 1024 * 1024;

const empty = { 'content-type': 'text/html; charset=UTF-8' };
const xml = { 'content-type': 'application/xml; charset=UTF-8' };
const page = (body: string): DoorResponse => ({ status: 200, headers: xml, body });
const done = (status = 200, headers: Record<string, string> = {}): DoorResponse => ({
  status,
  headers: { ...empty, ...headers },
  body: '',
});

/** Parts of the query which mean another thing than the bucket or object itself, and which nobody has written. */
const missingSubresources = [
  'cors',
  'lifecycle',
  'logging',
  'notification',
  'policy',
  'replication',
  'requestPayment',
  'restore',
  'tagging',
  'torrent',
  'uploadId',
  'uploads',
  'versionId',
  'versioning',
  'versions',
  'website',
];

/** One request, read and decoded. */
interface Asked extends S3Request {
  readonly bucket: string;
  /** Empty when the request is about the bucket. */
  readonly key: string;
  readonly options: ReadonlyMap<string, string | null>;
  readonly body: DoorRequest['body'];
  /** SHA-256 which the caller signed for the body. */
  readonly bodySha256: string | undefined;
  readonly visitor: Visitor;
}

/** The S3 API of nova-objectstore (nova 2011.3, nova/objectstore/s3server.py), and what today's clients need beyond it. */
export class ObjectDoor implements HttpDoor {
  readonly #runtime: Runtime;
  readonly #store: BucketStore;
  readonly #access: Access;
  readonly #logger: Logger;

  constructor(parts: { readonly runtime: Runtime; readonly store: BucketStore; readonly access: Access }) {
    this.#runtime = parts.runtime;
    this.#store = parts.store;
    this.#access = parts.access;
    this.#logger = parts.runtime.log.logger('nova.objectstore');
  }

  async handle(request: DoorRequest): Promise<DoorResponse> {
    let response: DoorResponse;
    try {
      response = await this.#serve(request);
    } catch (error) {
      response = await this.#failed(request, error);
    }
    const path = request.url.replace(/\?.*$/s, '').slice(0, 300);
    this.#logger.info(`${request.remoteAddress ?? '-'} ${request.method} ${path} ${response.status}`);
    return response;
  }

  async #serve(request: DoorRequest): Promise<DoorResponse> {
    const parts = readParts(request);
    const { visitor, bodySha256 } = await this.#access.admit(parts);
    const place = splitPath(parts.decodedPath);
    if (place === null) return this.#root(parts.method, visitor);
    const asked: Asked = { ...parts, ...place, options: new Map(parts.query), body: request.body, visitor, bodySha256 };
    if (asked.bucket === '') throw noSuchKey();
    const missing = missingSubresources.find((name) => asked.options.has(name));
    if (missing !== undefined) throw notImplemented(`The subresource ${missing}`);
    return asked.key === '' ? this.#bucket(asked) : this.#object(asked);
  }

  async #root(method: string, visitor: Visitor): Promise<DoorResponse> {
    if (method !== 'GET' && method !== 'HEAD') throw notAllowed(method);
    return page(bucketsDocument((await this.#store.list()).filter((bucket) => visitor.mayUse(bucket))));
  }

  async #bucket(asked: Asked): Promise<DoorResponse> {
    const { bucket, options, visitor, method } = asked;
    if (method === 'PUT' && !options.has('acl')) {
      // A document which names a region is all that it can hold.
      await readBody(asked.body, largestDocument);
      await this.#store.create(bucket, visitor.project, visitor.isAdmin);
      return done(200, { location: asked.path });
    }
    const found = await this.#usable(asked);
    switch (method) {
      case 'HEAD':
        return done();
      case 'GET':
        if (options.has('location')) return page(locationDocument());
        if (options.has('acl')) return page(aclDocument(found.owner ?? 'nova'));
        return this.#list(asked);
      case 'DELETE':
        await this.#store.delete(bucket);
        return done(204);
      case 'PUT':
        await readBody(asked.body, largestDocument);
        return done();
      case 'POST':
        if (options.has('delete')) return this.#deleteMany(asked);
        throw notImplemented('An upload by an HTML form');
      default:
        throw notAllowed(method);
    }
  }

  async #list({ bucket, options }: Asked): Promise<DoorResponse> {
    const option = (name: string): string => options.get(name) ?? '';
    const isVersion2 = option('list-type') === '2';
    const maxKeys = option('max-keys') === '' ? mostKeys : Number(option('max-keys'));
    if (!Number.isInteger(maxKeys) || maxKeys < 0) {
      throw badRequest('InvalidArgument', 'max-keys is no integer from 0 to 2147483647');
    }
    const wish: Wish = {
      prefix: option('prefix'),
      marker: isVersion2 ? option('continuation-token') || option('start-after') : option('marker'),
      delimiter: option('delimiter'),
      maxKeys: Math.min(maxKeys, mostKeys),
    };
    const listing = await this.#store.keys(bucket, wish);
    const form = {
      bucket,
      wish,
      terse: Number(option('terse')) > 0,
      isVersion2,
      encodingType: options.get('encoding-type') ?? null,
      continuationToken: options.get('continuation-token') ?? null,
    };
    return page(listingDocument(form, listing));
  }

  async #deleteMany(asked: Asked): Promise<DoorResponse> {
    const body = await readBody(asked.body, largestDocument);
    const { keys, quiet } = await readDeleteRequest(body);
    const results = [];
    for (const key of keys) {
      let error = null;
      try {
        await this.#store.deleteObject(asked.bucket, key);
      } catch (reason) {
        if (!(reason instanceof S3Refusal)) throw reason;
        // Here, as in S3, what is gone already is no failure.
        if (reason.code !== 'NoSuchKey') error = { code: reason.code, message: reason.message };
      }
      results.push({ key, error });
    }
    return page(deletedDocument(results, quiet));
  }

  async #object(asked: Asked): Promise<DoorResponse> {
    const { bucket, key, method } = asked;
    checkKey(key);
    const found = await this.#usable(asked);
    if (asked.options.has('acl')) {
      await this.#store.object(bucket, key);
      if (method === 'GET') return page(aclDocument(found.owner ?? 'nova'));
      if (method !== 'PUT') throw notAllowed(method);
      await readBody(asked.body, largestDocument);
      return done();
    }
    switch (method) {
      case 'GET':
        return this.#read(asked);
      case 'HEAD': {
        const object = await this.#store.object(bucket, key);
        return { status: 200, headers: { ...objectHeaders(object), 'content-length': String(object.size) }, body: '' };
      }
      case 'PUT':
        return this.#put(asked);
      case 'DELETE':
        await this.#store.deleteObject(bucket, key);
        return done(204);
      default:
        throw notAllowed(method);
    }
  }

  async #read({ bucket, key, headers }: Asked): Promise<DoorResponse> {
    const { object, range, bytes } = await this.#store.read(bucket, key, ({ size }) =>
      readRange(headers['range'], size),
    );
    const body = Readable.from(bytes, { objectMode: false });
    if (range === null) {
      return { status: 200, headers: { ...objectHeaders(object), 'content-length': String(object.size) }, body };
    }
    const rangeHeaders = {
      'content-range': `bytes ${range.start}-${range.end}/${object.size}`,
      'content-length': String(range.end - range.start + 1),
    };
    return { status: 206, headers: { ...objectHeaders(object), ...rangeHeaders }, body };
  }

  async #put(asked: Asked): Promise<DoorResponse> {
    const { headers, body } = asked;
    if ('x-amz-copy-source' in headers) throw notImplemented('A copy of an object');
    if (/\baws-chunked\b/.test(headers['content-encoding'] ?? '')) throw notImplemented('The encoding aws-chunked');
    const limit = this.#runtime.flags.s3_max_object;
    const length = headers['content-length'];
    if (length !== undefined && Number(length) > limit) {
      throw badRequest('EntityTooLarge', `An object has at most ${limit} bytes`);
    }
    const wishedMd5 = headers['content-md5'];
    if (wishedMd5 !== undefined && Buffer.from(wishedMd5, 'base64').length !== 16) {
      throw badRequest('InvalidDigest', 'The Content-MD5 you specified is not valid');
    }
    const incoming: Incoming = {
      // Not destroyed when it is too long: its sender still gets an answer on the same socket.
      source: Buffer.isBuffer(body) ? [body] : body.iterator({ destroyOnReturn: false }),
      limit,
      check({ md5, sha256, size }) {
        if (length !== undefined && Number(length) !== size) {
          throw badRequest('IncompleteBody', 'The body is shorter than Content-Length says');
        }
        if (wishedMd5 !== undefined && Buffer.from(wishedMd5, 'base64').toString('hex') !== md5) {
          throw badRequest('BadDigest', 'The Content-MD5 you specified did not match what we received');
        }
        if (asked.bodySha256 !== undefined && asked.bodySha256 !== sha256) {
          throw badRequest('XAmzContentSHA256Mismatch', 'x-amz-content-sha256 did not match what we received');
        }
      },
    };
    const contentType = headers['content-type'] || null;
    const md5 = await this.#store.put(asked.bucket, asked.key, incoming, {
      contentType,
      metadata: metadataOf(headers),
    });
    return done(200, { etag: `"${md5}"` });
  }

  async #usable({ bucket, visitor }: Asked): ReturnType<BucketStore['get']> {
    const found = await this.#store.get(bucket);
    if (!visitor.mayUse(found)) throw accessDenied();
    return found;
  }

  async #failed(request: DoorRequest, error: unknown): Promise<DoorResponse> {
    if (!Buffer.isBuffer(request.body)) await drain(request.body);
    const { status, code, message } = refusalOf(error);
    if (status >= 500 && code !== 'NotImplemented') {
      this.#logger.error(`${request.method} failed: ${errorText(error)}`, error);
    }
    const resource = request.url.replace(/\?.*$/s, '').slice(0, 1024);
    return { status, headers: xml, body: errorDocument(code, message, resource, this.#runtime.random.uuid()) };
  }
}

function refusalOf(error: unknown): { status: number; code: string; message: string } {
  if (error instanceof S3Refusal) return error;
  if (error instanceof BodyTooLarge) return { status: 400, code: 'EntityTooLarge', message: error.message };
  const { code, syscall } = error as NodeJS.ErrnoException;
  if (code === 'ENOSPC' || code === 'EDQUOT') {
    return { status: 503, code: 'ServiceUnavailable', message: 'There is no space left for the object' };
  }
  if (code === 'ECONNRESET' && syscall === undefined) return badRequest('IncompleteBody', 'The request broke off');
  return { status: 500, code: 'InternalError', message: 'We encountered an internal error. Please try again.' };
}

/** Reads and throws away what a client is still sending, within bounds. */
async function drain(body: Readable): Promise<void> {
  if (body.destroyed || body.readableEnded) return;
  await new Promise<void>((resolve) => {
    let size = 0;
    const end = (): void => {
      body.off('data', count).off('end', end).off('close', end).off('error', end);
      body.pause().on('error', () => undefined);
      resolve();
    };
    const count = (chunk: Buffer): void => {
      size += chunk.length;
      if (size > patience) end();
    };
    body.on('end', end).on('close', end).on('error', end).on('data', count);
  });
}

function readParts(request: DoorRequest): S3Request {
  const relative = request.url.replace(/^https?:\/\/[^/?]*/i, '').replace(/#.*$/s, '');
  const mark = relative.indexOf('?');
  const path = (mark === -1 ? relative : relative.slice(0, mark)) || '/';
  const query = (mark === -1 ? '' : relative.slice(mark + 1))
    .split('&', 1000)
    .filter((part) => part !== '')
    .map((part): [string, string | null] => {
      const equals = part.indexOf('=');
      const decode = (text: string): string => decodePercent(text.replaceAll('+', ' '));
      return equals === -1 ? [decode(part), null] : [decode(part.slice(0, equals)), decode(part.slice(equals + 1))];
    });
  return { method: request.method, path, decodedPath: decodePercent(path), query, headers: request.headers };
}

/** One range of bytes (RFC 9110, 14.2). Null for none, and for what is no such range, which counts as none. */
function readRange(header: string | undefined, size: number): ByteRange | null {
  const match = /^bytes=(\d{0,15})-(\d{0,15})$/.exec(header?.trim() ?? '');
  if (match === null || (match[1] === '' && match[2] === '')) return null;
  const [, first, last] = match as unknown as [string, string, string];
  const start = first === '' ? Math.max(0, size - Number(last)) : Number(first);
  const end = first === '' || last === '' ? size - 1 : Math.min(Number(last), size - 1);
  if (first !== '' && last !== '' && Number(last) < Number(first)) return null;
  if (start >= size) throw new S3Refusal(416, 'InvalidRange', 'The requested range is not satisfiable');
  return { start, end };
}

function objectHeaders(object: StoredObject): Record<string, string> {
  // eslint-disable-next-line no-restricted-syntax -- formats a given time, reads no clock
  const modified = new Date(object.modified).toUTCString();
  return {
    'content-type': object.contentType ?? 'application/unknown',
    'last-modified': modified,
    etag: `"${object.md5}"`,
    'accept-ranges': 'bytes',
    // What a user stored is nothing which a browser should run.
    'x-content-type-options': 'nosniff',
    ...Object.fromEntries(Object.entries(object.metadata).map(([name, value]) => [`x-amz-meta-${name}`, value])),
  };
}

function metadataOf(headers: Readonly<Record<string, string>>): Record<string, string> {
  const metadata: Record<string, string> = {};
  let size = 0;
  for (const [name, value] of Object.entries(headers)) {
    if (!name.startsWith('x-amz-meta-')) continue;
    metadata[name.slice('x-amz-meta-'.length)] = value;
    size += name.length + value.length;
  }
  if (size > largestMetadata) throw badRequest('MetadataTooLarge', `Metadata has at most ${largestMetadata} bytes`);
  return metadata;
}

function notAllowed(method: string): S3Refusal {
  return new S3Refusal(405, 'MethodNotAllowed', `The method ${method.slice(0, 20)} is not allowed here`);
}
