/* eslint-disable no-restricted-globals -- the world's own loop waits for the real event loop to come to rest */
import type { Random, Timer } from '../common/runtime/runtime.js';

interface PendingTimer {
  at: number;
  sequence: number;
  fire(): void;
}

/**
 * Owns time and order. One thing happens at a time: an operation of the outside (a statement, a file) is let in only
 * when the one before has ended and everything that it woke has come to rest, and the clock moves only when nothing else
 * can. So a run depends on its seed alone, and not on how fast a disk or a thread is.
 */
export class World {
  readonly #begin: number;
  #now: number;
  #sequence = 0;
  readonly #timers: PendingTimer[] = [];
  readonly #waiting: (() => Promise<void>)[] = [];
  #brokenOff: Error | undefined;

  /**
   * @param random chooses who is let in of those who wait; first come, first served when absent
   * @param start milliseconds since the epoch at which the world begins
   */
  constructor(
    private readonly random?: Random,
    start = Date.parse('2011-09-22T12:00:00Z'),
  ) {
    this.#begin = start;
    this.#now = start;
  }

  now(): number {
    return this.#now;
  }

  /** Milliseconds since the begin. */
  get age(): number {
    return this.#now - this.#begin;
  }

  after(ms: number, fire: () => void): Timer {
    const timer = { at: this.#now + Math.max(0, ms), sequence: this.#sequence++, fire };
    this.#insert(timer);
    return {
      cancel: () => {
        const index = this.#timers.indexOf(timer);
        if (index >= 0) this.#timers.splice(index, 1);
      },
    };
  }

  /** Resolves after `ms` milliseconds of the world's time. */
  sleep(ms: number): Promise<void> {
    return new Promise((resolve) => void this.after(ms, resolve));
  }

  /** Lets one operation of the outside in when its turn comes. */
  outside<T>(work: () => Promise<T>): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      this.#waiting.push(async () => {
        try {
          resolve(await work());
        } catch (error) {
          reject(error);
        }
      });
    });
  }

  /**
   * Lets the world go on until `goal` settles, and answers as it does. Throws when nothing is left to happen, after
   * `limitMs` of the world's time, or why it was broken off.
   */
  async run<T>(goal: Promise<T>, limitMs = 24 * 3600_000): Promise<T> {
    let settled = false;
    const watch = goal.then(
      () => (settled = true),
      () => (settled = true),
    );
    const end = this.#now + limitMs;
    for (;;) {
      await rest();
      if (this.#brokenOff !== undefined) throw this.#brokenOff;
      if (settled) {
        await watch;
        return goal;
      }
      const operation = this.#nextOperation();
      if (operation !== undefined) await operation();
      else if (!this.#fireNext(end))
        throw new Error(`The world stands still at ${this.#now}, and its goal is not reached`);
    }
  }

  /** Ends the world: what went wrong can't be told to anybody in it. */
  breakOff(reason: Error): void {
    this.#brokenOff ??= reason;
  }

  /** Lets `ms` milliseconds of the world's time pass. */
  pass(ms: number): Promise<void> {
    return this.run(this.sleep(ms));
  }

  #nextOperation(): (() => Promise<void>) | undefined {
    const count = this.#waiting.length;
    if (count <= 1 || this.random === undefined) return this.#waiting.shift();
    return this.#waiting.splice(this.random.below(count), 1)[0];
  }

  /** Sorted by time, the last one first, so that the next is popped. */
  #insert(timer: PendingTimer): void {
    let low = 0;
    let high = this.#timers.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.#timers[middle]!.at > timer.at) low = middle + 1;
      else high = middle;
    }
    this.#timers.splice(low, 0, timer);
  }

  #fireNext(end: number): boolean {
    const next = this.#timers.at(-1);
    if (next === undefined || next.at > end) return false;
    this.#timers.pop();
    this.#now = Math.max(this.#now, next.at);
    next.fire();
    return true;
  }
}

/** Waits until promises which wake each other have come to rest. */
function rest(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
