import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { projectRoot } from '../../common/projectRoot.js';
import { recordings } from '../support/recordings.js';

/** Differences which are meant; docs/deviations.md says why, in the line of the same id. */
interface Exception {
  readonly id: string;
  /** `folder/name` of exchanges, or actions; `*` stands for anything. */
  readonly where: readonly string[];
  /** Differences as {@link differences} writes them; `*` stands for anything. */
  readonly what: readonly string[];
}

const fits = (pattern: string, text: string): boolean => {
  if (!pattern.includes('*')) return pattern === text;
  const parts = pattern.split('*');
  const [first = '', last = ''] = [parts[0], parts.at(-1)];
  if (!text.startsWith(first) || !text.endsWith(last) || text.length < first.length + last.length) return false;
  let at = first.length;
  for (const part of parts.slice(1, -1)) {
    const found = text.indexOf(part, at);
    if (found < 0) return false;
    at = found + part.length;
  }
  return at + last.length <= text.length;
};

/** Where a difference is. */
export interface Place {
  /** `folder/name`. */
  readonly exchange: string;
  readonly action: string;
}

/** The list of exceptions, and which of them were needed. */
export class Exceptions {
  readonly list: readonly Exception[];
  readonly #met = new Map<Exception, Set<string>>();

  constructor() {
    const text = readFileSync(new URL('replay-exceptions.json', recordings), 'utf8');
    this.list = JSON.parse(text) as Exception[];
  }

  /** The differences which no exception names; the others are noted. */
  unexpected({ exchange, action }: Place, found: readonly string[]): string[] {
    return found.filter((difference) => {
      const entries = this.list.filter(
        ({ where, what }) =>
          where.some((place) => fits(place, exchange) || place === action) &&
          what.some((pattern) => fits(pattern, difference)),
      );
      for (const entry of entries) this.#note(entry, exchange, action, difference);
      return entries.length === 0;
    });
  }

  /** Entries, and places and differences named in them, which nothing needs any more. */
  stale(): string[] {
    return this.list.flatMap((entry) =>
      [...entry.where, ...entry.what]
        .filter((name) => this.#met.get(entry)?.has(name) !== true)
        .map((name) => `${entry.id}: ${name}`),
    );
  }

  #note(entry: Exception, exchange: string, action: string, difference: string): void {
    const met = this.#met.get(entry) ?? new Set();
    this.#met.set(entry, met);
    for (const place of entry.where) if (fits(place, exchange) || place === action) met.add(place);
    for (const pattern of entry.what) if (fits(pattern, difference)) met.add(pattern);
  }
}

/** Ids of the lines in docs/deviations.md, in their order. */
export function documentedIds(): string[] {
  const text = readFileSync(join(projectRoot(), 'docs', 'deviations.md'), 'utf8');
  return [...text.matchAll(/^\| (W\d+) \|/gm)].map((match) => match[1]!);
}
