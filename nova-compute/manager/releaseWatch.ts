import type { Db } from '../../common/db/db.js';
import { instancesWithInterfaces } from '../../common/db/virtualInterfaces.js';
import type { Runtime } from '../../common/runtime/runtime.js';

/** Milliseconds between two looks: the first ones, and the longest. */
const pauses = { first: 10, longest: 100 } as const;

interface Waiter {
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
  readonly #waiters = new Map<number, Waiter[]>();
  #isLooking = false;
  #pauseMs: number = pauses.first;

  constructor(
    private readonly db: Db,
    private readonly runtime: Runtime,
  ) {}

  /** Resolves to true once an instance has no interface any more, to false when it has one after so many seconds. Throws DBError. */
  released(instanceId: number, seconds: number): Promise<boolean> {
    return new Promise<boolean>((done, failed) => {
      const waiter = { end: this.runtime.clock.now() + seconds * 1000, done, failed };
      this.#waiters.set(instanceId, [...(this.#waiters.get(instanceId) ?? []), waiter]);
      this.#pauseMs = pauses.first;
      if (!this.#isLooking) void this.#look();
    });
  }

  async #look(): Promise<void> {
    this.#isLooking = true;
    while (this.#waiters.size > 0) {
      const asked = [...this.#waiters.keys()];
      try {
        this.#tell(asked, new Set(await instancesWithInterfaces(this.db, asked)));
      } catch (error) {
        for (const id of asked) for (const waiter of this.#take(id)) waiter.failed(error);
      }
      if (this.#waiters.size === 0) break;
      await this.runtime.sleep(this.#pauseMs);
      this.#pauseMs = Math.min(this.#pauseMs * 2, pauses.longest);
    }
    this.#isLooking = false;
  }

  #tell(asked: readonly number[], held: ReadonlySet<number>): void {
    const now = this.runtime.clock.now();
    for (const id of asked) {
      if (!held.has(id)) for (const waiter of this.#take(id)) waiter.done(true);
      else if (this.#waiters.get(id)!.some((waiter) => waiter.end <= now)) {
        for (const waiter of this.#take(id)) waiter.done(false);
      }
    }
  }

  #take(id: number): Waiter[] {
    const waiters = this.#waiters.get(id) ?? [];
    this.#waiters.delete(id);
    return waiters;
  }
}
