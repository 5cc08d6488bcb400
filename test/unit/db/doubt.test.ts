import { expect } from 'chai';
import { openDatabase } from '../../../common/db/database.js';
import type { Db, SqlValue, Tx } from '../../../common/db/db.js';
import type { Connection, FailureKind, Result } from '../../../common/db/dialects/dialect.js';
import { SqliteDialect } from '../../../common/db/dialects/sqlite.js';
import { syncDatabase } from '../../../common/db/sync.js';
import { parseDatabaseUrl } from '../../../common/db/url.js';
import { DBError } from '../../../common/errors.js';
import { testRuntime } from '../../support/runtime.js';

class Lost extends Error {}

/** A server which goes away around a COMMIT, so often as `losses` says: before it is carried out, or after. */
class ForgetfulDialect extends SqliteDialect {
  losses: ('before' | 'after')[] = [];
  /** Nobody can connect. */
  away = false;

  override async acquire(write: boolean): Promise<Connection> {
    if (this.away) throw new Lost('connection refused');
    return super.acquire(write);
  }

  override async query(
    connection: Connection,
    text: string,
    values: readonly SqlValue[],
    rows: boolean,
  ): Promise<Result> {
    const loss = text === 'COMMIT' ? this.losses.shift() : undefined;
    const result = await super.query(connection, loss === 'before' ? 'ROLLBACK' : text, values, rows);
    if (loss !== undefined) throw new Lost('the connection broke');
    return result;
  }

  /** A broken connection's end is not that of a database in memory. */
  override release(connection: Connection): Promise<void> | undefined {
    return super.release(connection, false);
  }

  override failure(error: unknown): FailureKind {
    return error instanceof Lost ? 'lost' : super.failure(error);
  }
}

describe('A transaction whose commit was not confirmed', () => {
  let sql: ForgetfulDialect;
  let db: Db;

  beforeEach(async () => {
    const { runtime } = testRuntime({ sql_connection: 'sqlite://' });
    Object.assign(runtime, { sleep: async () => undefined });
    sql = new ForgetfulDialect({ runtime, url: parseDatabaseUrl('sqlite://') });
    db = openDatabase(runtime, { sql });
    await syncDatabase(db);
  });
  afterEach(() => db.close());

  const labels = async (): Promise<string[]> =>
    (await db.all<{ label: string }>('SELECT label FROM networks')).map(({ label }) => label);
  const make = (tx: Tx): Promise<number> => tx.insert('networks', { label: 'made' });
  const find = async (tx: Tx): Promise<number | undefined> =>
    (await tx.first<{ id: number }>("SELECT id FROM networks WHERE label = 'made'"))?.id;
  const reason = (work: Promise<unknown>): Promise<unknown> =>
    work.then(
      () => 'none',
      (error: unknown) => (error instanceof DBError ? error.reason : error),
    );

  for (const loss of ['before', 'after'] as const) {
    it(`is found or made again when the server went away ${loss} it`, async () => {
      sql.losses = [loss];
      const id = await db.transaction(make, find);
      expect([id, await labels()]).to.deep.equal([1, ['made']]);
    });

    it(`is told from others when nobody can look, ${loss} it`, async () => {
      sql.losses = [loss];
      expect(await reason(db.transaction(make))).to.equal('unknown');
      expect(await labels()).to.deep.equal(loss === 'before' ? [] : ['made']);
    });
  }

  it('is looked for again when looking ends in doubt, too', async () => {
    sql.losses = ['before', 'before', 'after', 'after'];
    await db.transaction(make, find);
    expect(await labels()).to.deep.equal(['made']);
  });

  it('stays unknown when the server does not come back', async () => {
    sql.losses = ['after'];
    const outcome = reason(
      db.transaction(async (tx) => {
        const id = await make(tx);
        sql.away = true;
        return id;
      }, find),
    );
    expect(await outcome).to.equal('unknown');
    sql.away = false;
    expect(await labels()).to.deep.equal(['made']);
  });
});
