import { AsyncLocalStorage } from 'node:async_hooks';
import { DBError } from '../errors.js';
import type { Runtime } from '../runtime/runtime.js';
import { connectPatiently } from './connect.js';
import type { Db, SqlValue, Tx, Values } from './db.js';
import type { Connection, Dialect, Result } from './dialects/dialect.js';
import { MysqlDialect } from './dialects/mysql.js';
import { PostgresDialect } from './dialects/postgresql.js';
import { SqliteDialect } from './dialects/sqlite.js';
import { asDbError } from './failures.js';
import { StatementCache } from './placeholders.js';
import type { TableName } from './rows.js';
import { checkCount, Statements, type Sending } from './statements.js';
import { Transaction } from './transaction.js';
import { Turns } from './turns.js';
import { parseDatabaseUrl, type DatabaseUrl } from './url.js';

export { isUniqueViolation } from './failures.js';

export interface DatabaseOptions {
  /** Every statement and transaction waits for the one before it, whatever the dialect: the simulation's order. */
  serialize?: boolean;
  /** Told of each statement but BEGIN and COMMIT: for those who count. */
  watch?: (sql: string) => void;
  /**
   * Whose turn it is to write. Databases of one process on the same SQLite file do well to share one: without it they
   * exclude each other by waiting and trying again, as separate processes do.
   */
  turns?: Turns;
  /** Statements go through this one instead of the one which the flag sql_connection names, as in the simulation. */
  sql?: Dialect;
}

/** A transaction whose work is running, within that of another database perhaps. */
interface RunningWork {
  readonly db: Db;
  readonly tx: Transaction;
  readonly outer: RunningWork | undefined;
}

/**
 * The transaction whose work is running here: a statement past it would wait for it for ever. One storage for all
 * databases of a process, since each costs every promise a little, also when its database is closed long ago.
 */
const runningWork = new AsyncLocalStorage<RunningWork>();

/** Times a statement or transaction is sent again after a deadlock or a locked file: about ten seconds in all. */
const conflictAttempts = 11;
/** Times it is sent again when the server is gone: about a second. */
const lostAttempts = 5;
const longestDelayMs = 1600;

/**
 * The database of the flag sql_connection. Nothing is opened before the first statement, or `connect()`. Throws
 * StartupError when the flag can't be understood. Daemons of one process may share one or have one each.
 */
export function openDatabase(runtime: Runtime, options: DatabaseOptions = {}): Db {
  return new Database(runtime, options);
}

class Database extends Statements implements Db {
  readonly #turns: Turns;
  readonly #serialize: boolean;
  readonly #watch: (sql: string) => void;
  readonly #statements: StatementCache;
  readonly #shown: string;

  constructor(runtime: Runtime, options: DatabaseOptions) {
    const url = parseDatabaseUrl(runtime.flags.sql_connection);
    super(runtime, options.sql ?? dialectOf(runtime, url));
    this.#shown = url.shown;
    this.#serialize = (options.serialize ?? false) || this.sql.singleConnection;
    this.#watch = options.watch ?? ((): void => undefined);
    this.#turns = options.turns ?? new Turns();
    this.#statements = new StatementCache(this.sql.numberedPlaceholders);
  }

  protected send(sql: string, values: readonly SqlValue[], how: Sending): Promise<Result> {
    this.#refuseInsideTransaction();
    this.#watch(sql);
    const { text, count } = this.#statements.get(sql);
    checkCount(sql, count, values.length);
    const attempt = this.#takesTurn(how.reads)
      ? () => this.#inTurn(text, values, how)
      : () => this.runtime.outside(() => this.#autocommit(text, values, how));
    return this.#retrying(how.reads, attempt);
  }

  async #inTurn(text: string, values: readonly SqlValue[], how: Sending): Promise<Result> {
    const endTurn = await this.#turns.take();
    if (this.runtime.halted) endTurn();
    return this.runtime.outside(() => this.#autocommit(text, values, how, endTurn));
  }

  async #autocommit(text: string, values: readonly SqlValue[], how: Sending, endTurn?: () => void): Promise<Result> {
    let connection: Connection | undefined;
    let broken = false;
    try {
      connection = await this.sql.acquire(!how.reads);
      return await this.sql.query(connection, text, values, how.rows);
    } catch (error) {
      broken = this.sql.failure(error) === 'lost';
      throw asDbError(this.sql, error);
    } finally {
      try {
        const released = connection === undefined ? undefined : this.sql.release(connection, broken);
        if (released !== undefined) await released;
      } finally {
        endTurn?.();
      }
    }
  }

