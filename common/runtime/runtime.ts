import type { Flags } from '../flags/flags.js';
import type { Log } from '../log.js';

/** Wall-clock time. */
export interface Clock {
  /** Milliseconds since the epoch, UTC. */
  now(): number;
}

/** Every random choice and id. */
export interface Random {
  bytes(count: number): Buffer;
  /** An integer in [0, limit). */
  below(limit: number): number;
  /** UUID4, lower case, with dashes. */
  uuid(): string;
  /** One element of a list which is not empty. */
  pick<T>(list: readonly T[]): T;
  /** A fresh RSA key pair: `privateKey` PKCS#1 PEM, `publicKey` SPKI DER. */
  rsaKeyPair(bits: number): Promise<{ privateKey: string; publicKey: Buffer }>;
}

export interface ExecOptions {
  /** Runs with the `root_helper` prefix. */
  asRoot?: boolean;
  /** Milliseconds; 60 s when absent. */
  timeoutMs?: number;
  /** Exit codes which are no error. [0] when absent. */
  okCodes?: readonly number[];
  input?: string;
}
export interface ExecResult {
  stdout: string;
  stderr: string;
  code: number;
}
/** Runs a host command given as an argument array; no shell. Throws ProcessExecutionError on another exit code. */
export type Exec = (argv: readonly string[], options?: ExecOptions) => Promise<ExecResult>;

/** What a path leads to. */
export interface FileStat {
  readonly kind: 'file' | 'folder' | 'other';
  /** Bytes. */
  readonly size: number;
  /** Milliseconds since the epoch. */
  readonly modified: number;
}

/** The files which a daemon reads and writes. Paths are absolute. Failing calls throw Node's errors (`code` ENOENT, ENOSPC …). */
export interface Files {
  read(path: string): Promise<string>;
  /** Writes next to the target, syncs and renames: a reader sees the old or the new content, never half of one. */
  writeAtomic(path: string, content: string | Uint8Array, mode?: number): Promise<void>;
  /** As {@link writeAtomic} without the sync: for what a loss of power ends anyway. */
  writeUnsynced(path: string, content: string): Promise<void>;
  remove(path: string): Promise<void>;
  list(path: string): Promise<string[]>;
  /** Makes a folder and what is missing above it, with `mode` (0o777) less the umask; one which is there stays as it is. */
  makeFolder(path: string, mode?: number): Promise<void>;
  exists(path: string): Promise<boolean>;
  /** Makes the file with this content, unless there is one; answers whether it did. */
  createExclusive(path: string, content: string, mode?: number): Promise<boolean>;
  /** What is at a path, links not followed; null when there is nothing. */
  stat(path: string): Promise<FileStat | null>;
  /** Moves a file within one file system, in place of what is there. */
  rename(from: string, to: string): Promise<void>;
  /** Removes a folder which holds nothing; answers false when it holds something. */
  removeEmptyFolder(path: string): Promise<boolean>;
  /** The bytes of a file (those from `start` to `end`, both counted in), in chunks of bounded size. */
  readChunks(path: string, range?: { start: number; end: number }): AsyncIterable<Uint8Array>;
  /** Writes what comes in, as {@link writeAtomic} does. Throws what the source throws, and leaves nothing then. */
  writeChunks(path: string, source: AsyncIterable<Uint8Array>): Promise<void>;
}

/** An outgoing HTTP request; the platform's fetch. */
export type HttpFetch = typeof fetch;

/** A timer which can be cancelled. */
export interface Timer {
  cancel(): void;
}

/**
 * Everything that one daemon gets from the outside. Many runtimes live in one process (nova-all, tests, simulation).
 * After {@link Runtime.halt} none of its promises ever settles again: that is how a killed daemon looks from inside.
 */
export interface Runtime {
  /** The program's name, e.g. `nova-compute`. */
  readonly binary: string;
  /** Identity of the host, flag `host`. */
  readonly host: string;
  readonly flags: Flags;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly files: Files;
  readonly exec: Exec;
  readonly fetch: HttpFetch;
  /** Resolves after `ms` milliseconds; rejects with the signal's reason when that is aborted first. */
  sleep(ms: number, signal?: AbortSignal): Promise<void>;
  /** Calls `fn` once after `ms` milliseconds. */
  after(ms: number, fn: () => void): Timer;
  /**
   * Awaits something of the outside. Code which reaches outside by another way than this object (a database driver,
   * a socket) passes its promises through here, so that halting and a virtual clock know of them.
   */
  outside<T>(work: () => Promise<T>): Promise<T>;
  /** True after {@link halt}. */
  readonly halted: boolean;
  /** Stops time for this daemon. */
  halt(): void;
}
