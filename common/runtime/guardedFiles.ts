import type { Files, Runtime } from './runtime.js';

/**
 * Files whose every operation passes through `outside`, so that a daemon which is halted never hears of its end and a
 * virtual clock lets one in at a time. Streams are as they are: they belong to whoever reads them.
 */
export function guardedFiles(files: Files, outside: Runtime['outside']): Files {
  return {
    read: (path) => outside(() => files.read(path)),
    writeAtomic: (path, content, mode) => outside(() => files.writeAtomic(path, content, mode)),
    writeUnsynced: (path, content) => outside(() => files.writeUnsynced(path, content)),
    remove: (path) => outside(() => files.remove(path)),
    list: (path) => outside(() => files.list(path)),
    makeFolder: (path, mode) => outside(() => files.makeFolder(path, mode)),
    exists: (path) => outside(() => files.exists(path)),
    createExclusive: (path, content, mode) => outside(() => files.createExclusive(path, content, mode)),
    stat: (path) => outside(() => files.stat(path)),
    rename: (from, to) => outside(() => files.rename(from, to)),
    removeEmptyFolder: (path) => outside(() => files.removeEmptyFolder(path)),
    readChunks: (path, range) => files.readChunks(path, range),
    writeChunks: (path, source) => files.writeChunks(path, source),
  };
}
