import { NovaError } from '../common/errors.js';
import type { Flags } from '../common/flags/flags.js';
import { currentLogContext, loggerOf, type Log, type Logger } from '../common/log.js';
import { guardedFiles } from '../common/runtime/guardedFiles.js';
import type { Clock, Exec, Files, HttpFetch, Random, Runtime, Timer } from '../common/runtime/runtime.js';
import { dbTime } from '../common/time.js';
import type { World } from './world.js';

/** Every line which the daemons of a world log, in the order in which they log them. */
export class SimulatedLog implements Log {
  readonly lines: string[] = [];

  constructor(private readonly world: World) {}

  logger(name: string): Logger {
    return loggerOf((level, message, error) => {
      const context = currentLogContext();
      const who = context === undefined ? '-' : `${context.requestId} ${context.userId} ${context.projectId}`;
      const reason = error instanceof Error ? ` (${error.name}: ${error.message})` : '';
      this.lines.push(`${dbTime(this.world.now())} ${level} ${name} [${who}] ${message}${reason}`);
    });
  }

  reopen(): void {}

  async close(): Promise<void> {}
}

export interface SimulatedParts {
  binary: string;
  flags: Flags;
  world: World;
  random: Random;
  log: Log;
  files: Files;
  /** Where outgoing HTTP ends. */
  fetch: HttpFetch;
}

/** A daemon's runtime inside a {@link World}: virtual time, seeded chance, files in memory, no commands. */
export class SimulatedRuntime implements Runtime {
  readonly binary: string;
  readonly host: string;
  readonly flags: Flags;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly files: Files;
  readonly fetch: HttpFetch;
  readonly exec: Exec = (argv) =>
    this.outside(() => Promise.reject(new NovaError(`There are no commands in a simulation: ${argv.join(' ')}`)));
  #halted = false;
  readonly #world: World;

  constructor(parts: SimulatedParts) {
    this.binary = parts.binary;
    this.host = parts.flags.host;
    this.flags = parts.flags;
    this.#world = parts.world;
    this.clock = { now: () => parts.world.now() };
    this.random = parts.random;
    this.log = parts.log;
    this.files = guardedFiles(parts.files, (work) => this.outside(work));
    // Not one operation of the outside: who answers is another daemon of the same world.
    this.fetch = async (input, init) => {
      const response = await parts.fetch(input, init);
      return this.#halted ? new Promise(() => undefined) : response;
    };
  }

  get halted(): boolean {
    return this.#halted;
  }

  after(ms: number, fn: () => void): Timer {
    return this.#world.after(ms, () => {
      if (!this.#halted) fn();
    });
  }

  sleep(ms: number, signal?: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      const onAbort = (): void => {
        timer.cancel();
        if (!this.#halted) reject(signal?.reason instanceof Error ? signal.reason : new Error('aborted'));
      };
      const timer = this.after(ms, () => {
        signal?.removeEventListener('abort', onAbort);
        resolve();
      });
      if (signal?.aborted) onAbort();
      else signal?.addEventListener('abort', onAbort, { once: true });
    });
  }

  /** Once halted, nothing that was waited for ever comes. */
  outside<T>(work: () => Promise<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      if (this.#halted) return;
      const operation = async (): Promise<T | undefined> => (this.#halted ? undefined : work());
      this.#world.outside(operation).then(
        (value) => {
          if (!this.#halted) resolve(value as T);
        },
        (error: unknown) => {
          if (!this.#halted) reject(error instanceof Error ? error : new Error(String(error)));
        },
      );
    });
  }

  halt(): void {
    this.#halted = true;
  }
}
