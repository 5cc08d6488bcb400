import type { Files, FileStat } from '../common/runtime/runtime.js';

/** A host's files, in memory: they outlive a daemon which is killed, and two runs see the same. */
export class MemoryFiles implements Files {
  readonly #files = new Map<string, Buffer>();

  async read(path: string): Promise<string> {
    return this.#get(path).toString('utf8');
  }

  async writeAtomic(path: string, content: string | Uint8Array): Promise<void> {
    this.#files.set(path, Buffer.from(content));
  }

  writeUnsynced(path: string, content: string): Promise<void> {
    return this.writeAtomic(path, content);
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

  async stat(path: string): Promise<FileStat | null> {
    const content = this.#files.get(path);
    if (content !== undefined) return { kind: 'file', size: content.length, modified: 0 };
    return (await this.list(path)).length > 0 ? { kind: 'folder', size: 0, modified: 0 } : null;
  }

  async rename(from: string, to: string): Promise<void> {
    this.#files.set(to, this.#get(from));
    this.#files.delete(from);
  }

  async removeEmptyFolder(path: string): Promise<boolean> {
    return (await this.list(path)).length === 0;
  }

  async *readChunks(path: string, range?: { start: number; end: number }): AsyncIterable<Uint8Array> {
    const content = this.#get(path);
    yield range === undefined ? content : content.subarray(range.start, range.end + 1);
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
