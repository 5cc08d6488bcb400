/**
 * Grants one holder at a time, first come, first served. The writers of one SQLite file, and everything in a
 * simulated cloud, take turns; daemons of one process which share a file may share one of these.
 */
export class Turns {
  #last: Promise<void> = Promise.resolve();

  /** Resolves when it is the caller's turn, with the function which ends it (a second call of that does nothing). */
  async take(): Promise<() => void> {
    const before = this.#last;
    let end: () => void = () => undefined;
    this.#last = new Promise<void>((resolve) => {
      end = resolve;
    });
    await before;
    return end;
  }
}
