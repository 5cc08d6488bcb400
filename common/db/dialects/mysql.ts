import { createHash } from 'node:crypto';
import type { SqlValue } from '../db.js';
import {
  driverCode,
  driverError,
  isLostSocket,
  type Connection,
  type Dialect,
  type DialectOptions,
  type FailureKind,
  type Result,
} from './dialect.js';
import { nativeBooleans } from './booleans.js';
import { isPoolTimeout, lockTimeoutSeconds, ServerDialect } from './server.js';

/** What we use of a `mysql2` connection. */
interface MysqlConnection {
  query(
    sql: string,
    values: readonly unknown[],
    done: (error: Error | null, result: Record<string, unknown>[] | { affectedRows: number; insertId: number }) => void,
  ): void;
}

/** MySQL 5.5 and newer and MariaDB through Sequelize's pool of `mysql2` connections. */
export class MysqlDialect extends ServerDialect implements Dialect {
  readonly name = 'mysql';
  readonly begin = 'START TRANSACTION';
  readonly numberedPlaceholders = false;
  readonly maxValues = 20_000;
  readonly storesFractions = false;
  readonly pipelines = false;
  readonly returning = false;
  readonly forShare = ' LOCK IN SHARE MODE';
  /** SKIP LOCKED came with MariaDB 10.6 and MySQL 8.0; before them a claim waits for the row instead. */
  #skipsLocked = true;
  readonly #database: string;
  /** Named locks by connection; those of a connection which closes are released by the server. */
  readonly #locks = new WeakMap<Connection, string[]>();

  constructor(options: DialectOptions) {
    const { url } = options;
    super(options, {
      dialect: 'mysql',
      dialectOptions: {
        ...(url.socket === undefined ? {} : { socketPath: url.socket }),
        // Sequelize switches this off: an UPDATE answers the rows which it matched, as on the other two.
        flags: '+FOUND_ROWS',
        charset: 'utf8mb4',
        typeCast: true,
        dateStrings: true,
        decimalNumbers: true,
        connectTimeout: 10_000,
        enableKeepAlive: true,
      },
    });
    this.#database = url.database;
  }

  get forUpdateSkipLocked(): string {
    return this.#skipsLocked ? ' FOR UPDATE SKIP LOCKED' : ' FOR UPDATE';
  }

  protected async prepare(opened: Connection): Promise<void> {
    const connection = opened as MysqlConnection;
    // Statements quote names with double quotes; a read sees what others committed before it, also after a named lock.
    await send(connection, "SET SESSION sql_mode = CONCAT(@@SESSION.sql_mode, ',ANSI_QUOTES')", []);
    await send(connection, 'SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED', []);
    const rows = await send(connection, 'SELECT VERSION() AS version', []);
    this.#skipsLocked = Array.isArray(rows) && knowsSkipLocked(String(rows[0]?.['version']));
  }

  async query(connection: Connection, text: string, values: readonly SqlValue[]): Promise<Result> {
    const result = await send(connection as MysqlConnection, text, values);
    if (Array.isArray(result)) return { rows: nativeBooleans(result), affected: result.length, insertId: 0 };
    return { rows: [], affected: result.affectedRows ?? 0, insertId: result.insertId ?? 0 };
  }

  async lock(connection: Connection, name: string): Promise<void> {
    // Names of locks belong to the server, not to a database, and have at most 64 characters.
    const key = `nova ${createHash('sha256').update(`${this.#database} ${name}`).digest('hex').slice(0, 48)}`;
    const { rows } = await this.query(connection, 'SELECT GET_LOCK(?, ?) AS got', [key, lockTimeoutSeconds]);
    if (rows[0]?.['got'] !== 1) throw Object.assign(new Error(`time-out while waiting for the lock ${name}`), lockWait);
    this.#locks.set(connection, [...(this.#locks.get(connection) ?? []), key]);
  }

  async unlock(connection: Connection): Promise<void> {
    const keys = this.#locks.get(connection);
    if (keys === undefined) return;
    this.#locks.delete(connection);
    for (const key of keys) await this.query(connection, 'SELECT RELEASE_LOCK(?) AS done', [key]);
  }

  failure(error: unknown): FailureKind {
    const code = driverCode(error);
    if (code === 'ER_DUP_ENTRY') return 'unique';
    if (['ER_LOCK_DEADLOCK', 'ER_LOCK_WAIT_TIMEOUT', 'ER_CHECKREAD'].includes(code)) return 'conflict';
    // no connection was to be had, so nothing ran; the daemons share them, and one comes free soon
    if (code === 'ER_CON_COUNT_ERROR') return 'conflict';
    const hopeless = ['ER_ACCESS_DENIED_ERROR', 'ER_DBACCESS_DENIED_ERROR', 'ER_BAD_DB_ERROR', 'ER_DISK_FULL'];
    if ([...hopeless, 'ER_RECORD_FILE_FULL', 'ER_HOST_NOT_PRIVILEGED', 'ER_NOT_SUPPORTED_AUTH_MODE'].includes(code)) {
      return 'hopeless';
    }
    const lost = ['PROTOCOL_CONNECTION_LOST', 'ER_SERVER_SHUTDOWN', 'ER_CONNECTION_KILLED'];
    if (lost.includes(code) || isLostSocket(code) || isPoolTimeout(error)) return 'lost';
    const original = driverError(error);
    const fatal = typeof original === 'object' && original !== null && 'fatal' in original && original.fatal === true;
    const text = error instanceof Error ? error.message : '';
    return fatal || /closed state|Connection lost|connection is in closed/i.test(text) ? 'lost' : 'other';
  }

  neverSent(error: unknown): boolean {
    return error instanceof Error && error.message.includes('closed state');
  }
}

const lockWait = { code: 'ER_LOCK_WAIT_TIMEOUT' };

function send(
  connection: MysqlConnection,
  sql: string,
  values: readonly SqlValue[],
): Promise<Record<string, unknown>[] | { affectedRows: number; insertId: number }> {
  return new Promise((resolve, reject) => {
    connection.query(sql, values, (error, result) => (error ? reject(error) : resolve(result)));
  });
}

/** `8.0.36`, `10.11.6-MariaDB-0+deb12u1`, `5.5.5-10.6.1-MariaDB` as some proxies say. */
function knowsSkipLocked(version: string): boolean {
  const numbers = /(\d+)\.(\d+)\.\d+(?=-MariaDB)/.exec(version) ?? /^(\d+)\.(\d+)/.exec(version);
  const [major, minor] = [Number(numbers?.[1] ?? 0), Number(numbers?.[2] ?? 0)];
  return /MariaDB/.test(version) ? major > 10 || (major === 10 && minor >= 6) : major >= 8;
}
