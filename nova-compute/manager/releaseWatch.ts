import type { Db } from '../../common/db/db.js';
import { instancesWithInterfaces } from '../../common/db/virtualInterfaces.js';
import type { Runtime } from '../../common/runtime/runtime.js';

/** Milliseconds between two looks: the first ones, and the longest. */
const pauses = { first: 10, longest: 100 } as const;

interface Waiter {
  readonly instanceId: number;
  /** Milliseconds of the clock. */
  readonly end: number;
  readonly done: (isReleased: boolean) => void;
  readonly failed: (error: unknown) => void;
}

/**
 * Waits until nova-network has freed what instances held. It tells nobody when it has, so the rows are looked at: for all
 * which wait at a time by one query, however many end at once.
 */
export class ReleaseWatch {
  readonly #waiters = new Set<Waiter>();
  #isLooking = false;
  #pauseMs: number = pauses.first;

  constructor(
    private readonly db: Db,
    private readonly runtime: Runtime,
  ) {}

  /** Resolves to true once an instance has no interface any more, to false when it has one after so many seconds. Throws DBError. */
  released(instanceId: number, seconds: number): Promise<boolean> {
    return new Promise<boolean>((done, failed) => {
      this.#waiters.add({ instanceId, end: this.runtime.clock.now() + seconds * 1000, done, failed });
      this.#pauseMs = pauses.first;
      if (!this.#isLooking) void this.#look();
    });
  }

  async #look(): Promise<void> {
    this.#isLooking = true;
    for (;;) {
      await this.#tell([...this.#waiters]);
      if (this.#waiters.size === 0) break;
      await this.runtime.sleep(this.#pauseMs);
      this.#pauseMs = Math.min(this.#pauseMs * 2, pauses.longest);
    }
    this.#isLooking = false;
  }

  async #tell(asked: readonly Waiter[]): Promise<void> {
    try {
      const ids = [...new Set(asked.map(({ instanceId }) => instanceId))];
      const held = new Set(await instancesWithInterfaces(this.db, ids));
      const now = this.runtime.clock.now();
      for (const waiter of asked) {
        const isReleased = !held.has(waiter.instanceId);
        if (!isReleased && waiter.end > now) continue;
        this.#waiters.delete(waiter);
        waiter.done(isReleased);
      }
    } catch (error) {
      for (const waiter of asked) {
        this.#waiters.delete(waiter);
        waiter.failed(error);
      }
    }
  }
}
