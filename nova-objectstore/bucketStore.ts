import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { Lanes } from '../common/lanes.js';
import type { Runtime } from '../common/runtime/runtime.js';
import { Arrivals, type Incoming } from './arrivals.js';
import { fileOfKey, hashedPrefix, isBucketName, isPlainKey, sha256 } from './names.js';
import { noSuchBucket, noSuchKey, S3Refusal } from './refusal.js';

/** Where what 2011.3 knows nothing of is kept, below buckets_path; no bucket's name begins with a dot. */
const ownFolder = '.nova';

export interface Bucket {
  readonly name: string;
  /** Milliseconds since the epoch. */
  readonly modified: number;
  /** The project; null for a bucket which 2011.3 made, or one without authentication. */
  readonly owner: string | null;
}

/** What a client says of an object. */
export interface ObjectHeaders {
  readonly contentType: string | null;
  /** `x-amz-meta-*` by lower-case name without that prefix. */
  readonly metadata: Readonly<Record<string, string>>;
}

export interface StoredObject extends ObjectHeaders {
  readonly key: string;
  /** Bytes. */
  readonly size: number;
  /** Milliseconds since the epoch. */
  readonly modified: number;
  /** MD5, hex; of one uploaded in parts S3's own mark of it, `MD5-PARTS`. */
  readonly etag: string;
}

/** Places of the first and the last byte. */
export interface ByteRange {
  readonly start: number;
  readonly end: number;
}

/** Which keys of a bucket to list. */
export interface Wish {
  readonly prefix: string;
  /** Keys after this one. */
  readonly marker: string;
  /** Keys with the same text up to it, after the prefix, are one common prefix; empty = none are. */
  readonly delimiter: string;
  readonly maxKeys: number;
}

export interface Listing {
  readonly objects: readonly StoredObject[];
  readonly prefixes: readonly string[];
  readonly isTruncated: boolean;
  /** The last key or common prefix of the listing; empty without one. */
  readonly last: string;
}

/** What is noted beside an object's file. It counts as long as size and time are those of the file. */
interface Note extends ObjectHeaders {
  readonly key: string;
  readonly etag: string;
  readonly size: number;
  readonly modified: number;
}

/**
 * Buckets as Nova 2011.3 keeps them (nova/objectstore/s3server.py): a bucket is a folder, an object a file of its name, so
 * that a folder of buckets which 2011.3 filled is served as it is. A key which is no file name (with slashes, too long)
 * has a file named by its hash. MD5, type, metadata and owners stand in notes below `.nova`. An object is replaced in one
 * step: a reader gets the old or the new one, and of writers who race the last one to finish stays. One process serves a
 * folder.
 */
export class BucketStore {
  readonly #lanes = new Lanes<string>();
  readonly arrivals: Arrivals;

