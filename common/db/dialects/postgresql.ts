import { createHash } from 'node:crypto';
import type { ClientConfig } from 'pg';
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
  /** Queries are sent at once, whether those before are answered or not. */
  pipeline: boolean;
  readonly connection: { readonly stream: { cork(): void; uncork(): void } };
  query(config: {
    name?: string;
    text: string;
    values?: readonly unknown[];
    types?: { getTypeParser(oid: number): (text: string) => unknown };
  }): Promise<{ rows: Record<string, unknown>[]; rowCount: number | null }>;
}

/** A connection which several reads use. */
interface SharedConnection {
  readonly connection: Promise<Connection>;
  users: number;
  broken: boolean;
}

/** PostgreSQL, 9.5 or newer (SKIP LOCKED), through Sequelize's pool of `pg` clients. */
export class PostgresDialect extends ServerDialect implements Dialect {
  readonly name = 'postgresql';
  readonly begin = 'BEGIN';
  readonly forShare = ' FOR SHARE';
  readonly forUpdateSkipLocked = ' FOR UPDATE SKIP LOCKED';
  readonly numberedPlaceholders = true;
  readonly maxValues = 60_000;
  readonly storesFractions = true;
  readonly pipelines = true;
  readonly returning = true;
  readonly #names = new StatementNames();
  /** The connection of the reads of this turn. */
  #reading: SharedConnection | undefined;
  readonly #shared = new Map<Connection, SharedConnection>();

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

  /**
   * Sequelize listens for errors of a client when that has told that it is connected. A server which shuts down may say
   * goodbye in the very packet with which it lets in: nobody would listen, and that ends a process.
   */
  protected override async driver(): Promise<object> {
    const { default: pg } = await import('pg');
    return {
      types: pg.types,
      Client: class extends pg.Client {
        constructor(config: ClientConfig) {
          super(config);
          // the first statement fails with it
          this.on('error', () => undefined);
        }
      },
    };
  }

  protected async prepare(connection: Connection): Promise<void> {
    const client = connection as PgClient;
    await client.query({
      text: `SET DateStyle TO 'ISO'; SET TimeZone TO 'UTC'; SET lock_timeout TO '${lockTimeoutSeconds}s'`,
    });
    client.pipeline = true;
  }

  /**
   * Reads which are asked for in one turn of the event loop share a connection: they leave in one packet, and one session
   * of the server wakes up for them.
   */
  override async acquire(write: boolean): Promise<Connection> {
    if (write) return super.acquire(true);
    const shared = (this.#reading ??= this.#share());
    shared.users += 1;
    const connection = await shared.connection;
    this.#shared.set(connection, shared);
    return connection;
  }

  override async release(connection: Connection, broken: boolean): Promise<void> {
    const shared = this.#shared.get(connection);
    if (shared !== undefined) {
      shared.users -= 1;
      shared.broken ||= broken;
      if (shared.users > 0) return;
      this.#shared.delete(connection);
      if (this.#reading === shared) this.#reading = undefined;
    }
    await super.release(connection, broken || shared?.broken === true);
  }

  #share(): SharedConnection {
    const shared = { connection: super.acquire(true), users: 0, broken: false };
    process.nextTick(() => {
      if (this.#reading === shared) this.#reading = undefined;
    });
    return shared;
  }

  async query(connection: Connection, text: string, values: readonly SqlValue[]): Promise<Result> {
    const client = connection as PgClient;
    // what follows in this turn of the event loop leaves together with it
    const { stream } = client.connection;
    stream.cork();
    process.nextTick(() => stream.uncork());
    const name = values.length === 0 ? undefined : this.#names.get(text);
    const config = { text, values, types: columnTypes };
    const { rows, rowCount } = await client.query(name === undefined ? config : { name, ...config });
    return { rows, affected: rowCount ?? 0, insertId: 0 };
  }

  async lock(connection: Connection, name: string): Promise<void> {
    await this.query(connection, 'SELECT pg_advisory_xact_lock(CAST($1 AS bigint))', [advisoryKey(name)]);
  }
  async unlock(): Promise<void> {}

  failure(error: unknown): FailureKind {
    const code = driverCode(error);
    if (code === '23505') return 'unique';
    // 53300: no connection was to be had, so nothing ran; the daemons share them, and one comes free soon
    if (['40001', '40P01', '55P03', '53300'].includes(code)) return 'conflict';
    // Wrong password, no such role or database, no access from this host, full disk.
    if (['28P01', '28000', '3D000', '42501', '53100'].includes(code)) return 'hopeless';
    // 57P01 – 57P03: the server shuts down, crashed, starts; 25P03: idle for too long.
    if (/^(?:08...|57P0[1-3]|25P03)$/.test(code) || isLostSocket(code) || isPoolTimeout(error)) return 'lost';
    const text = error instanceof Error ? error.message : '';
    // a table got another column since the statement was prepared: a new connection prepares it anew
    if (code === '0A000' && text.includes('cached plan')) return 'lost';
    return /Connection terminated|Client has encountered a connection error|not queryable|Connection timed out|timeout expired|terminated unexpectedly/i.test(
      text,
    )
      ? 'lost'
      : 'other';
  }

  neverSent(error: unknown): boolean {
    return error instanceof Error && error.message.includes('not queryable');
  }
}

/** A statement which comes so often is prepared: the server parses and plans it once a connection. */
const usesUntilPrepared = 5;
/** Most prepared statements; each costs some kilobytes in every session. */
const mostPrepared = 200;

/**
 * Names for the statements which are worth being prepared. Lists make many variants of one statement, most of them rare:
 * what is not used often has no name, and how often is counted for a bounded number of them.
 */
class StatementNames {
  readonly #names = new Map<string, string>();
  #uses = new Map<string, number>();

  get(text: string): string | undefined {
    const name = this.#names.get(text);
    if (name !== undefined || this.#names.size >= mostPrepared) return name;
    const uses = (this.#uses.get(text) ?? 0) + 1;
    if (uses < usesUntilPrepared) {
      if (this.#uses.size >= 1000) this.#uses = new Map();
      this.#uses.set(text, uses);
      return undefined;
    }
    this.#uses.delete(text);
    const fresh = `nova_${this.#names.size + 1}`;
    this.#names.set(text, fresh);
    return fresh;
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
