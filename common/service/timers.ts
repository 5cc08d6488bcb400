import type { Runtime } from '../runtime/runtime.js';

/** Something which runs again and again until it is stopped. */
export interface Loop {
  /** No further run; resolves when the current one is over. */
  stop(): Promise<void>;
}

/**
 * Runs `work` every `seconds`, first after one interval and `delayMs` milliseconds; the interval counts from the end of a
 * run, so runs never overlap (nova 2011.3, nova/utils.py LoopingCall). What `work` throws goes to `failed`, and the loop
 * goes on.
 */
export function every(
  runtime: Runtime,
  seconds: number,
  work: () => Promise<void>,
  failed: (error: unknown) => void,
  delayMs = 0,
): Loop {
  const stopping = new AbortController();
  const run = async (): Promise<void> => {
    for (let waitMs = seconds * 1000 + delayMs; ; waitMs = seconds * 1000) {
      try {
        await runtime.sleep(waitMs, stopping.signal);
      } catch {
        return;
      }
      if (stopping.signal.aborted) return;
      try {
        await work();
      } catch (error) {
        failed(error);
      }
    }
  };
  const finished = run();
  return {
    stop: () => {
      stopping.abort();
      return finished;
    },
  };
}

/** Waits for `work`, but at most `ms` milliseconds. Answers whether it came to its end. */
export async function within(runtime: Runtime, ms: number, work: Promise<unknown>): Promise<boolean> {
  const enough = new AbortController();
  const timeout = runtime.sleep(ms, enough.signal).then(
    () => false,
    () => true,
  );
  try {
    return await Promise.race([work.then(() => true), timeout]);
  } finally {
    enough.abort();
  }
}
