import { expect } from 'chai';
import { execFile } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { openDatabase } from '../../../common/db/database.js';
import type { Db } from '../../../common/db/db.js';
import { syncDatabase } from '../../../common/db/sync.js';
import { Turns } from '../../../common/db/turns.js';
import { DBError, StartupError } from '../../../common/errors.js';
import { testRuntime } from '../../support/runtime.js';

const caught = (work: Promise<unknown>): Promise<unknown> =>
  work.then(
    () => undefined,
    (error: unknown) => error,
  );

/** A promise and what settles it. */
function gate(): { opened: Promise<void>; open: () => void } {
  let open: () => void = () => undefined;
  const opened = new Promise<void>((resolve) => (open = resolve));
  return { opened, open };
}

/** Reads, thinks, writes: loses a count unless the transactions exclude each other. */
async function countUp(db: Db, id: number): Promise<void> {
  await db.transaction(async (tx) => {
    const row = await tx.first<{ report_count: number }>('SELECT report_count FROM services WHERE id = ?', [id]);
    await tx.update('services', { report_count: row!.report_count + 1 }, 'id = ?', [id]);
  });
}

describe('SQLite', function () {
  this.timeout(60_000);
  let open: Db[] = [];
  afterEach(async () => {
    await Promise.all(open.map((db) => db.close()));
    open = [];
  });
  const openIt = (...args: Parameters<typeof openDatabase>): Db => {
    const db = openDatabase(...args);
    open.push(db);
    return db;
  };
  const total = (db: Db): Promise<unknown> => db.all('SELECT report_count FROM services');

  it('lets ten writers of one daemon wait for each other, in the order in which they came', async () => {
    const db = openIt(testRuntime().runtime);
    await syncDatabase(db);
    await db.insert('services', { report_count: 0 });
    const order: number[] = [];
    await Promise.all(
      Array.from({ length: 10 }, async (_, index) => {
        await countUp(db, 1);
        order.push(index);
      }),
    );
    expect(await total(db)).to.deep.equal([{ report_count: 10 }]);
    expect(order).to.deep.equal([0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
  });

  for (const shared of [true, false]) {
    it(`lets daemons of one process use one file, with${shared ? '' : 'out'} common turns`, async () => {
      const { runtime } = testRuntime();
      const turns = shared ? { turns: new Turns() } : {};
      const daemons = Array.from({ length: 6 }, () => openIt(runtime, turns));
      await syncDatabase(daemons[0]!);
      await daemons[0]!.insert('services', { report_count: 0 });
      await Promise.all(daemons.flatMap((db) => [countUp(db, 1), countUp(db, 1), countUp(db, 1)]));
      expect(await total(daemons[0]!)).to.deep.equal([{ report_count: 18 }]);
    });
  }

  it('passes the turn on when a daemon is halted in the middle of a transaction', async () => {
    const { runtime } = testRuntime();
    const halted = testRuntime({ sql_connection: runtime.flags.sql_connection }).runtime;
    const turns = new Turns();
    const [db, dead] = [openIt(runtime, { turns }), openIt(halted, { turns })];
    await syncDatabase(db);
    await db.insert('services', { report_count: 0 });
    const inside = gate();
    void dead.transaction(async (tx) => {
      await tx.update('services', { report_count: 5 }, 'id = ?', [1]);
      inside.open();
      await tx.update('services', { report_count: 6 }, 'id = ?', [1]);
    });
    await inside.opened;
    halted.halt();
    await countUp(db, 1);
    expect(await total(db)).to.deep.equal([{ report_count: 1 }]);
  });

  it('answers in the order of the questions when it is told to serialize', async () => {
    const db = openIt(testRuntime().runtime, { serialize: true });
    await syncDatabase(db);
    const order: string[] = [];
    const note = (name: string) => (): void => void order.push(name);
    await Promise.all([
      db.all('SELECT * FROM instances, instance_types, networks').then(note('read')),
      db
        .transaction(async (tx) => {
          await tx.insert('services', { report_count: 0 });
          await tx.all('SELECT * FROM services');
        })
        .then(note('transaction')),
      db.all('SELECT 1').then(note('second read')),
      db.insert('services', { report_count: 1 }).then(note('write')),
      db.first('SELECT 2').then(note('last')),
    ]);
    expect(order).to.deep.equal(['read', 'transaction', 'second read', 'write', 'last']);
  });

  it('lets another process write to the same file, and waits for it', async () => {
    const { runtime, statePath } = testRuntime();
    const db = openIt(runtime);
    await syncDatabase(db);
    await db.insert('services', { report_count: 0 });
    const script = join(statePath, 'other.mjs');
    const sqlite3 = createRequire(import.meta.url).resolve('sqlite3');
    writeFileSync(
      script,
      `import sqlite3 from ${JSON.stringify(sqlite3)};
       const db = new sqlite3.Database(process.argv[2]);
       db.exec('PRAGMA busy_timeout = 20000; BEGIN IMMEDIATE; UPDATE services SET report_count = report_count + 100', (error) => {
         if (error) throw error;
         setTimeout(() => db.exec('COMMIT', (error) => { if (error) throw error; }), 300);
       });`,
    );
    const others = promisify(execFile)(process.execPath, [
      script,
      runtime.flags.sql_connection.slice('sqlite:///'.length),
    ]);
    await Promise.all([others, ...Array.from({ length: 10 }, () => countUp(db, 1))]);
    expect(await total(db)).to.deep.equal([{ report_count: 110 }]);
  });

  it('gives reads what was committed, while a transaction is open', async () => {
    const db = openIt(testRuntime().runtime);
    await syncDatabase(db);
    await db.insert('services', { report_count: 0 });
    const [inside, read] = [gate(), gate()];
    const writing = db.transaction(async (tx) => {
      await tx.update('services', { report_count: 7 }, 'id = ?', [1]);
      inside.open();
      await read.opened;
    });
    await inside.opened;
    expect(await total(db)).to.deep.equal([{ report_count: 0 }]);
    read.open();
    await writing;
    expect(await total(db)).to.deep.equal([{ report_count: 7 }]);
  });

  it('in memory is one database for reads, writes and transactions', async () => {
    const db = openIt(testRuntime({ sql_connection: 'sqlite://' }).runtime);
    await syncDatabase(db);
    await db.insert('services', { report_count: 0 });
    await Promise.all([...Array.from({ length: 10 }, () => countUp(db, 1)), total(db), total(db)]);
    expect(await total(db)).to.deep.equal([{ report_count: 10 }]);
  });

  it('runs a transaction again when the file stays locked for a moment, and gives up in the end', async () => {
    const { runtime } = testRuntime();
    const waits: number[] = [];
    const quick = testRuntime({ sql_connection: runtime.flags.sql_connection }).runtime;
    quick.sleep = async (ms) => {
      waits.push(ms);
    };
    const holder = openIt(runtime);
    await syncDatabase(holder);
    const waiter = openIt(quick);
    const error = await holder.transaction(async () => caught(waiter.run('DELETE FROM services')));
    expect(error).to.be.instanceOf(DBError).with.property('reason', 'conflict');
    expect(waits).to.have.length(10);
    expect(await waiter.run('DELETE FROM services')).to.equal(0);
  });

  it('which can not be opened ends the start with a sentence', async () => {
    const { statePath } = testRuntime();
    const folder = join(statePath, 'folder');
    mkdirSync(folder);
    const text = join(statePath, 'text');
    writeFileSync(text, 'not a database, but long enough to be taken for one by its size alone'.repeat(20));
    for (const path of [folder, text, `${text}/nova.sqlite`]) {
      const error = await caught(openIt(testRuntime({ sql_connection: `sqlite:///${path}` }).runtime).connect());
      expect(error).to.be.instanceOf(StartupError);
      expect((error as Error).message)
        .to.contain('--sql_connection')
        .and.to.contain(path);
    }
  });

  it('answers more variants of a statement at a time than it keeps prepared', async () => {
    const db = openIt(testRuntime().runtime);
    await syncDatabase(db);
    await db.insert('services', { report_count: 0 });
    const variants = Array.from({ length: 450 }, (_, index) => index);
    for (let round = 0; round < 2; round += 1) {
      const answers = variants.map((n) => db.first<{ n: number }>(`SELECT id + ${n} AS n FROM services`));
      expect((await Promise.all(answers)).map((row) => row!.n)).to.deep.equal(variants.map((n) => n + 1));
    }
    await Promise.all(variants.map((n) => db.run(`UPDATE services SET report_count = report_count + 1 + ${n} * 0`)));
    expect(await total(db)).to.deep.equal([{ report_count: 450 }]);
  });

  it('tells everyone who asks what can not be prepared, and prepares it when it can', async () => {
    const db = openIt(testRuntime().runtime);
    await syncDatabase(db);
    const ask = (): Promise<unknown> => db.all('SELECT id FROM later');
    for (const error of await Promise.all([caught(ask()), caught(ask()), caught(ask())])) {
      expect(error).to.be.instanceOf(DBError).with.property('message').that.contains('no such table: later');
    }
    await db.run('CREATE TABLE later (id INTEGER)');
    expect(await ask()).to.deep.equal([]);
    await db.run('INSERT INTO later (id) VALUES (?)', [1]);
    await db.run('ALTER TABLE later RENAME COLUMN id TO other');
    await db.run('ALTER TABLE later ADD COLUMN id INTEGER DEFAULT 7');
    expect(await ask()).to.deep.equal([{ id: 7 }]);
    await db.run('DROP TABLE later');
    expect(await caught(ask())).to.be.instanceOf(DBError);
  });

  it('leaves no statement half-read when its rows are not wanted', async () => {
    const { runtime } = testRuntime();
    const [db, other] = [openIt(runtime), openIt(runtime)];
    await syncDatabase(db);
    await db.insertMany('services', [{ report_count: 1 }, { report_count: 2 }]);
    await db.run('PRAGMA table_info(services)');
    await db.run('SELECT id FROM services');
    await other.run('UPDATE services SET report_count = 3');
    await other.run('DELETE FROM services');
    // would be refused if the first connection still read from before the deletion
    expect(await db.all('PRAGMA wal_checkpoint(TRUNCATE)')).to.deep.equal([{ busy: 0, log: 0, checkpointed: 0 }]);
  });

  it('reads and writes beside reads which last', async () => {
    const db = openIt(testRuntime().runtime);
    await syncDatabase(db);
    await db.insert('services', { report_count: 0 });
    const order: string[] = [];
    const long = async (): Promise<void> => {
      const counted =
        'WITH RECURSIVE n (x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n WHERE x < 3000000) SELECT COUNT(*) FROM n';
      await db.all(counted);
      order.push('long');
    };
    const short = async (): Promise<void> => {
      await countUp(db, 1);
      await total(db);
      order.push('short');
    };
    await Promise.all([total(db), total(db), total(db)]);
    await Promise.all([long(), long(), short()]);
    // on one connection it would have waited for both
    expect(order).to.have.length(3);
    expect(order.at(-1)).to.equal('long');
  });
});
