/* eslint-disable no-restricted-syntax, no-restricted-globals, no-restricted-imports -- the one place which touches the real outside */
import { execFile } from 'node:child_process';
import { generateKeyPair, randomBytes, randomInt, randomUUID } from 'node:crypto';
import { createReadStream } from 'node:fs';
import {
  access,
  lstat,
  mkdir,
  open,
  readdir,
  readFile,
  rename,
  rm,
  rmdir,
  writeFile,
  type FileHandle,
} from 'node:fs/promises';
import { promisify } from 'node:util';
import { NovaError } from '../errors.js';
import type { Flags } from '../flags/flags.js';
import type { Log } from '../log.js';
import { fetchHead } from './fetchHead.js';
import { guardedFiles } from './guardedFiles.js';
import type { Exec, ExecOptions, ExecResult, Files, Random, Runtime, Timer } from './runtime.js';

/** A host command which ended with an exit code that was not expected. */
export class ProcessExecutionError extends NovaError {
  constructor(
    argv: readonly string[],
    readonly result: ExecResult,
  ) {
    super(`Command: ${argv.join(' ')}\nExit code: ${result.code}\nStdout: ${result.stdout}\nStderr: ${result.stderr}`);
  }
}

const makeKeyPair = promisify(generateKeyPair);

/** Random numbers of the operating system. */
const realRandom: Random = {
  bytes: (count) => randomBytes(count),
  below: (limit) => randomInt(limit),
  uuid: () => randomUUID(),
  pick: (list) => {
    if (list.length === 0) throw new RangeError('pick from an empty list');
    return list[randomInt(list.length)]!;
  },
  rsaKeyPair: async (bits) => {
    const pair = await makeKeyPair('rsa', {
      modulusLength: bits,
      publicKeyEncoding: { type: 'spki', format: 'der' },
      privateKeyEncoding: { type: 'pkcs1', format: 'pem' },
    });
    return { privateKey: pair.privateKey, publicKey: pair.publicKey };
  },
};

/** Files of the operating system. */
export const realFiles: Files = {
  read: (path) => readFile(path, 'utf8'),
  writeAtomic: (path, content, mode) => replaceFile(path, mode, (file) => file.writeFile(content)),
  writeUnsynced: (path, content) => renamedTo(path, (temporary) => writeFile(temporary, content, { flag: 'wx' })),
  remove: (path) => rm(path, { force: true, recursive: true }),
  async list(path) {
    const names = await readdir(path);
    return names.sort();
  },
  async makeFolder(path, mode) {
    await mkdir(path, { recursive: true, ...(mode !== undefined && { mode }) });
  },
  exists: (path) =>
    access(path).then(
      () => true,
      () => false,
    ),
  async createExclusive(path, content, mode = 0o644) {
    let file: FileHandle;
    try {
      file = await open(path, 'wx', mode);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
      throw error;
    }
    try {
      await file.writeFile(content);
      await file.sync();
    } finally {
      await file.close();
    }
    return true;
  },
  async stat(path) {
    const found = await lstat(path).catch((error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT' || error.code === 'ENOTDIR') return null;
      throw error;
    });
    if (found === null) return null;
    const kind = found.isFile() ? 'file' : found.isDirectory() ? 'folder' : 'other';
    return { kind, size: found.size, modified: Math.trunc(found.mtimeMs) };
  },
  rename: (from, to) => rename(from, to),
  removeEmptyFolder: (path) =>
    rmdir(path).then(
      () => true,
      (error: NodeJS.ErrnoException) => {
        if (error.code === 'ENOTEMPTY' || error.code === 'EEXIST') return false;
        throw error;
      },
    ),
  readChunks: (path, range) => createReadStream(path, range),
  writeChunks: (path, source) =>
    replaceFile(path, undefined, async (file) => {
      for await (const chunk of source) await file.appendFile(chunk);
    }),
};

/** Lets `write` fill a file next to the target and syncs it before it takes the target's place. */
function replaceFile(
  path: string,
  mode: number | undefined,
  write: (file: FileHandle) => Promise<void>,
): Promise<void> {
  return renamedTo(path, async (temporary) => {
    const file = await open(temporary, 'wx', mode ?? 0o644);
    try {
      await write(file);
      await file.sync();
    } finally {
      await file.close();
    }
  });
}

