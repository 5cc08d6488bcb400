import { dirname } from 'node:path';
import type { Sequelize } from 'sequelize';
import type { Files } from '../../runtime/runtime.js';
import type { SqlValue } from '../db.js';
import { nativeBooleans } from './booleans.js';
import {
  driverCode,
  type Connection,
  type Dialect,
  type DialectOptions,
  type FailureKind,
  type Result,
} from './dialect.js';

/** What we use of the `sqlite3` binding. */
interface SqliteConnection {
  all(
    sql: string,
    values: readonly unknown[],
    done: (error: Error | null, rows: Record<string, unknown>[]) => void,
  ): void;
  run(
    sql: string,
    values: readonly unknown[],
    done: (this: { changes: number; lastID: number }, error: Error | null) => void,
  ): void;
  exec(sql: string, done: (error: Error | null) => void): void;
  close(done: (error: Error | null) => void): void;
  serialize(): void;
}

/**
 * Milliseconds which a statement waits inside SQLite for another process. Short, because it blocks one of the few
 * threads which all connections of this process share; the longer wait is ours, between attempts.
 */
const busyTimeoutMs = 50;

const hopelessCodes: ReadonlySet<string> = new Set([
  'SQLITE_CANTOPEN',
  'SQLITE_READONLY',
  'SQLITE_NOTADB',
  'SQLITE_FULL',
  'SQLITE_PERM',
  'SQLITE_AUTH',
  'SQLITE_CORRUPT',
  'SQLITE_IOERR',
]);

/** SQLite through Sequelize's connection manager: one connection which writes, one which reads beside it. */
export class SqliteDialect implements Dialect {
  readonly name = 'sqlite';
  readonly begin = 'BEGIN IMMEDIATE';
  readonly forUpdate = '';
  readonly forUpdateSkipLocked = '';
  readonly numberedPlaceholders = false;
  readonly maxValues = 30_000;
  readonly writersTakeTurns = true;
  readonly singleConnection: boolean;
  readonly storesFractions = true;
  readonly pipelines = false;
  readonly returning = false;
  readonly #storage: string;
  readonly #files: Files;
  readonly #open = new Map<string, Promise<SqliteConnection>>();

  constructor(options: DialectOptions) {
    this.#storage = options.url.database;
    this.#files = options.runtime.files;
    this.singleConnection = this.#storage === ':memory:';
  }

  acquire(write: boolean): Promise<Connection> {
    const name = write || this.singleConnection ? 'writer' : 'reader';
    let connection = this.#open.get(name);
    if (connection === undefined) {
      connection = this.#connect();
      this.#open.set(name, connection);
      connection.catch(() => this.#open.delete(name));
    }
    return connection;
  }

  async #connect(): Promise<SqliteConnection> {
    if (!this.singleConnection) await this.#makePrivateFile();
    const { Sequelize } = await import('sequelize');
    // One Sequelize a connection: its manager would hand out a file which failed to open once and for ever.
    const sequelize: Sequelize = new Sequelize({ dialect: 'sqlite', storage: this.#storage, logging: false });
    const connection = (await sequelize.connectionManager.getConnection({ type: 'write' })) as SqliteConnection;
    connection.serialize();
    try {
      await execute(connection, `PRAGMA busy_timeout = ${busyTimeoutMs}`);
      await execute(connection, 'PRAGMA foreign_keys = OFF');
      if (!this.singleConnection) {
        // Committed rows survive the end of the process; only a loss of power may take back the newest.
        await execute(connection, 'PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL');
      }
    } catch (error) {
      await closeConnection(connection);
      throw error;
    }
    return connection;
  }

  /**
   * A new file is its owner's alone: users' secret keys are in it. SQLite gives the same mode to the files beside it
   * (-wal, -shm). The mode of a file which is there is the operator's.
   */
  async #makePrivateFile(): Promise<void> {
    await this.#files.makeFolder(dirname(this.#storage), 0o700);
    await this.#files.createExclusive(this.#storage, '', 0o600);
  }

  async release(connection: Connection, broken: boolean): Promise<void> {
    if (!broken) return;
    for (const [name, open] of this.#open) {
      if ((await open.catch(() => null)) === connection) this.#open.delete(name);
    }
    await closeConnection(connection as SqliteConnection);
  }

  query(connection: Connection, text: string, values: readonly SqlValue[], rows: boolean): Promise<Result> {
    const bound = values.map((value) => (typeof value === 'boolean' ? Number(value) : value));
    const sqlite = connection as SqliteConnection;
    return new Promise((resolve, reject) => {
      if (rows) {
        sqlite.all(text, bound, (error, found) => {
          if (error) reject(error);
          else resolve({ rows: nativeBooleans(found), affected: found.length, insertId: 0 });
        });
      } else {
        sqlite.run(text, bound, function (error) {
          if (error) reject(error);
          else resolve({ rows: [], affected: this.changes, insertId: this.lastID });
        });
      }
    });
  }

  async lock(): Promise<void> {}
  async unlock(): Promise<void> {}

  failure(error: unknown): FailureKind {
    const code = driverCode(error);
    const text = error instanceof Error ? error.message : '';
    if (code === 'SQLITE_CONSTRAINT') return /UNIQUE|PRIMARY KEY/.test(text) ? 'unique' : 'other';
    if (code === 'SQLITE_BUSY' || code === 'SQLITE_LOCKED') return 'conflict';
    // Codes of Node's own come from making the folder of the file.
    if (hopelessCodes.has(code) || /^E[A-Z]+$/.test(code)) return 'hopeless';
    return 'other';
  }

  async close(): Promise<void> {
    const open = [...this.#open.values()];
    this.#open.clear();
    for (const connection of open) {
      const opened = await connection.catch(() => null);
      if (opened !== null) await closeConnection(opened);
    }
  }
}

function execute(connection: SqliteConnection, sql: string): Promise<void> {
  return new Promise((resolve, reject) => {
    connection.exec(sql, (error) => (error ? reject(error) : resolve()));
  });
}

/** Closes; a connection which is closed already is no error. */
function closeConnection(connection: SqliteConnection): Promise<void> {
  return new Promise((resolve) => connection.close(() => resolve()));
}
