import { createHash } from 'node:crypto';
import type { SqlValue } from '../db.js';
import {
  driverCode,
  isLostSocket,
  type Connection,
  type Dialect,
  type DialectOptions,
  type FailureKind,
  type Result,
} from './dialect.js';
import { isPoolTimeout, lockTimeoutSeconds, ServerDialect } from './server.js';

/** What we use of a `pg` client. */
interface PgClient {
  query(config: {
    text: string;
    values?: readonly unknown[];
    types?: { getTypeParser(oid: number): (text: string) => unknown };
  }): Promise<{ rows: Record<string, unknown>[]; rowCount: number | null }>;
}

/** PostgreSQL, 9.5 or newer (SKIP LOCKED), through Sequelize's pool of `pg` clients. */
export class PostgresDialect extends ServerDialect implements Dialect {
  readonly name = 'postgresql';
  readonly begin = 'BEGIN';
  readonly forUpdateSkipLocked = ' FOR UPDATE SKIP LOCKED';
  readonly numberedPlaceholders = true;
  readonly maxValues = 60_000;
  readonly storesFractions = true;
  readonly returning = true;

  constructor(options: DialectOptions) {
    const { url, runtime } = options;
    super(options, {
      dialect: 'postgres',
      ...(url.socket === undefined ? {} : { host: url.socket }),
      dialectOptions: {
        application_name: runtime.binary,
        keepAlive: true,
        connectionTimeoutMillis: 10_000,
        clientMinMessages: 'ignore',
      },
    });
  }

  protected async prepare(connection: Connection): Promise<void> {
    await (connection as PgClient).query({
      text: `SET DateStyle TO 'ISO'; SET TimeZone TO 'UTC'; SET lock_timeout TO '${lockTimeoutSeconds}s'`,
    });
  }

  async query(connection: Connection, text: string, values: readonly SqlValue[]): Promise<Result> {
    const { rows, rowCount } = await (connection as PgClient).query({ text, values, types: columnTypes });
    return { rows, affected: rowCount ?? 0, insertId: 0 };
  }

  async lock(connection: Connection, name: string): Promise<void> {
    await this.query(connection, 'SELECT pg_advisory_xact_lock(CAST($1 AS bigint))', [advisoryKey(name)]);
  }
  async unlock(): Promise<void> {}

  failure(error: unknown): FailureKind {
    const code = driverCode(error);
    if (code === '23505') return 'unique';
    if (['40001', '40P01', '55P03'].includes(code)) return 'conflict';
    // Wrong password, no such role or database, no access from this host, full disk.
    if (['28P01', '28000', '3D000', '42501', '53100'].includes(code)) return 'hopeless';
    // 57P01 – 57P03: the server shuts down, crashed, starts; 53300: too many connections; 25P03: idle for too long.
    if (/^(?:08...|57P0[1-3]|53300|25P03)$/.test(code) || isLostSocket(code) || isPoolTimeout(error)) return 'lost';
    const text = error instanceof Error ? error.message : '';
    return /Connection terminated|Client has encountered a connection error|not queryable|Connection timed out|timeout expired|terminated unexpectedly/i.test(
      text,
    )
      ? 'lost'
      : 'other';
  }
}

const asText = (text: string): string => text;
const parsers: ReadonlyMap<number, (text: string) => unknown> = new Map<number, (text: string) => unknown>([
  [16, (text) => text === 't'],
  [20, Number], // int8: COUNT and SUM
  [21, Number],
  [23, Number],
  [26, Number],
  [700, Number],
  [701, Number],
  [1700, Number], // numeric: SUM of int8
  [1114, sixDigits],
  [1184, (text) => sixDigits(text.replace(/\+00$/, ''))],
]);

const columnTypes = { getTypeParser: (oid: number) => parsers.get(oid) ?? asText };

/** The server leaves off zeros at the end of a fraction; with them times sort as text. */
function sixDigits(time: string): string {
  return time.length === 19 ? `${time}.000000` : time.padEnd(26, '0');
}

/** A name as the 64-bit number of an advisory lock. */
function advisoryKey(name: string): string {
  return createHash('sha256').update(`nova ${name}`).digest().readBigInt64BE(0).toString();
}
