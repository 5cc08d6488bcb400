import type { Runtime } from '../../runtime/runtime.js';
import type { DialectName, SqlValue } from '../db.js';
import type { DatabaseUrl } from '../url.js';

/** A driver's connection, out of Sequelize's pool. */
export type Connection = object;

export interface Result {
  /** Mapped: native booleans, time texts, numbers. */
  readonly rows: Record<string, unknown>[];
  /** Rows which were changed or matched. */
  readonly affected: number;
  /** The id which the database gave to an inserted row, where it tells without being asked. */
  readonly insertId: number;
}

/**
 * What a driver's error means: `unique` a uniqueness constraint; `conflict` a deadlock, serialization failure or lock
 * time-out, or no free connection: the statement (or transaction) left nothing behind and may be sent again; `lost` no
 * server, or not any more; `hopeless` trying again can't help (wrong password, no such database, unreadable file, full
 * disk).
 */
export type FailureKind = 'unique' | 'conflict' | 'lost' | 'hopeless' | 'other';

export interface DialectOptions {
  readonly runtime: Runtime;
  readonly url: DatabaseUrl;
}

/** What differs between SQLite, PostgreSQL and MySQL while statements run. Nothing here retries or counts turns. */
export interface Dialect {
  readonly name: DialectName;
  /** Statement which opens a transaction. */
  readonly begin: string;
  readonly forUpdate: string;
  readonly forShare: string;
  readonly forUpdateSkipLocked: string;
  /** Placeholders are `$1` … */
  readonly numberedPlaceholders: boolean;
  /** Most values of one statement. */
  readonly maxValues: number;
  /** Writers take turns (one at a time), readers don't wait for them: a SQLite file. */
  readonly writersTakeTurns: boolean;
  /** There is one connection for all: SQLite in memory. */
  readonly singleConnection: boolean;
  /** Fractions of seconds are stored. */
  readonly storesFractions: boolean;
  /** Statements of one connection may be sent before those before them are answered; they run in the order of sending. */
  readonly pipelines: boolean;
  /** `insert` asks for the id with RETURNING. */
  readonly returning: boolean;
  /** A connection of the pool. `write` false promises that only SELECTs follow. */
  acquire(write: boolean): Promise<Connection>;
  /** Gives a connection back; a broken one is closed. Undefined where that is done at once. */
  release(connection: Connection, broken: boolean): Promise<void> | undefined;
  /** Runs one statement. `rows` tells whether rows are wanted. */
  query(connection: Connection, text: string, values: readonly SqlValue[], rows: boolean): Promise<Result>;
  /** Takes a named lock until the transaction ends; where the server has none, nothing. */
  lock(connection: Connection, name: string): Promise<void>;
  /** Lets go of named locks which the end of the transaction doesn't release. */
  unlock(connection: Connection): Promise<void>;
  failure(error: unknown): FailureKind;
  /** True when a statement which failed as `lost` surely never reached the server. */
  neverSent(error: unknown): boolean;
  close(): Promise<void>;
}

/** The driver's code of an error (`23505`, `ER_DUP_ENTRY`, `SQLITE_BUSY`, `ECONNREFUSED`), or ''. */
export function driverCode(error: unknown): string {
  const original = driverError(error);
  return typeof original === 'object' && original !== null && 'code' in original ? String(original.code) : '';
}

/** The driver's own error inside Sequelize's. */
export function driverError(error: unknown): unknown {
  if (typeof error !== 'object' || error === null) return error;
  if ('original' in error && error.original) return driverError(error.original);
  if ('parent' in error && error.parent) return driverError(error.parent);
  return error;
}

const lostSockets = new Set([
  'ECONNREFUSED',
  'ECONNRESET',
  'EPIPE',
  'ETIMEDOUT',
  'ENOTFOUND',
  'EAI_AGAIN',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'ENETDOWN',
  'EHOSTDOWN',
  'ECONNABORTED',
  'EADDRNOTAVAIL',
  'ENOENT',
]);

/** True for a socket which can't be opened or broke. */
export function isLostSocket(code: string): boolean {
  return lostSockets.has(code);
}
