/** A prepared statement of the `sqlite3` binding. Calls of one statement run one after the other. */
export interface PreparedStatement {
  all(values: readonly unknown[], done: (error: Error | null, rows: Record<string, unknown>[]) => void): void;
  run(values: readonly unknown[], done: (this: { changes: number; lastID: number }, error: Error | null) => void): void;
  finalize(): void;
}

/** A connection as {@link SqliteStatements} uses it. */
export interface PreparingConnection {
  prepare(sql: string, done: (error: Error | null) => void): PreparedStatement;
}

interface KeptStatement {
  readonly statement: PreparedStatement;
  /** Who is told when it can't be prepared; null when it was. */
  unsure: ((error: Error) => void)[] | null;
}

/** What comes again and again. */
const worthKeeping = /^\s*(?:SELECT|WITH|INSERT|UPDATE|DELETE|BEGIN|COMMIT|ROLLBACK)\b/i;

/**
 * The prepared statements of one connection. Preparing takes a turn of a thread and a parse, most statements come again
 * and again. Bounded, because lists make many variants of one statement: those which were not used for longest go.
 */
export class SqliteStatements {
  /** In the order of their last use. */
  readonly #kept = new Map<string, KeptStatement>();

  constructor(
    private readonly connection: PreparingConnection,
    private readonly most = 200,
  ) {}

  /**
   * Hands the statement of a text to `work`, which asks one thing of it. When it can't be prepared `fail` is told, and
   * what was asked is never answered.
   */
  use(text: string, fail: (error: Error) => void, work: (statement: PreparedStatement) => void): void {
    const kept = this.#kept.get(text);
    if (kept === undefined) {
      this.#prepare(text, fail, work);
      return;
    }
    this.#kept.delete(text);
    this.#kept.set(text, kept);
    kept.unsure?.push(fail);
    work(kept.statement);
  }

  #prepare(text: string, fail: (error: Error) => void, work: (statement: PreparedStatement) => void): void {
    const unsure = [fail];
    const statement = this.connection.prepare(text, (error) => {
      if (error === null) {
        kept.unsure = null;
        return;
      }
      if (this.#kept.get(text) === kept) this.#kept.delete(text);
      for (const told of unsure) told(error);
    });
    const kept: KeptStatement = { statement, unsure };
    work(statement);
    if (worthKeeping.test(text)) this.#kept.set(text, kept);
    else statement.finalize();
    this.#dropOldest();
  }

  #dropOldest(): void {
    if (this.#kept.size <= this.most) return;
    const [text, { statement }] = this.#kept.entries().next().value!;
    this.#kept.delete(text);
    // after what was asked of it before
    statement.finalize();
  }

  /** Before the connection closes: it could not with statements left. */
  close(): void {
    for (const { statement } of this.#kept.values()) statement.finalize();
    this.#kept.clear();
  }
}
