/**
 * Work in lanes: what has the same key runs one after the other, in the order in which it came; different keys run side
 * by side.
 */
export class Lanes<K> {
  readonly #tails = new Map<K, Promise<void>>();

  /** Runs `work` when everything that entered the lane before has ended, however it ended. Answers what `work` answers. */
  run<T>(key: K, work: () => Promise<T>): Promise<T> {
    const before = this.#tails.get(key);
    const result = before === undefined ? work() : before.then(work);
    const tail = result.then(
      () => undefined,
      () => undefined,
    );
    this.#tails.set(key, tail);
    void tail.then(() => {
      if (this.#tails.get(key) === tail) this.#tails.delete(key);
    });
    return result;
  }

  /** Whether a lane has work. */
  has(key: K): boolean {
    return this.#tails.has(key);
  }

  /** How many lanes have work. */
  get busy(): number {
    return this.#tails.size;
  }
}

/** A bound on how much runs at a time; whoever comes later waits, first come first served. */
export class Slots {
  #free: number;
  readonly #waiting: { enter: () => void }[] = [];

  constructor(count: number) {
    this.#free = count;
  }

  /** Runs `work` in a slot. Rejects with the signal's reason when that is aborted while waiting. */
  async run<T>(work: () => Promise<T>, signal?: AbortSignal): Promise<T> {
    await this.#enter(signal);
    try {
      return await work();
    } finally {
      this.#leave();
    }
  }

  #enter(signal?: AbortSignal): Promise<void> {
    signal?.throwIfAborted();
    if (this.#free > 0) {
      this.#free -= 1;
      return Promise.resolve();
    }
    return new Promise((resolve, reject) => {
      const onAbort = (): void => {
        this.#waiting.splice(this.#waiting.indexOf(waiter), 1);
        reject(signal?.reason as Error);
      };
      const waiter = {
        enter: () => {
          signal?.removeEventListener('abort', onAbort);
          resolve();
        },
      };
      signal?.addEventListener('abort', onAbort, { once: true });
      this.#waiting.push(waiter);
    });
  }

  #leave(): void {
    const next = this.#waiting.shift();
    if (next === undefined) this.#free += 1;
    else next.enter();
  }
}

/** Runs `work` for every item, at most `limit` at a time, and resolves when all are done. `work` must not throw. */
export async function forEachBounded<T>(
  items: readonly T[],
  limit: number,
  work: (item: T) => Promise<void>,
): Promise<void> {
  const slots = new Slots(limit);
  await Promise.all(items.map((item) => slots.run(() => work(item))));
}
