import type { Context } from '../../common/context.js';
import { ImageNotFound } from '../../common/errors.js';
import type { Image, ImageFields, ImageService } from '../../common/images/imageService.js';

/** Images in memory, with how many bytes each has been given; an id which nobody made is an image of the world's. */
export class MemoryImages {
  readonly #images = new Map<string, Image>();
  readonly bytes = new Map<string, number>();
  /** Set: bits are refused. */
  failure: Error | null = null;
  #lastId = 1000;

  /** As an API registers one. */
  add(fields: ImageFields, createdAt = '2011-01-01 00:00:00'): Image {
    const image: Image = {
      id: String((this.#lastId += 1)),
      name: null,
      status: 'queued',
      is_public: false,
      deleted: false,
      size: 0,
      location: null,
      disk_format: null,
      container_format: null,
      checksum: null,
      updated_at: createdAt,
      deleted_at: null,
      ...fields,
      created_at: createdAt,
      properties: { ...fields.properties },
    };
    this.#images.set(image.id, image);
    return image;
  }

  get(id: string): Image | undefined {
    return this.#images.get(id);
  }

  service(size: () => number): ImageService {
    const find = (id: string): Image => {
      const image = this.#images.get(id);
      if (image === undefined) throw new ImageNotFound(id);
      return image;
    };
    return {
      detail: async () => [...this.#images.values()],
      show: async (_context: Context, id: string) =>
        this.#images.get(id) ??
        ({ id, size: size(), properties: {}, disk_format: 'ami', container_format: 'ami' } as Image),
      showByName: async (_context, name) => find(name),
      download: async () => new Blob(['bits of the base']).stream(),
      create: async (_context, fields) => this.add(fields),
      update: async (_context, id, fields, data) => {
        const old = find(id);
        if (data !== undefined) {
          if (this.failure !== null) throw this.failure;
          let count = 0;
          for await (const chunk of data) count += chunk.length;
          this.bytes.set(id, count);
        }
        const image: Image = {
          ...old,
          ...fields,
          status: data === undefined ? old.status : 'active',
          properties: { ...old.properties, ...fields.properties },
        };
        this.#images.set(id, image);
        return image;
      },
      delete: async (_context, id) => {
        find(id);
        this.#images.delete(id);
      },
    };
  }
}
