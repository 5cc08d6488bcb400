import type { Client } from 'pg';
import type { Postgres } from './postgres.js';
import { until } from './rabbitmq.js';

/** Which write a daemon is to be held at. */
export interface Write {
  readonly table: string;
  readonly event: 'INSERT' | 'UPDATE' | 'DELETE';
  /** Of the trigger: columns as `NEW.name` and `OLD.name`. Every row when absent. */
  readonly when?: string;
}

/** The advisory lock which holds whoever comes to the write. */
const lock = 4711;

/**
 * Holds whichever daemon commits a certain write, in the database, without its knowing: a deferred trigger waits for a
 * lock which this session has. Thereby a test ends a daemon exactly before, or exactly after, any commit.
 */
export class Breakpoint {
  private constructor(
    private readonly client: Client,
    private readonly write: Write,
  ) {}

  static async at(server: Postgres, database: string, write: Write): Promise<Breakpoint> {
    const client = await server.connect(database);
    await client.query(`SELECT pg_advisory_lock(${lock})`);
    await client.query(
      `CREATE OR REPLACE FUNCTION test_breakpoint() RETURNS trigger AS $$ BEGIN
         PERFORM pg_advisory_xact_lock_shared(${lock}); RETURN NULL;
       END $$ LANGUAGE plpgsql`,
    );
    const condition = write.when === undefined ? '' : ` WHEN (${write.when})`;
    await client.query(
      `CREATE CONSTRAINT TRIGGER test_breakpoint AFTER ${write.event} ON ${write.table} DEFERRABLE INITIALLY DEFERRED ` +
        `FOR EACH ROW${condition} EXECUTE FUNCTION test_breakpoint()`,
    );
    return new Breakpoint(client, write);
  }

  /** Resolves when somebody is held. */
  async hit(): Promise<void> {
    const { table, event, when = '' } = this.write;
    await until(`${event} of ${table} ${when}`, async () => (await this.#held()).length > 0);
  }

  /** What is held is not committed, as if its daemon had ended just before. */
  async drop(): Promise<void> {
    for (const pid of await this.#held()) await this.client.query('SELECT pg_terminate_backend($1)', [pid]);
    await until('the held writes to be dropped', async () => (await this.#held()).length === 0);
    await this.letGo();
  }

  /** What is held is committed; a daemon which was killed meanwhile ended just after that. */
  async letGo(): Promise<void> {
    await this.client.query(`SELECT pg_advisory_unlock(${lock})`);
    await this.client.query(`DROP TRIGGER test_breakpoint ON ${this.write.table}`);
    await this.client.end();
  }

  async #held(): Promise<number[]> {
    const { rows } = await this.client.query<{ pid: number }>(
      `SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND objid = ${lock} AND NOT granted AND mode = 'ShareLock' ` +
        'AND database = (SELECT oid FROM pg_database WHERE datname = current_database())',
    );
    return rows.map((row) => row.pid);
  }
}
