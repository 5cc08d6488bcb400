import { NovaError } from '../common/errors.js';
import type { Flags } from '../common/flags/flags.js';
import type { Log } from '../common/log.js';
import { guardedFiles } from '../common/runtime/guardedFiles.js';
import type { Clock, Exec, Files, HttpFetch, Random, Runtime, Timer } from '../common/runtime/runtime.js';
import type { SimulatedLog } from './simulatedLog.js';
import type { World } from './world.js';

export interface SimulatedParts {
  binary: string;
  flags: Flags;
  world: World;
  random: Random;
  log: SimulatedLog;
  files: Files;
  /** Where outgoing HTTP ends. */
  fetch: HttpFetch;
  /** Milliseconds by which the host's clock is wrong; it may change. */
  clockError?: () => number;
}

/** When a daemon dies: before the operation is carried out, or after it but before the daemon hears of it. */
export type Moment = 'before' | 'after';

/**
 * A daemon's runtime inside a {@link World}: virtual time, seeded chance, files in memory, no commands. It can be halted
 * between any two operations of the outside, and paused, as SIGSTOP does.
 */
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
  /** Resolves when the daemon is halted. */
  readonly ended: Promise<void>;
  readonly #world: World;
  #end: () => void = () => undefined;
  #halted = false;
  #armed: { operations: number; moment: Moment; onDeath: () => void } | undefined;
  /** It dies when this operation has been carried out; who is to be told. */
  #dying: (() => void) | undefined;
  /** An operation of this daemon is being carried out. */
  #operating = false;
  #pausedUntil = 0;
  #pauseWished = 0;
  /** Transactions which are open: a daemon isn't paused in one, the database would end it. */
  openTransactions = 0;

  constructor(parts: SimulatedParts) {
    this.binary = parts.binary;
    this.host = parts.flags.host;
    this.flags = parts.flags;
    this.#world = parts.world;
    this.clock = { now: () => parts.world.now() + (parts.clockError?.() ?? 0) };
    this.random = parts.random;
    const logger = parts.log.of(`${parts.binary}@${this.host}`);
    this.log = { logger, reopen: () => undefined, close: async () => undefined };
    this.files = guardedFiles(parts.files, (work) =>
      // The world waits for each operation, so that of a dead daemon ends, too; nobody hears of it.
      this.outside(async () => (this.#halted ? (undefined as Awaited<ReturnType<typeof work>>) : work())),
    );
    this.ended = new Promise((resolve) => (this.#end = resolve));
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
    return this.#world.after(ms, () => this.whenAwake(fn));
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
      this.#world
        .outside(() => this.#operation(work))
        .then(
          (value) => this.whenAwake(() => resolve(value)),
          (error: unknown) => this.whenAwake(() => reject(error instanceof Error ? error : new Error(String(error)))),
        );
    });
  }

  /** Calls `fn` now, or when a pause is over; never once halted. */
  whenAwake(fn: () => void): void {
    if (this.#halted) return;
    const wait = this.#pausedUntil - this.#world.now();
    if (wait > 0) this.#world.after(wait, () => this.whenAwake(fn));
    else fn();
  }

  /** Nothing reaches the daemon for so long, as after SIGSTOP; begins when no transaction is open. */
  pause(ms: number): void {
    this.#pauseWished = ms;
    this.transactionsEnded();
  }

  /**
   * @internal What has to be done for a daemon which is dead: within the operation which it died at, or as one of its own.
   */
  cleanUp(work: () => Promise<void>): Promise<void> {
    return this.#operating ? work() : this.#world.outside(work);
  }

  /** @internal The database tells when a transaction has ended. */
  transactionsEnded(): void {
    if (this.#pauseWished === 0 || this.openTransactions > 0) return;
    this.#pausedUntil = this.#world.now() + this.#pauseWished;
    this.#pauseWished = 0;
  }

  /** Lets the daemon die at an operation of the outside: the next one, or so many later. Tells when it does. */
  dieAt(operations: number, moment: Moment, onDeath: () => void = () => undefined): void {
    this.#armed ??= { operations, moment, onDeath };
  }

  /** It need not die any more. */
  calm(): void {
    this.#armed = undefined;
  }

  /** @internal To be called when an operation was carried out; a daemon which dies after it dies here. */
  carriedOut(): void {
    if (this.#dying !== undefined) this.#die(this.#dying);
  }

  halt(): void {
    if (this.#halted) return;
    this.#halted = true;
    this.#end();
  }

  #die(onDeath: () => void): void {
    if (this.#halted) return;
    this.halt();
    onDeath();
  }

  async #operation<T>(work: () => Promise<T>): Promise<T> {
    if (this.#armed !== undefined && this.#armed.operations-- <= 0) {
      if (this.#armed.moment === 'before') this.#die(this.#armed.onDeath);
      else this.#dying = this.#armed.onDeath;
      this.#armed = undefined;
    }
    this.#operating = true;
    try {
      // Whoever looks after something that others wait for lets go of it, also in a daemon which is halted.
      return await work();
    } finally {
      this.#operating = false;
      this.carriedOut();
    }
  }
}
