import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { Invalid } from '../errors.js';
import type { Runtime } from '../runtime/runtime.js';
import { imageInArchive } from './archive.js';
import { bundleKeys, decrypted } from './decrypt.js';
import { InvalidManifest, type Manifest } from './manifest.js';
import type { ObjectClient, S3Keys } from './objectClient.js';

/** Where a bundle is, and with whose keys it is read. */
export interface BundleSource {
  readonly bucket: string;
  readonly keys: S3Keys;
  readonly manifest: Manifest;
  /** PEM. */
  readonly privateKey: string;
}

/**
 * Turns a bundle into the image in it, in a folder of its own, one step after the other. The folder is the caller's to
 * remove. What `signal` aborts throws its reason.
 */
export class Unbundling {
  constructor(
    private readonly runtime: Runtime,
    private readonly client: ObjectClient,
    private readonly source: BundleSource,
    private readonly folder: string,
    private readonly signal: AbortSignal,
  ) {}

  /** Fetches the parts into one file. Throws ObjectNotFetched, and Invalid for a part which is not the manifest's. */
  async download(): Promise<void> {
    // Nobody else on the host may read what is decrypted here.
    await this.runtime.files.makeFolder(this.folder, 0o700);
    await this.#write('bundle', this.#parts());
  }

  /** Throws UndecryptableBundle. */
  async decrypt(): Promise<void> {
    const { manifest, privateKey } = this.source;
    const keys = bundleKeys(manifest, privateKey, this.runtime.random);
    await this.#write('archive', decrypted(this.#read('bundle'), keys));
    await this.runtime.files.remove(join(this.folder, 'bundle'));
  }

  /** Throws InvalidArchive. */
  async untar(): Promise<void> {
    const options = { limit: this.runtime.flags.bundle_max_size, expected: this.source.manifest.size };
    await this.#write('image', imageInArchive(this.#read('archive'), options));
    await this.runtime.files.remove(join(this.folder, 'archive'));
  }

  /** The image, once it is unpacked. */
  image(): ReadableStream<Uint8Array> {
    const chunks = this.#heeding(this.#read('image'))[Symbol.asyncIterator]();
    return new ReadableStream<Uint8Array>({
      async pull(controller) {
        const next = await chunks.next();
        if (next.done === true) controller.close();
        else controller.enqueue(new Uint8Array(next.value));
      },
      async cancel() {
        await chunks.return?.();
      },
    });
  }

  async *#parts(): AsyncIterable<Uint8Array> {
    const { bucket, keys, manifest } = this.source;
    const limit = this.runtime.flags.bundle_max_size;
    let size = 0;
    for (const part of manifest.parts) {
      const sha1 = createHash('sha1');
      for await (const chunk of await this.client.open(keys, bucket, part.key, this.signal)) {
        size += chunk.length;
        if (size > limit) throw new Invalid(`The bundle has more than ${limit} bytes (flag bundle_max_size)`);
        sha1.update(chunk);
        yield chunk;
      }
      if (part.sha1 !== null && part.sha1 !== sha1.digest('hex')) {
        throw new InvalidManifest(`The part ${part.key.slice(0, 200)} is not the one which the manifest describes`);
      }
    }
    if (manifest.bundledSize !== null && manifest.bundledSize !== size) {
      throw new InvalidManifest(`The parts have ${size} bytes, the manifest says ${manifest.bundledSize}`);
    }
  }

  #read(name: string): AsyncIterable<Uint8Array> {
    return this.runtime.files.readChunks(join(this.folder, name));
  }

  #write(name: string, source: AsyncIterable<Uint8Array>): Promise<void> {
    return this.runtime.files.writeChunks(join(this.folder, name), this.#heeding(source));
  }

  async *#heeding(source: AsyncIterable<Uint8Array>): AsyncIterable<Uint8Array> {
    for await (const chunk of source) {
      this.signal.throwIfAborted();
      yield chunk;
    }
  }
}
