import { Readable } from 'node:stream';
import type { DoorRequest, DoorResponse, HttpDoor } from '../common/http/door.js';
import type { Logger } from '../common/log.js';
import type { Runtime } from '../common/runtime/runtime.js';
import type { Access, Visitor } from './access.js';
import { failure, inTime, page, xml } from './answers.js';
import {
  countOf,
  givenHeaders,
  notAllowed,
  objectHeaders,
  readParts,
  readRange,
  type Asked,
  type Patience,
} from './asked.js';
import { readDocument, sentBytes } from './body.js';
import type { BucketStore, Wish } from './bucketStore.js';
import { checkConditions, copyRange, copySource, type CopySource } from './copy.js';
import { readDeleteRequest } from './deleteRequest.js';
import {
  aclDocument,
  bucketsDocument,
  copiedDocument,
  deletedDocument,
  listingDocument,
  locationDocument,
  taggingDocument,
} from './documents.js';
import { checkKey, splitPath } from './names.js';
import { accessDenied, badRequest, noSuchKey, notImplemented, S3Refusal } from './refusal.js';
import { UploadDoor } from './uploadDoor.js';
import type { UploadStore } from './uploadStore.js';

/** Keys in a listing unless the client wants fewer (nova 2011.3, nova/objectstore/s3server.py). */
const mostKeys = 50_000;
/** Bytes of a request whose body is a document. */
const largestDocument = 2 * 1024 * 1024;
/** Bytes of a refused upload which are read and thrown away, so that the client, still sending, gets the answer. */
const mostDrained = 16 * 1024 * 1024;
/** Milliseconds in which a document, and the rest of a refused upload, must come. */
export const usualPatience = { documentMs: 120_000, drainMs: 30_000 } as const;

const empty = { 'content-type': 'text/html; charset=UTF-8' };
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
  'torrent',
  'versionId',
  'versioning',
  'versions',
  'website',
];

/** The S3 API of nova-objectstore (nova 2011.3, nova/objectstore/s3server.py), and what today's clients need beyond it. */
export class ObjectDoor implements HttpDoor {
  readonly #runtime: Runtime;
  readonly #store: BucketStore;
  readonly #access: Access;
  readonly #uploads: UploadDoor;
  readonly #patience: Patience;
  readonly #logger: Logger;

