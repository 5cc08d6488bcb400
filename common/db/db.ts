import type { Rows, TableName } from './rows.js';

/** What a statement's `?` may stand for. Booleans are written as the dialect stores them. */
export type SqlValue = string | number | boolean | null;
/** Columns to write. A key that is absent is not written. */
export type Values<T extends TableName> = { [K in keyof Rows[T]]?: Rows[T][K] | null };

export type DialectName = 'sqlite' | 'postgresql' | 'mysql';

/**
 * Statements on one connection or pool. SQL is written with `?` placeholders and, where an identifier needs quotes,
 * double quotes (`"key"`, `"binary"`) in all three dialects. Rows come back with native booleans, UTC time texts, and
 * COUNT and SUM as numbers.
 */
export interface Queryable {
  readonly dialect: DialectName;
  /** The rows of one SELECT (or of an UPDATE … RETURNING where the dialect has it). */
  all<R>(sql: string, params?: readonly SqlValue[]): Promise<R[]>;
  /** The first row, or undefined. */
  first<R>(sql: string, params?: readonly SqlValue[]): Promise<R | undefined>;
  /** Runs a statement and answers how many rows it changed or matched (matched, on MySQL too). */
  run(sql: string, params?: readonly SqlValue[]): Promise<number>;
  /**
   * Inserts one row and answers its id (0 for a table without one). Fills `created_at` with now and `deleted` with
   * false when absent; nothing in the schema has a server-side default.
   */
  insert<T extends TableName>(table: T, values: Values<T>): Promise<number>;
  /** Inserts many rows in as few statements as the dialect allows; fills as {@link insert}. */
  insertMany<T extends TableName>(table: T, rows: readonly Values<T>[]): Promise<void>;
  /**
   * `UPDATE table SET …, updated_at = now WHERE where`. Writes only the given columns and answers how many rows matched.
   * `updatedAt: false` leaves updated_at alone.
   */
  update<T extends TableName>(
    table: T,
    values: Values<T>,
    where: string,
    params?: readonly SqlValue[],
    options?: { updatedAt?: boolean },
  ): Promise<number>;
  /** The current time as a row stores it. */
  now(): string;
}

/**
 * A transaction: a {@link Queryable} whose statements commit together. On every dialect a statement which fails dooms
 * it: what follows fails with the same error, and nothing commits.
 */
export interface Tx extends Queryable {
  /** ` FOR UPDATE`, or nothing on SQLite, whose transactions exclude each other. */
  readonly forUpdate: string;
  /** ` FOR SHARE` as the dialect has it: the rows stay as they are until this transaction ends; others may lock them so, too. Nothing on SQLite. */
  readonly forShare: string;
  /** ` FOR UPDATE SKIP LOCKED`, or nothing on SQLite. */
  readonly forUpdateSkipLocked: string;
  /**
   * What this transaction does from here to its end it does while it alone holds the named lock: quota checks of one
   * project, the fill of a pool. Its next statement waits for that (on PostgreSQL `lock` itself does not, which saves a
   * round trip). Advisory lock on PostgreSQL, GET_LOCK on MySQL; nothing to do on SQLite. Only our own daemons see it.
   */
  lock(name: string): Promise<void>;
  /**
   * Runs `last`, whose first statements, sent before it waits for anything, are the transaction's last: on PostgreSQL the
   * COMMIT leaves in their packet. For work which may run again although it was committed, since that is what a server
   * which goes away meanwhile leads to: work which finds what it did before, or does it in the same way.
   */
  ending<T>(last: () => Promise<T>): Promise<T>;
}

/** One daemon's database. */
export interface Db extends Queryable {
  /**
   * Runs `work` in one transaction and commits, or rolls back when it throws. On a deadlock, a serialization failure
   * or a lost connection before the commit it runs again from the start (so `work` must have no other effects), a
   * bounded number of times.
   *
   * When the server goes away while it commits, nobody knows whether it did. Then DBError (`unknown`) is thrown, unless
   * `found` can look for what this very call has committed: that is asked first, in a new transaction, and where it finds
   * nothing `work` runs again.
   */
  transaction<T>(work: (tx: Tx) => Promise<T>, found?: (tx: Tx) => Promise<T | undefined>): Promise<T>;
  /** Resolves when a connection can be had; keeps trying as the flags sql_max_retries and sql_retry_interval say. */
  connect(): Promise<void>;
  close(): Promise<void>;
}

/** `(?, ?, ?)` for a list which is not empty. */
export function placeholders(list: readonly unknown[]): string {
  return `(${list.map(() => '?').join(', ')})`;
}
