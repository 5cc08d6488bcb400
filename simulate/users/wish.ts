import type { SeededRandom } from '../seededRandom.js';
import type { Ec2Answer } from '../ec2Client.js';
import type { Known } from './known.js';

/** What the users of a project know of what they have, by EC2 id or name. Some of it may be gone already. */
export interface Belongings {
  readonly instances: string[];
  readonly volumes: string[];
  readonly snapshots: string[];
  readonly addresses: string[];
  readonly keys: string[];
  readonly groups: string[];
  readonly images: string[];
}

export type Parameters = Record<string, string | number>;

/** What chooses the parameters of a request. */
export interface Chooser {
  readonly random: SeededRandom;
  readonly has: Belongings;
  readonly known: Known;
  /**
   * One of what the project has, as a parameter, mostly one of those which are `likely` to do; seldom another project's.
   * Undefined: there is none.
   */
  one(kind: keyof Belongings, parameter: string, likely?: readonly string[]): Parameters | undefined;
}

/** One kind of request. */
export interface Wish {
  readonly action: string;
  /** How often it is chosen, compared with others; 1 when absent. */
  readonly weight?: number;
  /** What is sent; undefined when there is nothing to send it for. */
  parameters(chooser: Chooser): Parameters | undefined;
  /** What the user knows after an answer without error. */
  learn?(has: Belongings, answer: Ec2Answer, sent: Parameters): void;
}

export function emptyBelongings(): Belongings {
  return { instances: [], volumes: [], snapshots: [], addresses: [], keys: [], groups: [], images: [] };
}

/** Takes a name off a list. */
export function forget(list: string[], name: string | number | undefined): void {
  const index = list.indexOf(String(name));
  if (index >= 0) list.splice(index, 1);
}

/** Both, or nothing when one is missing. */
export function both(a: Parameters | undefined, b: Parameters | undefined): Parameters | undefined {
  return a && b && { ...a, ...b };
}