  constructor(parts: {
    readonly runtime: Runtime;
    readonly store: BucketStore;
    readonly uploads: UploadStore;
    readonly access: Access;
    /** {@link usualPatience} when absent. */
    readonly patience?: Omit<Patience, 'after'>;
  }) {
    this.#runtime = parts.runtime;
    this.#store = parts.store;
    this.#access = parts.access;
    this.#uploads = new UploadDoor(parts.runtime, parts.uploads, (asked) => this.#openSource(asked));
    this.#patience = { ...(parts.patience ?? usualPatience), after: (ms, fn) => parts.runtime.after(ms, fn) };
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
    const admission = await this.#access.admit(parts);
    const place = splitPath(parts.decodedPath);
    if (place === null) return this.#root(parts.method, admission.visitor);
    const asked: Asked = {
      ...parts,
      ...admission,
      ...place,
      options: new Map(parts.query),
      body: request.body,
      patience: this.#patience,
    };
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
      await readDocument(asked, largestDocument);
      await this.#store.create(bucket, visitor.project, visitor.isAdmin);
      return done(200, { location: asked.path });
    }
    const found = await this.#usable(asked);
    if (options.has('uploads')) return this.#uploads.list(asked);
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
        await readDocument(asked, largestDocument);
        return done();
      case 'POST':
        if (options.has('delete')) return this.#deleteMany(asked);
        throw notImplemented('An upload by an HTML form');
      default:
        throw notAllowed(method);
    }
  }

  async #list(asked: Asked): Promise<DoorResponse> {
    const { bucket, options } = asked;
    const option = (name: string): string => options.get(name) ?? '';
    const isVersion2 = option('list-type') === '2';
    const wish: Wish = {
      prefix: option('prefix'),
      marker: isVersion2 ? option('continuation-token') || option('start-after') : option('marker'),
      delimiter: option('delimiter'),
      maxKeys: Math.min(countOf(asked, 'max-keys', mostKeys), mostKeys),
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
    const body = await readDocument(asked, largestDocument);
    const { keys, quiet } = readDeleteRequest(body);
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
    if (asked.options.has('uploads') || asked.options.has('uploadId')) return this.#uploads.handle(asked);
    if (asked.options.has('partNumber')) throw notImplemented('A part of an object');
    if (asked.options.has('tagging')) {
      await this.#store.object(bucket, key);
      if (method !== 'GET') throw notImplemented('A tag of an object');
      return page(taggingDocument());
    }
    if (asked.options.has('acl')) {
      await this.#store.object(bucket, key);
      if (method === 'GET') return page(aclDocument(found.owner ?? 'nova'));
      if (method !== 'PUT') throw notAllowed(method);
      await readDocument(asked, largestDocument);
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
    if ('x-amz-copy-source' in asked.headers) return this.#copy(asked);
    const sent = sentBytes(asked, this.#runtime.flags.s3_max_object);
    const { etag } = await this.#store.put(asked.bucket, asked.key, sent, givenHeaders(asked.headers));
    return done(200, { etag: `"${etag}"`, ...sent.confirmed() });
  }

  async #copy(asked: Asked): Promise<DoorResponse> {
    const { bucket, key, headers } = asked;
    const directive = headers['x-amz-metadata-directive'] ?? 'COPY';
    if (directive !== 'COPY' && directive !== 'REPLACE') {
      throw badRequest('InvalidArgument', 'x-amz-metadata-directive is neither COPY nor REPLACE');
    }
    const given = directive === 'REPLACE' ? givenHeaders(headers) : null;
    const from = copySource(headers['x-amz-copy-source']!);
    if (given === null && from.bucket === bucket && from.key === key) {
      throw badRequest('InvalidRequest', 'A copy of an object to itself must change its metadata');
    }
    const { object, bytes } = await this.#openSource(asked);
    const incoming = { source: bytes, limit: this.#runtime.flags.s3_max_object, check: () => undefined };
    const copying = this.#store.put(bucket, key, incoming, given ?? object);
    const document = copying.then(({ etag, modified }) => copiedDocument('CopyObjectResult', etag, modified));
    return inTime(this.#runtime, document);
  }

  /** The object of x-amz-copy-source, as the conditions in the headers want it, and its bytes. Throws S3Refusal. */
  async #openSource(asked: Asked): Promise<CopySource> {
    const { bucket, key } = copySource(asked.headers['x-amz-copy-source']!);
    await this.#usable({ bucket, visitor: asked.visitor });
    return this.#store.read(bucket, key, (object) => {
      checkConditions(asked, object);
      return copyRange(asked, object);
    });
  }

  async #usable({ bucket, visitor }: Pick<Asked, 'bucket' | 'visitor'>): ReturnType<BucketStore['get']> {
    const found = await this.#store.get(bucket);
    if (!visitor.mayUse(found)) throw accessDenied();
    return found;
  }

  async #failed(request: DoorRequest, error: unknown): Promise<DoorResponse> {
    if (!Buffer.isBuffer(request.body)) await drain(request.body, this.#patience);
    const resource = request.url.replace(/\?.*$/s, '').slice(0, 1024);
    const { status, document } = failure(this.#runtime, error, resource);
    return { status, headers: xml, body: document };
  }
}

/** Reads and throws away what a client is still sending, within bounds. */
async function drain(body: Readable, patience: Patience): Promise<void> {
  if (body.destroyed || body.readableEnded) return;
  await new Promise<void>((resolve) => {
    let size = 0;
    const end = (): void => {
      body.off('data', count).off('end', end).off('close', end).off('error', end);
      body.pause().on('error', () => undefined);
      timer.cancel();
      resolve();
    };
    const count = (chunk: Buffer): void => {
      size += chunk.length;
      if (size > mostDrained) end();
    };
    const timer = patience.after(patience.drainMs, end);
    body.on('end', end).on('close', end).on('error', end).on('data', count);
  });
}
