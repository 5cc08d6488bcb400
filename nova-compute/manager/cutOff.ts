import { lineOf } from './failures.js';

/** Why work on an instance did not come to its end. */
export type CutOff =
  /** The daemon which did it has ended. */
  | 'restart'
  /** What stood in the way, as far as that is known. */
  | { readonly failure: string | null };

/** Instances whose work could not be brought to an end here (database or broker away), each with the first thing that went wrong. */
export class UnfinishedWork {
  #work = new Map<number, CutOff>();

  /** Notes that an instance must be looked at again. What went wrong first stays. */
  add(instanceId: number, error?: unknown): void {
    this.keep(instanceId, { failure: error === undefined ? null : lineOf(error) });
  }

  /** Puts back what was taken, as it was. */
  keep(instanceId: number, cutOff: CutOff): void {
    if (!this.#work.has(instanceId)) this.#work.set(instanceId, cutOff);
  }

  /** Everything so far; from now on it is noted anew. */
  take(): ReadonlyMap<number, CutOff> {
    const taken = this.#work;
    this.#work = new Map();
    return taken;
  }
}

/** The reason which the owner reads: what happened on `host` while, e.g., `the instance was being built`. */
export function reasonOfCutOff(host: string, cutOff: CutOff, doing: string): string {
  if (cutOff === 'restart') return `The compute service on ${host} was restarted while ${doing}`;
  const failure = cutOff.failure ?? 'nobody is at work on it any more';
  return `The compute service on ${host} could not tell what had been done while ${doing}: ${failure}`;
}
