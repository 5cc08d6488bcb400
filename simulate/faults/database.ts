import type { SqlValue } from '../../common/db/db.js';
import type { Connection, Dialect, FailureKind, Result } from '../../common/db/dialects/dialect.js';
import { SqliteDialect } from '../../common/db/dialects/sqlite.js';
import { parseDatabaseUrl } from '../../common/db/url.js';
import type { Runtime } from '../../common/runtime/runtime.js';
import type { DatabaseTrouble } from '../plan.js';
import type { SimulatedRuntime } from '../simulatedRuntime.js';

class DatabaseFault extends Error {
  constructor(
    readonly kind: 'conflict' | 'lost' | 'hopeless' | 'other',
    message: string,
  ) {
    super(`${message} (simulated: ${kind})`);
  }
}

/** What a server says when it refuses a statement. */
const refusals = { conflict: 'deadlock detected', hopeless: 'the disk is full', other: 'internal error' } as const;

/** One daemon's connection to the server. */
interface Session {
  readonly real: Connection;
  broken: boolean;
  inTransaction: boolean;
}

/** The database server: one for all daemons, in memory. */
export class DatabaseServer {
  /** Nobody can connect, and connections break. */
  away = false;
  readonly sqlite: SqliteDialect;

  constructor(runtime: Runtime) {
    this.sqlite = new SqliteDialect({ runtime, url: parseDatabaseUrl('sqlite://') });
  }

  close(): Promise<void> {
    return this.sqlite.close();
  }
}

/**
 * A daemon's way to the {@link DatabaseServer}, on which things go wrong: deadlocks, a full disk, connections which break before or
 * after a statement was carried out, a server which is away. What a daemon leaves open when it dies is rolled back, as
 * a server does.
 */
export class FaultyDialect implements Dialect {
  readonly name = 'sqlite';
  readonly begin: string;
  readonly forUpdate = '';
  readonly forShare = '';
  readonly forUpdateSkipLocked = '';
  readonly numberedPlaceholders = false;
  readonly maxValues: number;
  readonly writersTakeTurns = true;
  readonly singleConnection = true;
  readonly storesFractions = true;
  readonly pipelines = false;
  readonly returning = false;
  readonly #armed: { statements: number; how: DatabaseTrouble; times: number; commits: boolean }[] = [];

  constructor(
    private readonly server: DatabaseServer,
    private readonly runtime: SimulatedRuntime,
  ) {
    this.begin = server.sqlite.begin;
    this.maxValues = server.sqlite.maxValues;
  }

  /** Something goes wrong at a statement: the next one, or so many later; and so many times. `commits`: at COMMIT only. */
  trouble(statements: number, how: DatabaseTrouble, times: number, commits = false): void {
    this.#armed.push({ statements, how, times, commits });
  }

  /** No more trouble from here on. */
  calm(): void {
    this.#armed.length = 0;
  }

  async acquire(): Promise<Connection> {
    if (this.server.away) throw new DatabaseFault('lost', 'connection refused');
    const session: Session = { real: await this.server.sqlite.acquire(true), broken: false, inTransaction: false };
    return session;
  }

  async release(connection: Connection): Promise<void> {
    const session = connection as Session;
    if (session.inTransaction) await this.runtime.cleanUp(() => this.#rollBack(session));
  }

  async query(connection: Connection, text: string, values: readonly SqlValue[], rows: boolean): Promise<Result> {
    const session = connection as Session;
    const how = this.#troubleNow(text);
    if (this.runtime.halted || session.broken || this.server.away || how === 'lost before') {
      await this.#break(session);
    }
    if ((how === 'conflict' || how === 'hopeless' || how === 'other') && text !== 'ROLLBACK') {
      await this.#rollBack(session);
      throw new DatabaseFault(how, refusals[how]);
    }
    if (text === 'ROLLBACK' && !session.inTransaction) return { rows: [], affected: 0, insertId: 0 };
    const result = await this.server.sqlite.query(session.real, text, values, rows);
    if (text === this.begin) this.#opened(session);
    if (text === 'COMMIT' || text === 'ROLLBACK') this.#closed(session);
    this.runtime.carriedOut();
    if (how === 'lost after') await this.#break(session);
    return result;
  }

  async lock(): Promise<void> {
    this.runtime.carriedOut();
  }
  async unlock(): Promise<void> {}
  async close(): Promise<void> {}

  failure(error: unknown): FailureKind {
    return error instanceof DatabaseFault ? error.kind : this.server.sqlite.failure(error);
  }

  neverSent(): boolean {
    return false;
  }

  #troubleNow(text: string): DatabaseTrouble | undefined {
    const armed = this.#armed.find((one) => !one.commits || text === 'COMMIT');
    if (armed === undefined || armed.statements-- > 0) return undefined;
    if (--armed.times <= 0) this.#armed.splice(this.#armed.indexOf(armed), 1);
    return armed.how;
  }

  async #break(session: Session): Promise<never> {
    session.broken = true;
    await this.#rollBack(session);
    throw new DatabaseFault('lost', 'server closed the connection unexpectedly');
  }

  async #rollBack(session: Session): Promise<void> {
    if (!session.inTransaction) return;
    await this.server.sqlite.query(session.real, 'ROLLBACK', [], false);
    this.#closed(session);
  }

  #opened(session: Session): void {
    session.inTransaction = true;
    this.runtime.openTransactions += 1;
  }

  #closed(session: Session): void {
    session.inTransaction = false;
    this.runtime.openTransactions -= 1;
    this.runtime.transactionsEnded();
  }
}
