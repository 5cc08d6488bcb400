/* eslint-disable no-restricted-globals -- the world's own loop waits for the real event loop to come to rest */
import type { Timer } from '../common/runtime/runtime.js';

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
  #now: number;
  #sequence = 0;
  readonly #timers: PendingTimer[] = [];
  readonly #waiting: (() => Promise<void>)[] = [];

  /** `start`: milliseconds since the epoch at which the world begins. */
  constructor(start = Date.parse('2011-09-22T12:00:00Z')) {
    this.#now = start;
  }

  now(): number {
    return this.#now;
  }

  after(ms: number, fire: () => void): Timer {
    const timer = { at: this.#now + Math.max(0, ms), sequence: this.#sequence++, fire };
    this.#timers.push(timer);
    return {
      cancel: () => {
        const index = this.#timers.indexOf(timer);
        if (index >= 0) this.#timers.splice(index, 1);
      },
    };
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
   * Lets the world go on until `goal` settles, and answers as it does. Throws when nothing is left to happen, or after
   * `limitMs` of the world's time.
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
      if (settled) {
        await watch;
        return goal;
      }
      const operation = this.#waiting.shift();
      if (operation !== undefined) await operation();
      else if (!this.#fireNext(end))
        throw new Error(`The world stands still at ${this.#now}, and its goal is not reached`);
    }
  }

  /** Lets `ms` milliseconds of the world's time pass. */
  pass(ms: number): Promise<void> {
    return this.run(new Promise<void>((resolve) => void this.after(ms, resolve)));
  }

  #fireNext(end: number): boolean {
    let next: PendingTimer | undefined;
    for (const timer of this.#timers) {
      if (next === undefined || timer.at < next.at || (timer.at === next.at && timer.sequence < next.sequence))
        next = timer;
    }
    if (next === undefined || next.at > end) return false;
    this.#timers.splice(this.#timers.indexOf(next), 1);
    this.#now = Math.max(this.#now, next.at);
    next.fire();
    return true;
  }
}

/** Waits until promises which wake each other have come to rest. */
function rest(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
