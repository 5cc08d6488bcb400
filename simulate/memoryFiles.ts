import type { Files } from '../common/runtime/runtime.js';

/** A host's files, in memory: they outlive a daemon which is killed, and two runs see the same. */
export class MemoryFiles implements Files {
  readonly #files = new Map<string, Buffer>();

  async read(path: string): Promise<string> {
    return this.#get(path).toString('utf8');
  }

  async writeAtomic(path: string, content: string): Promise<void> {
    this.#files.set(path, Buffer.from(content));
  }

  async remove(path: string): Promise<void> {
    for (const name of [...this.#files.keys()]) {
      if (name === path || name.startsWith(`${path}/`)) this.#files.delete(name);
    }
  }

  async list(path: string): Promise<string[]> {
    const names = new Set<string>();
    for (const name of this.#files.keys()) {
      if (name.startsWith(`${path}/`)) names.add(name.slice(path.length + 1).split('/')[0]!);
    }
    return [...names].sort();
  }

  async makeFolder(): Promise<void> {}

  async exists(path: string): Promise<boolean> {
    return this.#files.has(path) || (await this.list(path)).length > 0;
  }

  async createExclusive(path: string, content: string): Promise<boolean> {
    if (this.#files.has(path)) return false;
    this.#files.set(path, Buffer.from(content));
    return true;
  }

  async *readChunks(path: string): AsyncIterable<Uint8Array> {
    yield this.#get(path);
  }

  async writeChunks(path: string, source: AsyncIterable<Uint8Array>): Promise<void> {
    const chunks: Uint8Array[] = [];
    for await (const chunk of source) chunks.push(chunk);
    this.#files.set(path, Buffer.concat(chunks));
  }

  #get(path: string): Buffer {
    const content = this.#files.get(path);
    if (content === undefined) {
      throw Object.assign(new Error(`ENOENT: no such file or directory, open '${path}'`), { code: 'ENOENT' });
    }
    return content;
  }
}
