import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { Duplicate, ImageNotFound, Invalid } from '../../common/errors.js';
import { BodyTooLarge } from '../../common/http/door.js';
import type { Image, ImageFields } from '../../common/images/imageService.js';
import { Lanes } from '../../common/lanes.js';
import type { Runtime } from '../../common/runtime/runtime.js';
import { dbTime } from '../../common/time.js';

/** What a caller says of the bits it sends; both are checked when given. */
export interface ExpectedData {
  size?: number;
  /** MD5, hex. */
  checksum?: string;
}

const diskFormats = ['ami', 'ari', 'aki', 'vhd', 'vmdk', 'raw', 'qcow2', 'vdi', 'iso'];
const containerFormats = ['ami', 'ari', 'aki', 'bare', 'ovf'];

/**
 * Images in a folder: `<id>.json` describes one, `<id>.data` holds its bits. Ids count up and are never used again. One
 * process serves a folder; the descriptions are kept in memory and every change is on disk before it is answered.
 */
export class ImageStore {
  readonly #images = new Map<number, Image>();
  /** Changes of one image, by its id, follow each other. */
  readonly #changes = new Lanes<string>();
  #lastId = 0;

  private constructor(
    private readonly runtime: Runtime,
    private readonly folder: string,
  ) {}

  /** Opens the folder, making it where needed. Images whose upload was cut off become `killed`. */
  static async open(runtime: Runtime, folder: string): Promise<ImageStore> {
    const store = new ImageStore(runtime, folder);
    await runtime.files.makeFolder(folder, 0o700);
    for (const name of await runtime.files.list(folder)) {
      const match = /^(\d+)\.json$/.exec(name);
      if (!match) {
        if (name.endsWith('.tmp')) await runtime.files.remove(join(folder, name));
        continue;
      }
      const image = JSON.parse(await runtime.files.read(join(folder, name))) as Image;
      store.#images.set(Number(match[1]), image);
      store.#lastId = Math.max(store.#lastId, Number(match[1]));
      if (image.status === 'saving') await store.#write({ ...image, status: 'killed' });
    }
    return store;
  }

