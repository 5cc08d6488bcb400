import type { Servers } from './cloud.js';

/** One line of the table. */
export interface Figure {
  readonly what: string;
  readonly measured: number;
  /** Of what is measured, e.g. `/s` or ` ms`. */
  readonly unit: string;
  /** At least so much, or with `most` at most. Absent where nothing is promised. */
  readonly least?: number;
  readonly most?: number;
  /** What the libraries alone do of it, in the same run. */
  readonly raw?: string;
  /** Where the time went. */
  readonly note?: string;
}

/** What a measurement works with. */
export interface Bench {
  readonly servers: Servers;
  /** Tells what is being done. */
  say(line: string): void;
  /** The measurement is to be short: a tenth of the work, for trying the bench out. */
  readonly quick: boolean;
  /** How long churn lasts. */
  readonly minutes: number;
}

/** A measurement which gives some lines of the table. */
export interface Measurement {
  readonly name: string;
  readonly summary: string;
  run(bench: Bench): Promise<Figure[]>;
}

/** Whether a figure is as good as promised; null where nothing is. */
export function passes({ measured, least, most }: Figure): boolean | null {
  if (least !== undefined) return measured >= least;
  return most === undefined ? null : measured <= most;
}
