import { createHash } from 'node:crypto';
import { join } from 'node:path';
import type { Runtime } from '../common/runtime/runtime.js';
import { S3Refusal } from './refusal.js';

/** What came in. MD5 and SHA-256 in hex. */
export interface Sums {
  readonly md5: string;
  readonly sha256: string;
  /** Bytes. */
  readonly size: number;
}

/** Bytes on their way into the store, checked as they come. */
export interface Incoming {
  readonly source: AsyncIterable<Uint8Array> | Iterable<Uint8Array>;
  /** Bytes which are too many by one more. */
  readonly limit: number;
  /** Throws S3Refusal unless these are the bytes which the client meant. */
  check(sums: Sums): void;
}

/** Where uploads arrive: nobody sees one before it is whole and checked. */
export class Arrivals {
  constructor(
    private readonly runtime: Runtime,
    private readonly folder: string,
  ) {}

  /** Makes the folder anew: what arrived under a daemon which is gone is never finished. */
  async open(): Promise<void> {
    await this.runtime.files.remove(this.folder);
    await this.runtime.files.makeFolder(this.folder);
  }

  /**
   * Writes what comes in to a file and hands it to `settle`, which moves it to its place. The file is gone afterwards if it
   * is still here. Throws S3Refusal, and what `settle` throws.
   */
  async receive<T>(incoming: Incoming, settle: (path: string, sums: Sums) => Promise<T>): Promise<T> {
    const { files, random } = this.runtime;
    const path = join(this.folder, random.uuid());
    const [md5, sha] = [createHash('md5'), createHash('sha256')];
    let size = 0;
    const counted = async function* (): AsyncIterable<Uint8Array> {
      for await (const chunk of incoming.source) {
        size += chunk.length;
        if (size > incoming.limit) throw entityTooLarge(incoming.limit);
        md5.update(chunk);
        sha.update(chunk);
        yield chunk;
      }
    };
    try {
      await files.writeChunks(path, counted());
      const sums = { md5: md5.digest('hex'), sha256: sha.digest('hex'), size };
      incoming.check(sums);
      return await settle(path, sums);
    } finally {
      await files.remove(path);
    }
  }
}

export const entityTooLarge = (limit: number): S3Refusal =>
  new S3Refusal(400, 'EntityTooLarge', `More than ${limit} bytes are not accepted`);