  override async insertMany<T extends TableName>(name: T, rows: readonly Values<T>[]): Promise<void> {
    const most = Math.max(0, ...rows.map((row) => Object.keys(row).length)) + 2;
    if (rows.length <= this.rowsPerInsert(most)) return super.insertMany(name, rows);
    return this.transaction((tx) => tx.insertMany(name, rows));
  }

  async transaction<T>(work: (tx: Tx) => Promise<T>, found?: (tx: Tx) => Promise<T | undefined>): Promise<T> {
    this.#refuseInsideTransaction();
    try {
      return await this.#retrying(true, () => this.#once(work));
    } catch (error) {
      if (found === undefined || !isUnknown(error)) throw error;
      return this.#settle(error, async (tx) => (await found(tx)) ?? work(tx));
    }
  }

  async #once<T>(work: (tx: Tx) => Promise<T>): Promise<T> {
    const endTurn = this.#takesTurn(false) ? await this.#turns.take() : undefined;
    const tx = new Transaction(this.runtime, this.sql, this.#statements, this.#watch, endTurn);
    await tx.begin();
    let value: T;
    try {
      value = await runningWork.run({ db: this, tx, outer: runningWork.getStore() }, () => work(tx));
    } catch (error) {
      await tx.rollback();
      // Whatever the work made of it: after a deadlock or without a server it has to run again.
      throw tx.failed?.reason === 'conflict' || tx.failed?.reason === 'lost' ? tx.failed : error;
    }
    await tx.commit();
    return value;
  }

  /** Runs what finds out about a transaction, again while the server is away and after each new doubt. */
  async #settle<T>(doubt: DBError, work: (tx: Tx) => Promise<T>): Promise<T> {
    try {
      return await this.#retrying(true, () => this.#once(work), settlingAttempts);
    } catch (error) {
      // without an answer the doubt stays
      throw error instanceof DBError ? doubt : error;
    }
  }

  connect(): Promise<void> {
    return connectPatiently(this.runtime, this.#shown, () =>
      this.runtime.outside(async () => {
        await this.#autocommit('SELECT 1 AS one', [], { rows: true, reads: false });
      }),
    );
  }

  /** Works for a halted daemon too: somebody has to close its connections. */
  async close(): Promise<void> {
    if (this.runtime.halted) await this.sql.close();
    else await this.runtime.outside(() => this.sql.close());
  }

  #takesTurn(reads: boolean): boolean {
    return this.#serialize || (this.sql.writersTakeTurns && !reads);
  }

  #refuseInsideTransaction(): void {
    let running = runningWork.getStore();
    while (running !== undefined && running.db !== this) running = running.outer;
    if (running?.tx.open) {
      throw new TypeError('a statement of the database inside its own transaction; use the transaction');
    }
  }

  /**
   * Sends again what left nothing behind: after a deadlock always, after a lost connection only what may be repeated
   * (reads, and transactions which had not begun to commit).
   */
  async #retrying<T>(repeatable: boolean, attempt: () => Promise<T>, attempts = attemptsOf): Promise<T> {
    for (let count = 1; ; count += 1) {
      try {
        return await attempt();
      } catch (error) {
        if (!(error instanceof DBError) || count >= attempts(error, repeatable)) throw error;
      }
      const delay = Math.min(longestDelayMs, 25 * 2 ** (count - 1));
      await this.runtime.sleep(delay / 2 + this.runtime.random.below(delay));
    }
  }
}

function attemptsOf(error: DBError, repeatable: boolean): number {
  if (error.reason === 'conflict') return conflictAttempts;
  return error.reason === 'lost' && repeatable ? lostAttempts : 1;
}

/** A caller who waits to hear what became of his request has more patience than one who may simply ask again. */
function settlingAttempts({ reason }: DBError): number {
  return ['conflict', 'lost', 'unknown'].includes(reason) ? conflictAttempts : 1;
}

function isUnknown(error: unknown): error is DBError {
  return error instanceof DBError && error.reason === 'unknown';
}

function dialectOf(runtime: Runtime, url: DatabaseUrl): Dialect {
  switch (url.dialect) {
    case 'sqlite':
      return new SqliteDialect({ runtime, url });
    case 'postgresql':
      return new PostgresDialect({ runtime, url });
    case 'mysql':
      return new MysqlDialect({ runtime, url });
  }
}
