import { readFileSync } from 'node:fs';
import { recordings } from '../support/recordings.js';
import type { Difference } from './values.js';

/** An intended difference from the recordings. `*` in places and values stands for anything. */
export interface Deviation {
  readonly flow: string | readonly string[];
  readonly what: string | readonly string[];
  readonly ours: string;
  readonly original: string;
  readonly reason: string;
}

export interface DeviationsFile {
  readonly deviations: readonly Deviation[];
  /** Flows which are not done, with the reason. */
  readonly later: Readonly<Record<string, string>>;
}

/** A recording, or undefined where nothing was recorded. */
export function recording<T>(path: string): T | undefined {
  try {
    return JSON.parse(readFileSync(new URL(path, recordings), 'utf8')) as T;
  } catch (error) {
    if ((error as { code?: string }).code === 'ENOENT') return undefined;
    throw error;
  }
}

function fits(pattern: string | readonly string[], text: string): boolean {
  if (typeof pattern !== 'string') return pattern.some((one) => fits(one, text));
  const source = pattern.split('*').map((part) => part.replace(/[.+?^${}()|[\]\\]/g, '\\$&'));
  return new RegExp(`^${source.join('.*')}$`, 's').test(text);
}

const listOf = (value: string | readonly string[]): readonly string[] => (typeof value === 'string' ? [value] : value);

/** The list of intended differences, and which of them were met. */
export class Deviations {
  readonly file: DeviationsFile;
  /** Of each entry: the flows and the places at which it was met. */
  readonly #met = new Map<Deviation, Set<string>>();

  constructor() {
    const file = recording<DeviationsFile>('deviations.json');
    if (file === undefined) throw new Error('test/recordings/deviations.json is missing');
    this.file = file;
  }

  /** The differences of a flow which the list does not name. */
  unexpected(flow: string, differences: readonly Difference[]): Difference[] {
    return differences.filter((difference) => this.#fitting(flow, difference).length === 0);
  }

  /** Notes which entries a flow needed. */
  meet(flow: string, differences: readonly Difference[]): void {
    for (const difference of differences) {
      for (const entry of this.#fitting(flow, difference)) {
        const places = this.#met.get(entry) ?? new Set();
        this.#met.set(entry, places);
        places.add(flow);
        for (const place of listOf(entry.what)) if (fits(place, difference.what)) places.add(place);
      }
    }
  }

  /** Entries, and flows and places named in them, in which there is no difference any more. */
  stale(): string[] {
    return this.file.deviations.flatMap((entry) =>
      [...listOf(entry.flow), ...listOf(entry.what)]
        .filter((name) => !this.#met.get(entry)?.has(name))
        .map((name) => `${name} (${entry.reason})`),
    );
  }

  #fitting(flow: string, { what, ours, original }: Difference): Deviation[] {
    return this.file.deviations.filter(
      (entry) =>
        listOf(entry.flow).includes(flow) &&
        fits(entry.what, what) &&
        fits(entry.ours, ours) &&
        fits(entry.original, original),
    );
  }
}
