import { dirname } from 'node:path';
import type { Sequelize } from 'sequelize';
import type { Files } from '../../runtime/runtime.js';
import type { SqlValue } from '../db.js';
import { nativeBooleans } from './booleans.js';
import { SqliteStatements, type PreparingConnection } from './sqliteStatements.js';
import {
  driverCode,
  type Connection,
  type Dialect,
  type DialectOptions,
  type FailureKind,
  type Result,
} from './dialect.js';

/** What we use of a connection of the `sqlite3` binding. */
interface SqliteConnection extends PreparingConnection {
  exec(sql: string, done: (error: Error | null) => void): void;
  close(done: (error: Error | null) => void): void;
  parallelize(): void;
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

/**
 * Statements which `run` runs to their end. Of others it may read one row and leave off: a statement which is kept would
 * hold on to what it reads from.
 */
const countsChanges = /^\s*(?:INSERT|UPDATE|DELETE)\b(?!.*\bRETURNING\b)/is;

/** Connections which read. With the one which writes they are as many as Node.js has threads for them. */
const readers = 3;

/** A connection which is open, or being opened. */
interface Open {
  readonly connection: Promise<SqliteConnection>;
  /** Statements and transactions which are using it. */
  users: number;
}

/**
 * SQLite through Sequelize's connection manager: one connection which writes, some which read beside it. A second
 * statement on a connection would block its thread until the first has ended, and soon none would be left for the writer.
 */
export class SqliteDialect implements Dialect {
  readonly name = 'sqlite';
  readonly begin = 'BEGIN IMMEDIATE';
  readonly forUpdate = '';
  readonly forShare = '';
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
  readonly #open = new Map<string, Open>();
  readonly #used = new WeakMap<Connection, Open>();
  readonly #statements = new WeakMap<Connection, SqliteStatements>();

  constructor(options: DialectOptions) {
    this.#storage = options.url.database;
    this.#files = options.runtime.files;
    this.singleConnection = this.#storage === ':memory:';
  }

  acquire(write: boolean): Promise<Connection> {
    const open = this.#openAs(write || this.singleConnection ? 'writer' : this.#leastUsedReader());
    open.users += 1;
    return open.connection;
  }

  #leastUsedReader(): string {
    let least = 'reader 1';
    for (let number = 1; number <= readers; number += 1) {
      const name = `reader ${number}`;
      const users = this.#open.get(name)?.users ?? 0;
      if (users === 0) return name;
      if (users < this.#open.get(least)!.users) least = name;
    }
    return least;
  }

  #openAs(name: string): Open {
    const known = this.#open.get(name);
    if (known !== undefined) return known;
    const open: Open = { connection: this.#connect(), users: 0 };
    this.#open.set(name, open);
    open.connection.then(
      (connection) => this.#used.set(connection, open),
      () => this.#open.delete(name),
    );
    return open;
  }

  async #connect(): Promise<SqliteConnection> {
    if (!this.singleConnection) await this.#makePrivateFile();
    const { Sequelize } = await import('sequelize');
    // One Sequelize a connection: its manager would hand out a file which failed to open once and for ever.
    const sequelize: Sequelize = new Sequelize({ dialect: 'sqlite', storage: this.#storage, logging: false });
    const connection = (await sequelize.connectionManager.getConnection({ type: 'write' })) as SqliteConnection;
    // Whoever needs an order waits for an answer before the next statement: see pipelines.
    connection.parallelize();
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
    this.#statements.set(connection, new SqliteStatements(connection));
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

  release(connection: Connection, broken: boolean): Promise<void> | undefined {
    const open = this.#used.get(connection);
    if (open !== undefined) open.users -= 1;
    return broken ? this.#drop(connection, open) : undefined;
  }

  async #drop(connection: Connection, open: Open | undefined): Promise<void> {
    for (const [name, each] of this.#open) {
      if (each === open) this.#open.delete(name);
    }
    await this.#close(connection as SqliteConnection);
  }

  query(connection: Connection, text: string, values: readonly SqlValue[], rows: boolean): Promise<Result> {
    const bound = values.map((value) => (typeof value === 'boolean' ? Number(value) : value));
    const statements = this.#statements.get(connection)!;
    return !rows && countsChanges.test(text)
      ? runStatement(statements, text, bound)
      : queryRows(statements, text, bound);
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

  neverSent(): boolean {
    return false;
  }

  async close(): Promise<void> {
    const open = [...this.#open.values()];
    this.#open.clear();
    for (const { connection } of open) {
      const opened = await connection.catch(() => null);
      if (opened !== null) await this.#close(opened);
    }
  }

  async #close(connection: SqliteConnection): Promise<void> {
    this.#statements.get(connection)?.close();
    await closeConnection(connection);
  }
}

function queryRows(statements: SqliteStatements, text: string, values: readonly unknown[]): Promise<Result> {
  return new Promise((resolve, reject) => {
    statements.use(text, reject, (statement) =>
      statement.all(values, (error, found) => {
        if (error) reject(error);
        else resolve({ rows: nativeBooleans(found), affected: found.length, insertId: 0 });
      }),
    );
  });
}

function runStatement(statements: SqliteStatements, text: string, values: readonly unknown[]): Promise<Result> {
  return new Promise((resolve, reject) => {
    statements.use(text, reject, (statement) =>
      statement.run(values, function (error) {
        if (error) reject(error);
        else resolve({ rows: [], affected: this.changes, insertId: this.lastID });
      }),
    );
  });
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
