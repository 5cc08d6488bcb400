import { DBError } from '../errors.js';
import type { Runtime } from '../runtime/runtime.js';
import type { SqlValue, Tx } from './db.js';
import type { Connection, Dialect, Result } from './dialects/dialect.js';
import { asDbError } from './failures.js';
import type { StatementCache } from './placeholders.js';
import { checkCount, Statements, type Sending } from './statements.js';

/**
 * One transaction on one connection. A statement which fails dooms it, as it does on PostgreSQL: what follows fails
 * with the same error and the commit becomes a rollback. When the daemon is halted it rolls back and lets go, so that
 * others don't wait for a dead one.
 */
export class Transaction extends Statements implements Tx {
  #connection: Connection | undefined;
  #open = true;
  #failed: DBError | undefined;
  #sent = 0;
  /** The COMMIT which left with the last statements. */
  #ending: Promise<unknown> | undefined;
  /** Statements of one transaction run in the order in which they were sent. */
  #last: Promise<unknown> = Promise.resolve();

  constructor(
    runtime: Runtime,
    sql: Dialect,
    private readonly statements: StatementCache,
    private readonly watch: (sql: string) => void,
    private readonly endTurn: (() => void) | undefined,
  ) {
    super(runtime, sql);
  }

  get forUpdate(): string {
    return this.sql.forUpdate;
  }
  get forShare(): string {
    return this.sql.forShare;
  }
  get forUpdateSkipLocked(): string {
    return this.sql.forUpdateSkipLocked;
  }
  get open(): boolean {
    return this.#open;
  }
  /** The error which doomed it. */
  get failed(): DBError | undefined {
    return this.#failed;
  }

  /** Takes a connection and begins; ends itself when that fails. Throws DBError. */
  async begin(): Promise<void> {
    try {
      await this.#step(async () => {
        this.#connection = await this.sql.acquire(true);
        const begun = this.sql.query(this.#connection, this.sql.begin, [], false);
        if (this.sql.pipelines) this.#sendAhead(begun);
        else await begun;
      });
    } catch (error) {
      await this.#step(() => this.#end(this.sql.failure(error) === 'lost'));
      throw asDbError(this.sql, error);
    }
  }

  /** Throws DBError; its reason is `unknown` when the server went away meanwhile. */
  async commit(): Promise<void> {
    if (this.#failed !== undefined) {
      await this.rollback();
      throw this.#failed;
    }
    await this.#step(async () => {
      let broken = false;
      try {
        await (this.#ending ?? this.#sendCommit());
        // the server takes back a doomed transaction, and doesn't call that an error
        if (this.#failed !== undefined) throw this.#failed;
      } catch (error) {
        broken = !(await this.#rolledBack());
        const failure = asDbError(this.sql, error);
        const mayRepeat = this.#ending !== undefined || this.sql.neverSent(error);
        if (failure.reason !== 'lost' || mayRepeat) throw failure;
        throw new DBError(`${failure.message} (while committing: the outcome is unknown)`, 'unknown');
      } finally {
        await this.#end(broken);
      }
    });
  }

  async ending<T>(last: () => Promise<T>): Promise<T> {
    const before = this.#sent;
    const result = last();
    if (this.sql.pipelines && this.#sent > before) {
      this.#ending = this.#sendCommit();
      this.#ending.catch(() => undefined);
    }
    return result;
  }

  #sendCommit(): Promise<unknown> {
    return this.sql.query(this.#connection!, 'COMMIT', [], false);
  }

  async rollback(): Promise<void> {
    await this.#step(async () => this.#end(!(await this.#rolledBack())));
  }

  async lock(name: string): Promise<void> {
    await this.#inOrder(async () => {
      const locked = this.sql.lock(this.#connection!, name);
      // whatever is sent afterwards runs when the lock is held
      if (this.sql.pipelines) this.#sendAhead(locked);
      else await locked;
    });
  }

  protected send(sql: string, values: readonly SqlValue[], how: Sending): Promise<Result> {
    this.watch(sql);
    const prepared = this.statements.get(sql);
    checkCount(sql, prepared.count, values.length);
    return this.#inOrder(() => this.sql.query(this.#connection!, prepared.text, values, how.rows));
  }

  /** What a statement came to shows when a later one is answered: that is answered after it, and fails with it. */
  #sendAhead(answer: Promise<unknown>): void {
    answer.catch((error: unknown) => (this.#failed ??= asDbError(this.sql, error)));
  }

  #inOrder<T>(work: () => Promise<T>): Promise<T> {
    if (this.sql.pipelines) return this.#now(work);
    const result = this.#last.then(() => this.#now(work));
    this.#last = result.catch(() => undefined);
    return result;
  }

  async #now<T>(work: () => Promise<T>): Promise<T> {
    if (!this.#open || this.#ending) throw new DBError('a statement after the end of its transaction');
    if (this.#failed !== undefined) throw this.#failed;
    this.#sent += 1;
    try {
      return await this.#step(work);
    } catch (error) {
      throw (this.#failed ??= asDbError(this.sql, error));
    }
  }

  /** One step of the outside. A halted daemon takes none: its transaction is given up. */
  async #step<T>(work: () => Promise<T>): Promise<T> {
    if (this.runtime.halted) await this.#end(true);
    return this.runtime.outside(async () => {
      try {
        return await work();
      } finally {
        if (this.runtime.halted) await this.#end(true);
      }
    });
  }

  /** Whether its connection serves others afterwards; one which answers may still have statements prepared for old tables. */
  async #rolledBack(): Promise<boolean> {
    try {
      await this.sql.query(this.#connection!, 'ROLLBACK', [], false);
      return this.#failed?.reason !== 'lost';
    } catch {
      return false;
    }
  }

  /** False when the server went away meanwhile; locks end with their connection. */
  async #unlocked(connection: Connection): Promise<boolean> {
    try {
      await this.sql.unlock(connection);
      return true;
    } catch {
      return false;
    }
  }

  /** Gives connection and turn back, once. */
  async #end(broken: boolean): Promise<void> {
    if (!this.#open) return;
    this.#open = false;
    try {
      if (this.#connection !== undefined) {
        const isClean = !broken && (await this.#unlocked(this.#connection));
        await this.sql.release(this.#connection, !isClean);
      }
    } finally {
      this.endTurn?.();
    }
  }
}
