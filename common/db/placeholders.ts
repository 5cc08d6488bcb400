/** A statement as one dialect wants it. */
export interface PreparedText {
  readonly text: string;
  /** How many values it takes. */
  readonly count: number;
}

/** Quoted texts and names, comments, and the placeholder: a `?` inside one of the former is none. */
const tokens = /'(?:[^']|'')*'|"(?:[^"]|"")*"|--[^\n]*|\/\*[\s\S]*?\*\/|\?/g;

/** Counts the `?` of a statement and, where asked, writes them as PostgreSQL does: `$1`, `$2`, … */
export function translatePlaceholders(sql: string, numbered: boolean): PreparedText {
  let count = 0;
  const text = sql.replace(tokens, (token) => {
    if (token !== '?') return token;
    count += 1;
    return numbered ? `$${count}` : '?';
  });
  return { text, count };
}

/**
 * Remembers translated statements. Lists make many variants of one statement (`IN (?, ?, …)`), so it is bounded: when
 * full it starts anew.
 */
export class StatementCache {
  readonly #known = new Map<string, PreparedText>();

  constructor(
    private readonly numbered: boolean,
    private readonly limit = 2000,
  ) {}

  get(sql: string): PreparedText {
    let known = this.#known.get(sql);
    if (known === undefined) {
      known = translatePlaceholders(sql, this.numbered);
      if (this.#known.size >= this.limit) this.#known.clear();
      this.#known.set(sql, known);
    }
    return known;
  }
}
