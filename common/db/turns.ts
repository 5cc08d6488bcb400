/**
 * Grants one holder at a time, first come, first served. The writers of one SQLite file, and everything in a
 * simulated cloud, take turns; daemons of one process which share a file may share one of these.
 */
export class Turns {
  #taken = false;
  readonly #waiting: (() => void)[] = [];

  /** Resolves when it is the caller's turn, with the function which ends it (a second call of that does nothing). */
  take(): Promise<() => void> {
    return new Promise((resolve) => {
      const begin = (): void => resolve(this.#turn());
      if (this.#taken) {
        this.#waiting.push(begin);
        return;
      }
      this.#taken = true;
      begin();
    });
  }

  #turn(): () => void {
    let ended = false;
    return () => {
      if (ended) return;
      ended = true;
      const next = this.#waiting.shift();
      if (next === undefined) this.#taken = false;
      else next();
    };
  }
}
