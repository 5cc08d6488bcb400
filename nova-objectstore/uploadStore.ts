import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { Lanes } from '../common/lanes.js';
import type { Runtime } from '../common/runtime/runtime.js';
import { entityTooLarge, type Incoming } from './arrivals.js';
import type { BucketStore, ObjectHeaders, StoredObject } from './bucketStore.js';
import { badDigest, Comparison, type ChecksumName } from './checksums.js';
import { sha256 } from './names.js';
import { badRequest, S3Refusal } from './refusal.js';

/** What S3 lets an upload have (https://docs.aws.amazon.com/AmazonS3/latest/userguide/qfacts.html). */
export const uploadLimits = { parts: 10_000, smallestPart: 5 * 1024 * 1024 } as const;

/** An upload in parts which is not finished. */
export interface PendingUpload extends ObjectHeaders {
  /** 32 hex digits. */
  readonly id: string;
  readonly key: string;
  /** Milliseconds since the epoch. */
  readonly initiated: number;
}

/** A part which has arrived. */
export interface UploadedPart {
  readonly number: number;
  /** MD5, hex. */
  readonly md5: string;
  /** Bytes. */
  readonly size: number;
  /** Milliseconds since the epoch. */
  readonly modified: number;
}

/** A part as the client names it at the end. */
export interface NamedPart {
  readonly number: number;
  /** Without quotes. */
  readonly etag: string;
  readonly checksums: ReadonlyMap<ChecksumName, string>;
}

const noSuchUpload = (): S3Refusal =>
  new S3Refusal(
    404,
    'NoSuchUpload',
    'The specified upload does not exist. The upload ID may be invalid, or the upload may have been aborted or completed.',
  );
const invalidPart = (number: number): S3Refusal =>
  badRequest('InvalidPart', `Part ${number} was not uploaded, or its ETag or checksum is another`);

/** The file which says what an upload is for; without it there is none. */
const noteName = 'upload';

/**
 * Uploads in parts, each a folder with a note and a file for each part, named `NUMBER.MD5`, so that a name says what is in
 * it. A part arrives as an object does; the parts become an object in one step, and then the folder goes. What a daemon
 * that died left is as it was: the upload goes on, is finished or aborted by its client.
 */
export class UploadStore {
  readonly #lanes = new Lanes<string>();

  private constructor(
    private readonly runtime: Runtime,
    private readonly buckets: BucketStore,
  ) {}

  /** Opens the uploads of a store. What is left of one which a daemon began or removed only half-way goes. */
  static async open(runtime: Runtime, buckets: BucketStore): Promise<UploadStore> {
    const { files } = runtime;
    for (const bucket of await files.list(buckets.uploadsFolder())) {
      for (const id of await files.list(buckets.uploadsFolder(bucket))) {
        const folder = join(buckets.uploadsFolder(bucket), id);
        if (!(await files.exists(join(folder, noteName)))) await files.remove(folder);
      }
    }
    return new UploadStore(runtime, buckets);
  }

  /** Begins an upload. Answers its id. Throws S3Refusal. */
  async begin(bucket: string, key: string, { contentType, metadata }: ObjectHeaders): Promise<string> {
    const { files, random, clock } = this.runtime;
    const id = random.uuid().replaceAll('-', '');
    await this.buckets.within(bucket, async () => {
      const note: PendingUpload = { id, key, initiated: clock.now(), contentType, metadata };
      await files.makeFolder(this.#folder(bucket, id));
      await files.writeAtomic(this.#noteFile(bucket, id), JSON.stringify(note));
    });
    return id;
  }

  /** Every unfinished upload of a bucket, by key and id. */
  async list(bucket: string): Promise<PendingUpload[]> {
    const ids = (await this.#list(this.buckets.uploadsFolder(sha256(bucket)))).filter(isUploadId);
    const found = await Promise.all(ids.map((id) => this.#find(bucket, id)));
    const order = (a: PendingUpload, b: PendingUpload): number =>
      Buffer.compare(Buffer.from(a.key), Buffer.from(b.key)) || (a.id < b.id ? -1 : 1);
    return found.filter((upload) => upload !== null).sort(order);
  }

  /** Throws S3Refusal unless the upload is there, and for this key. */
  async get(bucket: string, key: string, id: string): Promise<PendingUpload> {
    const upload = isUploadId(id) ? await this.#find(bucket, id) : null;
    if (upload?.key !== key) throw noSuchUpload();
    return upload;
  }

  /** The parts which have arrived, by number. Throws S3Refusal. */
  async parts(bucket: string, key: string, id: string): Promise<UploadedPart[]> {
    await this.get(bucket, key, id);
    return this.#parts(bucket, id);
  }

  /** Stores a part in place of what its number had. Answers it. Throws S3Refusal, and leaves everything as it was. */
  async put(bucket: string, key: string, id: string, number: number, incoming: Incoming): Promise<UploadedPart> {
    const { files } = this.runtime;
    await this.get(bucket, key, id);
    return this.buckets.arrivals.receive(incoming, (arrived, { md5, size }) =>
      this.#lanes.run(id, async () => {
        await this.get(bucket, key, id);
        const folder = this.#folder(bucket, id);
        const old = (await this.#list(folder)).filter((name) => name.startsWith(`${number}.`));
        const name = `${number}.${md5}`;
        await files.rename(arrived, join(folder, name));
        for (const other of old.filter((candidate) => candidate !== name)) await files.remove(join(folder, other));
        const { modified } = (await files.stat(join(folder, name)))!;
        return { number, md5, size, modified };
      }),
    );
  }

  /** Throws S3Refusal when there is none. */
  async abort(bucket: string, key: string, id: string): Promise<void> {
    await this.#lanes.run(id, async () => {
      await this.get(bucket, key, id);
      await this.#remove(bucket, id);
    });
  }

  /**
   * Makes the named parts an object. Asked again after it was done (the answer was lost), it answers the object. Throws
   * S3Refusal, and leaves the upload as it was.
   */
  async complete(bucket: string, key: string, id: string, wish: CompletionWish): Promise<StoredObject> {
    const mark = markOf(wish.parts);
    return this.#lanes.run(id, async () => {
      const upload = isUploadId(id) ? await this.#find(bucket, id) : null;
      if (upload === null && isUploadId(id)) {
        const object = await this.buckets.object(bucket, key).catch(() => null);
        if (object?.etag === mark) return object;
      }
      if (upload?.key !== key) throw noSuchUpload();
      const chosen = choose(wish, await this.#parts(bucket, id));
      const joined = this.#joined(this.#folder(bucket, id), chosen, wish);
      const object = await this.buckets.put(bucket, key, joined, upload, mark);
      await this.#remove(bucket, id);
      return object;
    });
  }

  /** The bytes of the parts one after the other, compared with what the client says of them. */
  #joined(folder: string, parts: readonly ChosenPart[], { limit, checksums }: CompletionWish): Incoming {
    const { files } = this.runtime;
    const whole = new Comparison(checksums);
    const source = async function* (): AsyncIterable<Uint8Array> {
      for (const { number, md5, named } of parts) {
        const part = new Comparison(named.checksums);
        for await (const bytes of files.readChunks(join(folder, `${number}.${md5}`))) {
          part.update(bytes);
          whole.update(bytes);
          yield bytes;
        }
        if (part.wrong() !== null) throw invalidPart(number);
      }
    };
    return {
      source: source(),
      limit,
      check: () => {
        const wrong = whole.wrong();
        if (wrong !== null) throw badDigest(wrong);
      },
    };
  }