  private constructor(
    private readonly runtime: Runtime,
    private readonly folder: string,
  ) {
    this.arrivals = new Arrivals(runtime, this.#own('incoming'));
  }

  /** Opens the folder, making it where needed. What an upload left that was cut off is removed. */
  static async open(runtime: Runtime, folder: string): Promise<BucketStore> {
    const store = new BucketStore(runtime, folder);
    const { files } = runtime;
    await store.arrivals.open();
    for (const name of ['buckets', 'objects', 'uploads']) await files.makeFolder(store.#own(name));
    return store;
  }

  /** Every bucket, by name. */
  async list(): Promise<Bucket[]> {
    const names = (await this.runtime.files.list(this.folder)).filter(isBucketName);
    const found = await Promise.all(names.map((name) => this.find(name)));
    return found.filter((bucket) => bucket !== null).sort((a, b) => inByteOrder(a.name, b.name));
  }

  /** Null when there is none. */
  async find(name: string): Promise<Bucket | null> {
    if (!isBucketName(name)) return null;
    const stat = await this.runtime.files.stat(join(this.folder, name));
    if (stat?.kind !== 'folder') return null;
    return { name, modified: stat.modified, owner: await this.#owner(name) };
  }

  /** Throws S3Refusal. */
  async get(name: string): Promise<Bucket> {
    const bucket = await this.find(name);
    if (bucket === null) throw noSuchBucket();
    return bucket;
  }

  /** Makes a bucket, or gives one which has no owner to `owner` when `adopt` says so. Throws S3Refusal for one that is taken. */
  async create(name: string, owner: string | null, adopt = false): Promise<void> {
    if (!isBucketName(name)) throw new S3Refusal(400, 'InvalidBucketName', 'The specified bucket is not valid');
    const { files } = this.runtime;
    await this.#lanes.run(name, async () => {
      const old = await this.find(name);
      if (old !== null && !(adopt && old.owner === null)) {
        throw new S3Refusal(403, 'BucketAlreadyExists', 'The requested bucket name is not available');
      }
      // The owner first: a bucket which is made half-way is nobody's, not somebody else's.
      if (owner === null) await files.remove(this.#ownerFile(name));
      else await files.writeAtomic(this.#ownerFile(name), JSON.stringify({ name, owner }));
      await files.makeFolder(join(this.folder, name));
    });
  }

  /** Removes an empty bucket. Throws S3Refusal. */
  async delete(name: string): Promise<void> {
    const { files } = this.runtime;
    await this.#lanes.run(name, async () => {
      await this.get(name);
      if (!(await files.removeEmptyFolder(join(this.folder, name)))) {
        throw new S3Refusal(403, 'BucketNotEmpty', 'The bucket you tried to delete is not empty');
      }
      await files.remove(this.#ownerFile(name));
      await files.remove(this.#own('objects', sha256(name)));
      await files.remove(this.uploadsFolder(sha256(name)));
    });
  }

  /**
   * Stores an object in place of what the key had, with its MD5 or another mark as ETag. Answers it. Throws S3Refusal, and
   * leaves everything as it was.
   */
  async put(
    bucket: string,
    key: string,
    incoming: Incoming,
    headers: ObjectHeaders,
    mark?: string,
  ): Promise<StoredObject> {
    const { files } = this.runtime;
    return this.arrivals.receive(incoming, (arrived, { md5, size }) =>
      this.within(bucket, async () => {
        const { modified } = (await files.stat(arrived))!;
        const target = this.#objectFile(bucket, key);
        const old = await files.stat(target);
        if (old !== null && old.kind !== 'file') {
          throw new S3Refusal(403, 'AccessDenied', 'The name is taken by what is no object');
        }
        await files.makeFolder(this.#own('objects', sha256(bucket)));
        const { contentType, metadata } = headers;
        const note: Note = { key, etag: mark ?? md5, size, modified, contentType, metadata };
        await files.writeAtomic(this.#noteFile(bucket, key), JSON.stringify(note));
        await files.rename(arrived, target);
        return note;
      }),
    );
  }

  /** Runs `work` while the bucket stays; nothing else changes it meanwhile. Throws S3Refusal when there is none. */
  within<T>(bucket: string, work: () => Promise<T>): Promise<T> {
    return this.#lanes.run(bucket, async () => {
      await this.get(bucket);
      return work();
    });
  }

  /** Where the unfinished uploads are: all, or those of a bucket, by the hash of its name, which go with it. */
  uploadsFolder(hash = ''): string {
    return this.#own('uploads', hash);
  }

  /** Throws S3Refusal. */
  async object(bucket: string, key: string): Promise<StoredObject> {
    const found = key === '' ? null : await this.#describe(bucket, key);
    if (found === null) throw noSuchKey();
    return found;
  }

  /**
   * An object and its bytes, or the part of them which `part` chooses; both of one moment, whoever replaces the object
   * meanwhile. The bytes must be read or returned. Throws S3Refusal.
   */
  async read(
    bucket: string,
    key: string,
    part: (object: StoredObject) => ByteRange | null,
  ): Promise<{ object: StoredObject; range: ByteRange | null; bytes: AsyncIterable<Uint8Array> }> {
    return this.#lanes.run(bucket, async () => {
      const object = await this.object(bucket, key);
      const range = part(object);
      const path = this.#objectFile(bucket, key);
      const chunks = this.runtime.files.readChunks(path, range ?? undefined)[Symbol.asyncIterator]();
      // With its first bytes the file is open, and stays this one.
      const first = await chunks.next();
      return { object, range, bytes: { [Symbol.asyncIterator]: () => startingWith(first, chunks) } };
    });
  }

  /** Throws S3Refusal when there is none. */
  async deleteObject(bucket: string, key: string): Promise<void> {
    const { files } = this.runtime;
    await this.#lanes.run(bucket, async () => {
      const target = this.#objectFile(bucket, key);
      if (key === '' || (await files.stat(target))?.kind !== 'file') throw noSuchKey();
      await files.remove(target);
      await files.remove(this.#noteFile(bucket, key));
    });
  }

