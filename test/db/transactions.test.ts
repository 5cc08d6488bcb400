import { expect } from 'chai';
import { isUniqueViolation, openDatabase } from '../../common/db/database.js';
import type { Db, Tx } from '../../common/db/db.js';
import { syncDatabase } from '../../common/db/sync.js';
import { DBError } from '../../common/errors.js';
import { forEachDialect } from '../support/dialects.js';
import { testRuntime } from '../support/runtime.js';

/** A promise and what settles it. */
function gate(): { opened: Promise<void>; open: () => void } {
  let open: () => void = () => undefined;
  const opened = new Promise<void>((resolve) => (open = resolve));
  return { opened, open };
}

forEachDialect((dialect, freshUrl) => {
  describe('transactions', () => {
    let url: string;
    let db: Db;
    /** Another daemon's. */
    let other: Db;
    before(async () => {
      url = await freshUrl();
      const flags = { sql_connection: url };
      db = openDatabase(testRuntime(flags).runtime);
      other = openDatabase(testRuntime(flags).runtime);
      await syncDatabase(db);
      await other.connect();
    });
    after(() => Promise.all([db.close(), other.close()]));

    const labels = async (): Promise<unknown[]> =>
      (await db.all<{ label: string }>('SELECT label FROM networks ORDER BY id')).map((row) => row.label);

    beforeEach(async () => {
      await db.run('DELETE FROM networks');
    });

    it('commit together, or leave nothing', async () => {
      await db.transaction(async (tx) => {
        await tx.insert('networks', { label: 'a' });
        await tx.insert('networks', { label: 'b' });
        expect(await tx.all('SELECT label FROM networks')).to.have.length(2);
      });
      const failure = new Error('no');
      const thrown = await db
        .transaction(async (tx) => {
          await tx.run('DELETE FROM networks');
          throw failure;
        })
        .catch((error: unknown) => error);
      expect(thrown).to.equal(failure);
      expect(await labels()).to.deep.equal(['a', 'b']);
    });

    it('are not seen by others before they commit', async () => {
      await db.transaction(async (tx) => {
        await tx.insert('networks', { label: 'new' });
        expect(await other.all('SELECT label FROM networks')).to.deep.equal([]);
      });
      expect(await other.all('SELECT label FROM networks')).to.have.length(1);
    });

    it('are doomed by a statement which fails, on every dialect alike', async () => {
      await db.run('DELETE FROM virtual_interfaces');
      const instance = await db.insert('instances', {});
      const interfaceOf = (address: string): { address: string; instance_id: number } => ({
        address,
        instance_id: instance,
      });
      await db.insert('virtual_interfaces', interfaceOf('02:16:3e:00:00:01'));
      const thrown = await db
        .transaction(async (tx) => {
          await tx.insert('networks', { label: 'lost' });
          await tx.insert('virtual_interfaces', interfaceOf('02:16:3e:00:00:01')).catch(() => undefined);
          await tx.insert('networks', { label: 'lost too' }).catch(() => undefined);
        })
        .catch((error: unknown) => error);
      expect(thrown).to.be.instanceOf(DBError);
      expect(isUniqueViolation(thrown)).to.equal(true);
      expect(await labels()).to.deep.equal([]);
      expect(isUniqueViolation(await db.run('SELECT nonsense FROM nowhere').catch((error: unknown) => error))).to.equal(
        false,
      );
    });

    it('end with the statements which are said to be the last, or leave nothing', async () => {
      const add = (tx: Tx, label: string): Promise<number> => tx.insert('networks', { label });
      const ids = await db.transaction(async (tx) => {
        await tx.lock('ending');
        const first = await add(tx, 'a');
        return [first, ...(await tx.ending(() => Promise.all([add(tx, 'b'), add(tx, 'c')])))];
      });
      const made = await db.all<{ id: number }>('SELECT id FROM networks ORDER BY id');
      expect(made.map(({ id }) => id)).to.deep.equal(ids);

      const failed = await db
        .transaction(async (tx) => {
          await add(tx, 'd');
          await tx.ending(() => tx.run('INSERT INTO nowhere VALUES (1)'));
        })
        .catch((error: unknown) => error);
      expect(failed).to.be.instanceOf(DBError);
      expect(await labels()).to.deep.equal(['a', 'b', 'c']);
      if (dialect !== 'postgresql') return;
      const late = await db
        .transaction(async (tx) => {
          await tx.ending(() => add(tx, 'e'));
          await add(tx, 'too late');
        })
        .catch((error: unknown) => error);
      expect((late as Error).message).to.match(/after the end/);
      expect(await labels()).to.deep.equal(['a', 'b', 'c', 'e']);
    });

    it('lose no count of thirty writers of one row', async () => {
      const id = await db.insert('services', { report_count: 0 });
      const add = (one: Db): Promise<void> =>
        one.transaction(async (tx) => {
          const row = await tx.first<{ report_count: number }>(
            `SELECT report_count FROM services WHERE id = ?${tx.forUpdate}`,
            [id],
          );
          await tx.update('services', { report_count: row!.report_count + 1 }, 'id = ?', [id]);
        });
      await Promise.all(Array.from({ length: 30 }, (_, index) => add(index % 2 ? db : other)));
      expect(await db.first('SELECT report_count FROM services WHERE id = ?', [id])).to.deep.equal({
        report_count: 30,
      });
    });

    it('hold a named lock alone', async () => {
      let inside = 0;
      let most = 0;
      const count = (one: Db): Promise<void> =>
        one.transaction(async (tx) => {
          await tx.lock('quota of p1');
          const found = await tx.first<{ total: number }>('SELECT COUNT(*) AS total FROM networks');
          inside += 1;
          most = Math.max(most, inside);
          if (found!.total < 5) await tx.insert('networks', { label: `n${found!.total}` });
          inside -= 1;
        });
      await Promise.all(Array.from({ length: 12 }, (_, index) => count(index % 2 ? db : other)));
      expect(most).to.equal(1);
      expect(await labels()).to.deep.equal(['n0', 'n1', 'n2', 'n3', 'n4']);
    });

    it('let go of a named lock when they fail', async () => {
      const fail = db.transaction(async (tx) => {
        await tx.lock('failing');
        throw new Error('no');
      });
      await fail.catch(() => undefined);
      await other.transaction((tx) => tx.lock('failing'));
    });

    if (dialect !== 'sqlite') {
      it('run again after a deadlock', async () => {
        const [first, second] = [await db.insert('networks', {}), await db.insert('networks', {})];
        const both = [gate(), gate()];
        const runs = [0, 0];
        const lockBoth = async (index: number, tx: Tx, order: readonly number[]): Promise<void> => {
          runs[index]! += 1;
          await tx.run('UPDATE networks SET vlan = COALESCE(vlan, 0) + 1 WHERE id = ?', [order[0]!]);
          both[index]!.open();
          await both[1 - index]!.opened;
          await tx.run('UPDATE networks SET vlan = COALESCE(vlan, 0) + 1 WHERE id = ?', [order[1]!]);
        };
        await Promise.all([
          db.transaction((tx) => lockBoth(0, tx, [first, second])),
          other.transaction((tx) => lockBoth(1, tx, [second, first])),
        ]);
        expect(runs[0]! + runs[1]!).to.be.greaterThan(2);
        expect(await db.all('SELECT vlan FROM networks')).to.deep.equal([{ vlan: 2 }, { vlan: 2 }]);
      });

      it('pass over rows which others hold', async () => {
        await db.insertMany('networks', [{ label: 'a' }, { label: 'b' }]);
        const taken = await db.transaction(async (tx) => {
          const select = `SELECT label FROM networks ORDER BY id LIMIT 1${tx.forUpdateSkipLocked}`;
          const mine = await tx.first(select);
          const theirs = await other.transaction((tx2) => tx2.first(select));
          return [mine, theirs];
        });
        expect(taken).to.deep.equal([{ label: 'a' }, { label: 'b' }]);
      });
    }

    it('refuse a statement past them instead of waiting for ever', async () => {
      const thrown = await db.transaction(() => db.run('DELETE FROM networks')).catch((error: unknown) => error);
      expect(thrown).to.be.instanceOf(TypeError);
    });

    it('of a daemon which is halted in the middle let the others go on', async () => {
      const halted = testRuntime({ sql_connection: url }).runtime;
      const dead = openDatabase(halted);
      const id = await db.insert('networks', { label: 'shared' });
      const inside = gate();
      void dead.transaction(async (tx) => {
        await tx.update('networks', { label: 'never' }, 'id = ?', [id]);
        inside.open();
        await Promise.resolve();
        halted.halt();
        await tx.update('networks', { label: 'never at all' }, 'id = ?', [id]);
      });
      await inside.opened;
      await db.update('networks', { label: 'mine' }, 'id = ?', [id]);
      expect(await labels()).to.deep.equal(['mine']);
      await dead.close();
    });
  });
});