  async #find(bucket: string, id: string): Promise<PendingUpload | null> {
    const text = await this.runtime.files.read(this.#noteFile(bucket, id)).catch(ifMissing(null));
    return text === null ? null : (JSON.parse(text) as PendingUpload);
  }

  async #parts(bucket: string, id: string): Promise<UploadedPart[]> {
    const folder = this.#folder(bucket, id);
    const names = await this.#list(folder);
    const parts = new Map<number, UploadedPart>();
    for (const name of names) {
      const [, number, md5] = /^(\d{1,5})\.([0-9a-f]{32})$/.exec(name) ?? [];
      const stat = md5 === undefined ? null : await this.runtime.files.stat(join(folder, name));
      if (stat?.kind !== 'file') continue;
      const part = { number: Number(number), md5: md5!, size: stat.size, modified: stat.modified };
      // Of two files of one number the older one was about to go when the daemon died.
      if ((parts.get(part.number)?.modified ?? -1) <= part.modified) parts.set(part.number, part);
    }
    return [...parts.values()].sort((a, b) => a.number - b.number);
  }

  /** The note first: from then on there is no upload. */
  async #remove(bucket: string, id: string): Promise<void> {
    await this.runtime.files.remove(this.#noteFile(bucket, id));
    await this.runtime.files.remove(this.#folder(bucket, id));
  }

  async #list(folder: string): Promise<string[]> {
    return this.runtime.files.list(folder).catch(ifMissing([]));
  }

  #folder(bucket: string, id: string): string {
    return join(this.buckets.uploadsFolder(sha256(bucket)), id);
  }
  #noteFile(bucket: string, id: string): string {
    return join(this.#folder(bucket, id), noteName);
  }
}

/** How the parts of an upload are to become an object. */
export interface CompletionWish {
  readonly parts: readonly NamedPart[];
  /** Of the whole object, base64. */
  readonly checksums: ReadonlyMap<ChecksumName, string>;
  /** Bytes of the largest object. */
  readonly limit: number;
}

type ChosenPart = UploadedPart & { readonly named: NamedPart };

/** The parts which the client names, if they are what it says and may be an object. Throws S3Refusal. */
function choose({ parts: named, limit }: CompletionWish, parts: readonly UploadedPart[]): ChosenPart[] {
  const byNumber = new Map(parts.map((part) => [part.number, part]));
  let last = 0;
  let size = 0;
  const chosen = named.map((part) => {
    if (part.number <= last) {
      throw badRequest('InvalidPartOrder', 'The list of parts was not in ascending order of their numbers');
    }
    last = part.number;
    const found = byNumber.get(part.number);
    if (found?.md5 !== part.etag) throw invalidPart(part.number);
    size += found.size;
    return { ...found, named: part };
  });
  const small = chosen.slice(0, -1).find((part) => part.size < uploadLimits.smallestPart);
  if (small !== undefined) {
    throw badRequest(
      'EntityTooSmall',
      `Your proposed upload is smaller than the minimum allowed size: part ${small.number}, which is not the last one, ` +
        `has ${small.size} bytes of ${uploadLimits.smallestPart}`,
    );
  }
  if (size > limit) throw entityTooLarge(limit);
  return chosen;
}

/** The ETag of an object which was uploaded in parts: the MD5 of the MD5s of the parts, and how many they were. */
function markOf(parts: readonly NamedPart[]): string {
  const md5 = createHash('md5');
  for (const { etag } of parts) md5.update(Buffer.from(etag, 'hex'));
  return `${md5.digest('hex')}-${parts.length}`;
}

const isUploadId = (id: string): boolean => /^[0-9a-f]{32}$/.test(id);

/** For what may be missing: `instead` then, and every other error as it is. */
function ifMissing<T>(instead: T): (error: NodeJS.ErrnoException) => T {
  return (error) => {
    if (error.code === 'ENOENT') return instead;
    throw error;
  };
}