/** Lets `make` make a file next to the target and renames it over the target; where it fails nothing is left of it. */
async function renamedTo(path: string, make: (temporary: string) => Promise<void>): Promise<void> {
  const temporary = `${path}.${process.pid}.${randomBytes(4).toString('hex')}.tmp`;
  try {
    await make(temporary);
    await rename(temporary, path);
  } catch (error) {
    await rm(temporary, { force: true });
    throw error;
  }
}

/** Runs host commands, with the flag `root_helper` in front where asked. */
function realExec(flags: Flags, log: Log): Exec {
  const logger = log.logger('nova.utils');
  return (argv, options: ExecOptions = {}) =>
    new Promise((resolve, reject) => {
      const rootHelper = process.getuid?.() === 0 ? [] : flags.root_helper.split(/\s+/).filter(Boolean);
      const [file, ...args] = options.asRoot ? [...rootHelper, ...argv] : argv;
      if (file === undefined) {
        reject(new TypeError('empty command'));
        return;
      }
      logger.debug(`Running cmd: ${[file, ...args].join(' ')}`);
      const child = execFile(
        file,
        args,
        { timeout: options.timeoutMs ?? 60_000, maxBuffer: 16 * 1024 * 1024, encoding: 'utf8' },
        (error, stdout, stderr) => {
          const code = error === null ? 0 : typeof error.code === 'number' ? error.code : -1;
          const result = { stdout, stderr: code === -1 ? `${stderr}${error?.message ?? ''}` : stderr, code };
          if ((options.okCodes ?? [0]).includes(code)) resolve(result);
          else reject(new ProcessExecutionError([file, ...args], result));
        },
      );
      // A command which ends before it has read its input is judged by its exit code.
      child.stdin?.on('error', () => undefined);
      if (options.input !== undefined) child.stdin?.end(options.input);
    });
}

export interface RealRuntimeOptions {
  binary: string;
  flags: Flags;
  log: Log;
}

/** The runtime of a daemon in production: the machine's clock, randomness, files and commands. */
export class RealRuntime implements Runtime {
  readonly binary: string;
  readonly host: string;
  readonly flags: Flags;
  readonly log: Log;
  readonly clock = { now: () => Date.now() };
  readonly random = realRandom;
  readonly files: Files = guardedFiles(realFiles, (work) => this.outside(work));
  readonly exec: Exec;
  readonly fetch: typeof fetch = (input, init) =>
    this.outside(() =>
      init?.method === 'HEAD' && typeof input === 'string' && input.startsWith('http:')
        ? fetchHead(input, init)
        : fetch(input, init),
    );
  #halted = false;
  readonly #timers = new Set<NodeJS.Timeout>();

  constructor(options: RealRuntimeOptions) {
    this.binary = options.binary;
    this.flags = options.flags;
    this.host = options.flags.host;
    this.log = options.log;
    const exec = realExec(options.flags, options.log);
    this.exec = (argv, execOptions) => this.outside(() => exec(argv, execOptions));
  }

  get halted(): boolean {
    return this.#halted;
  }

  sleep(ms: number, signal?: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      const onAbort = (): void => {
        timer.cancel();
        reject(signal?.reason instanceof Error ? signal.reason : new Error('aborted'));
      };
      const timer = this.after(ms, () => {
        signal?.removeEventListener('abort', onAbort);
        resolve();
      });
      if (signal?.aborted) onAbort();
      else signal?.addEventListener('abort', onAbort, { once: true });
    });
  }

  after(ms: number, fn: () => void): Timer {
    if (this.#halted) return { cancel: () => undefined };
    const timeout = setTimeout(() => {
      this.#timers.delete(timeout);
      fn();
    }, ms);
    this.#timers.add(timeout);
    return {
      cancel: () => {
        clearTimeout(timeout);
        this.#timers.delete(timeout);
      },
    };
  }

  async outside<T>(work: () => Promise<T>): Promise<T> {
    if (this.#halted) return never();
    try {
      const value = await work();
      return this.#halted ? await never() : value;
    } catch (error) {
      if (this.#halted) return never();
      throw error;
    }
  }

  halt(): void {
    this.#halted = true;
    for (const timeout of this.#timers) clearTimeout(timeout);
    this.#timers.clear();
  }
}

/** A promise which stays pending for ever. */
export function never<T>(): Promise<T> {
  return new Promise<T>(() => undefined);
}