  /** Every image which is not deleted, by ascending id. */
  list(): Image[] {
    return [...this.#images.values()].filter((image) => !image.deleted).sort((a, b) => Number(a.id) - Number(b.id));
  }

  /** Throws ImageNotFound. */
  get(id: string): Image {
    const image = /^\d{1,9}$/.test(id) ? this.#images.get(Number(id)) : undefined;
    if (image === undefined || image.deleted) throw new ImageNotFound(id);
    return image;
  }

  /** The bits. Throws ImageNotFound for an image which has none. */
  data(id: string): AsyncIterable<Uint8Array> {
    const image = this.get(id);
    if (image.status !== 'active') throw new ImageNotFound(id);
    return this.runtime.files.readChunks(this.#path(image.id, 'data'));
  }

  /**
   * Registers an image: `queued` without bits, else `active` when they are all there. Throws Invalid for an unknown
   * format or bits which are not as expected, Duplicate for an id which was used before, BodyTooLarge for more bits than
   * the flag images_max_size: what was written of them is gone then, and the image is `killed`.
   */
  async create(
    fields: ImageFields & { id?: string },
    data?: AsyncIterable<Uint8Array>,
    expected: ExpectedData = {},
  ): Promise<Image> {
    this.#check(fields);
    const now = dbTime(this.runtime.clock.now());
    const description: Omit<Image, 'id'> = {
      name: fields.name ?? null,
      status: data === undefined ? 'queued' : 'saving',
      is_public: fields.is_public ?? false,
      deleted: false,
      size: expected.size ?? 0,
      location: null,
      disk_format: fields.disk_format ?? null,
      container_format: fields.container_format ?? null,
      checksum: null,
      created_at: now,
      updated_at: now,
      deleted_at: null,
      properties: { ...fields.properties },
    };
    const image = { id: await this.#reserveId(fields.id, description), ...description };
    this.#images.set(Number(image.id), image);
    return data === undefined ? image : this.#save(image, data, expected);
  }

  /**
   * Changes an image; with `purge`, properties which are not named go. Bits may be given once, while `queued`. Throws as
   * {@link create} does, and ImageNotFound.
   */
  async update(
    id: string,
    fields: ImageFields,
    options: { purge: boolean; data?: AsyncIterable<Uint8Array>; expected?: ExpectedData },
  ): Promise<Image> {
    this.#check(fields);
    const named = Object.entries(fields).filter(([key, value]) => key !== 'properties' && value !== undefined);
    const image = await this.#change(id, (old) => {
      if (options.data !== undefined && old.status !== 'queued') {
        throw new Duplicate(`Image ${id} is ${old.status}: bits can be given only while it is queued`);
      }
      return {
        ...Object.fromEntries(named),
        properties: { ...(options.purge ? {} : old.properties), ...fields.properties },
        status: options.data === undefined ? old.status : 'saving',
        updated_at: dbTime(this.runtime.clock.now()),
      };
    });
    return options.data === undefined ? image : this.#save(image, options.data, options.expected ?? {});
  }

  /** Marks an image deleted and removes its bits. Throws ImageNotFound. */
  async delete(id: string): Promise<Image> {
    const deleted_at = dbTime(this.runtime.clock.now());
    const image = await this.#change(id, () => ({ deleted: true, deleted_at, status: 'deleted' }));
    await this.runtime.files.remove(this.#path(image.id, 'data'));
    return image;
  }

  async #save(image: Image, data: AsyncIterable<Uint8Array>, expected: ExpectedData): Promise<Image> {
    const md5 = createHash('md5');
    const limit = this.runtime.flags.images_max_size;
    let size = 0;
    const counted = async function* (): AsyncIterable<Uint8Array> {
      for await (const chunk of data) {
        size += chunk.length;
        if (size > limit) throw new BodyTooLarge(limit);
        md5.update(chunk);
        yield chunk;
      }
    };
    try {
      await this.runtime.files.writeChunks(this.#path(image.id, 'data'), counted());
      const checksum = md5.digest('hex');
      if (expected.size !== undefined && expected.size !== size) {
        throw new Invalid(`Supplied size (${expected.size}) and size of the data received (${size}) did not match.`);
      }
      if (expected.checksum !== undefined && expected.checksum !== checksum) {
        throw new Invalid(
          `Supplied checksum (${expected.checksum}) and that of the data received (${checksum}) did not match.`,
        );
      }
      const updated_at = dbTime(this.runtime.clock.now());
      return await this.#change(image.id, () => ({ status: 'active', size, checksum, updated_at }));
    } catch (error) {
      await this.runtime.files.remove(this.#path(image.id, 'data'));
      await this.#change(image.id, () => ({ status: 'killed' })).catch((failure: unknown) => {
        // deleted meanwhile: that stays
        if (!(failure instanceof ImageNotFound)) throw failure;
      });
      throw error;
    }
  }

  /** Writes what `fields` makes of an image as it is then, whoever else changes it. Throws ImageNotFound, and what `fields` throws. */
  #change(id: string, fields: (old: Image) => Partial<Image>): Promise<Image> {
    const key = String(Number(id));
    return this.#changes.run(key, async () => {
      const old = this.get(id);
      const image = { ...old, ...fields(old) };
      await this.#write(image);
      return image;
    });
  }

  /** Takes an id by making its file, so that no image ever takes another's place. */
  async #reserveId(wished: string | undefined, description: Omit<Image, 'id'>): Promise<string> {
    if (wished !== undefined) {
      if (!/^[1-9]\d{0,8}$/.test(wished))
        throw new Invalid(`Image id ${wished.slice(0, 40)} is not a positive integer`);
      const made = await this.#makeFile(wished, description);
      if (!made) throw new Duplicate(`An image with identifier ${wished} already exists`);
      this.#lastId = Math.max(this.#lastId, Number(wished));
      return wished;
    }
    for (;;) {
      const id = String(++this.#lastId);
      if (await this.#makeFile(id, description)) return id;
    }
  }

  #makeFile(id: string, description: Omit<Image, 'id'>): Promise<boolean> {
    return this.runtime.files.createExclusive(this.#path(id, 'json'), JSON.stringify({ id, ...description }, null, 1));
  }

  async #write(image: Image): Promise<void> {
    await this.runtime.files.writeAtomic(this.#path(image.id, 'json'), JSON.stringify(image, null, 1));
    this.#images.set(Number(image.id), image);
  }

  #path(id: string, kind: 'json' | 'data'): string {
    return join(this.folder, `${id}.${kind}`);
  }

  #check(fields: ImageFields): void {
    const { disk_format: disk, container_format: container } = fields;
    if (disk != null && !diskFormats.includes(disk)) throw new Invalid(`Invalid disk format '${disk}' for image.`);
    if (container != null && !containerFormats.includes(container)) {
      throw new Invalid(`Invalid container format '${container}' for image.`);
    }
    const oneIsAmazon = (format: string | null | undefined): boolean => ['ami', 'ari', 'aki'].includes(format ?? '');
    if ((oneIsAmazon(disk) || oneIsAmazon(container)) && disk != null && container != null && disk !== container) {
      throw new Invalid(
        `Invalid mix of disk and container formats. When setting a disk or container format to one of 'ami', 'ari', or 'aki', the container and disk formats must match.`,
      );
    }
  }
}