  /** Keys in the order of their bytes. */
  async keys(bucket: string, wish: Wish): Promise<Listing> {
    const { prefix, marker, delimiter, maxKeys } = wish;
    const all = (await this.#allKeys(bucket)).filter((key) => key.startsWith(prefix) && inByteOrder(key, marker) > 0);
    const chosen: string[] = [];
    const prefixes: string[] = [];
    let last = '';
    let isTruncated = false;
    for (const key of all.sort(inByteOrder)) {
      const cut = delimiter === '' ? -1 : key.indexOf(delimiter, prefix.length);
      const common = cut === -1 ? null : key.slice(0, cut + delimiter.length);
      // A page which ended with a common prefix goes on after all of its keys.
      if (common !== null && (common === prefixes.at(-1) || common === marker)) continue;
      if (chosen.length + prefixes.length >= maxKeys) {
        isTruncated = true;
        break;
      }
      last = common ?? key;
      if (common === null) chosen.push(key);
      else prefixes.push(common);
    }
    const objects: StoredObject[] = [];
    for (let at = 0; at < chosen.length; at += 100) {
      const some = await Promise.all(chosen.slice(at, at + 100).map((key) => this.#describe(bucket, key)));
      // One which was removed meanwhile is left out.
      objects.push(...some.filter((object) => object !== null));
    }
    return { objects, prefixes, isTruncated, last };
  }

  async #allKeys(bucket: string): Promise<string[]> {
    const { files } = this.runtime;
    const names = await files.list(join(this.folder, bucket));
    const keys = names.filter(isPlainKey);
    for (const name of names.filter((candidate) => candidate.startsWith(hashedPrefix))) {
      const note = await this.#readNote(this.#own('objects', sha256(bucket), name.slice(hashedPrefix.length)));
      if (note !== null) keys.push(note.key);
    }
    return keys;
  }

  async #describe(bucket: string, key: string): Promise<StoredObject | null> {
    const { files } = this.runtime;
    const path = this.#objectFile(bucket, key);
    const stat = await files.stat(path);
    if (stat?.kind !== 'file') return null;
    const { size, modified } = stat;
    const note = await this.#readNote(this.#noteFile(bucket, key));
    if (note !== null && note.size === size && note.modified === modified) return { ...note, key };
    // Stored by 2011.3, or a note which was written for bytes that never came.
    const md5 = createHash('md5');
    try {
      for await (const chunk of files.readChunks(path)) md5.update(chunk);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
      throw error;
    }
    return { key, size, modified, etag: md5.digest('hex'), contentType: null, metadata: {} };
  }

  async #readNote(path: string): Promise<Note | null> {
    const text = await this.runtime.files.read(path).catch((error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT') return null;
      throw error;
    });
    if (text === null) return null;
    // Notes had `md5` before there were uploads in parts.
    const note = JSON.parse(text) as Note & { readonly md5?: string };
    return { ...note, etag: note.etag ?? note.md5 ?? '' };
  }

  async #owner(bucket: string): Promise<string | null> {
    const text = await this.runtime.files.read(this.#ownerFile(bucket)).catch((error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT') return null;
      throw error;
    });
    return text === null ? null : (JSON.parse(text) as { owner: string }).owner;
  }

  #own(...parts: string[]): string {
    return join(this.folder, ownFolder, ...parts);
  }
  #ownerFile(bucket: string): string {
    return this.#own('buckets', sha256(bucket));
  }
  #noteFile(bucket: string, key: string): string {
    return this.#own('objects', sha256(bucket), sha256(key));
  }
  #objectFile(bucket: string, key: string): string {
    return join(this.folder, bucket, fileOfKey(key));
  }
}

function startingWith<T>(first: IteratorResult<T>, rest: AsyncIterator<T>): AsyncIterator<T> {
  let pending: IteratorResult<T> | null = first;
  return {
    async next() {
      const result = pending ?? (await rest.next());
      pending = null;
      return result;
    },
    async return(value?: T) {
      await rest.return?.();
      return { done: true, value: value as T };
    },
  };
}

function inByteOrder(a: string, b: string): number {
  return Buffer.compare(Buffer.from(a), Buffer.from(b));
}
