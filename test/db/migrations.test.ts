import { expect } from 'chai';
import { openDatabase } from '../../common/db/database.js';
import type { Db } from '../../common/db/db.js';
import { getInstance } from '../../common/db/instances.js';
import { getInstanceType } from '../../common/db/instanceTypes.js';
import {
  beginLiveMigration,
  finishLiveMigration,
  recordDestination,
  recordedDestination,
} from '../../common/db/liveMigrations.js';
import {
  changeMigration,
  confirmMigration,
  failWaitingResize,
  finishMigration,
  migrationsInto,
  newestMigrations,
  openMigration,
  overdueResizes,
  revertMigration,
  typeColumns,
} from '../../common/db/migrations.js';
import { requireGrowth } from '../../common/db/quotas.js';
import { syncDatabase } from '../../common/db/sync.js';
import { forEachDialect } from '../support/dialects.js';
import { testRuntime } from '../support/runtime.js';

describe('migrations in the database', () => {
  forEachDialect((_dialect, freshUrl) => {
    let db: Db;
    beforeEach(async () => {
      const { runtime } = testRuntime({ sql_connection: await freshUrl() });
      db = openDatabase(runtime);
      await syncDatabase(db);
    });
    afterEach(() => db.close());

    let count = 0;
    const resizing = (): Promise<number> =>
      db.insert('instances', {
        uuid: `00000000-0000-4000-8000-${String((count += 1)).padStart(12, '0')}`,
        project_id: 'acme',
        host: 'source',
        vm_state: 'resizing',
        task_state: 'resize_prep',
        instance_type_id: 2,
        memory_mb: 512,
        vcpus: 1,
        local_gb: 0,
      });
    const wish = (host: string): Parameters<typeof openMigration>[2] => ({
      dest_compute: host,
      dest_host: '10.0.0.1',
      new_instance_type_id: 5,
    });

    it('gives an instance to one of racing destinations, and its end to one of racing words', async () => {
      for (let round = 0; round < 5; round += 1) {
        const id = await resizing();
        const opened = await Promise.all(['a', 'b', 'c', 'd'].map((host) => openMigration(db, id, wish(host))));
        const [migration, ...others] = opened.filter((row) => row !== undefined);
        expect(others).to.deep.equal([]);
        expect(await failWaitingResize(db, id, 'too late')).to.equal(false);
        expect(await openMigration(db, id, wish(migration!.dest_compute!)), 'again').to.include({ id: migration!.id });
        const moved = await Promise.all(
          [1, 2, 3].map(() => changeMigration(db, migration!.id, ['pre-migrating'], 'migrating')),
        );
        expect(moved.filter(Boolean)).to.have.length(1);
        await changeMigration(db, migration!.id, ['migrating'], 'post-migrating');
        expect((await migrationsInto(db, migration!.dest_compute!)).map((row) => row.instance_id)).to.deep.equal([id]);
        expect(await finishMigration(db, migration!, id, typeColumns(await getInstanceType(db, 5)))).to.equal(true);
        const words = await Promise.all([
          confirmMigration(db, migration!, id),
          revertMigration(db, migration!, id),
          confirmMigration(db, migration!, id),
        ]);
        expect(words.filter(Boolean)).to.have.length(1);
        const row = await getInstance(db, id);
        const newest = (await newestMigrations(db, [row.uuid!])).get(row.uuid!);
        expect(row).to.include({ vm_state: 'active', task_state: null, memory_mb: 2048 });
        expect([newest?.status, row.host]).to.deep.equal(
          words[1] ? ['reverted', 'source'] : ['confirmed', migration!.dest_compute],
        );
      }
    });

    it('finds resizes which nobody took, and only those', async () => {
      const [waiting, taken] = [await resizing(), await resizing()];
      await openMigration(db, taken, wish('a'));
      expect(await overdueResizes(db, '2999-01-01 00:00:00')).to.deep.equal([waiting, taken]);
      await db.update('migrations', { created_at: '2999-06-01 00:00:00' }, 'dest_compute = ?', ['a']);
      expect(await overdueResizes(db, '2999-01-01 00:00:00')).to.deep.equal([waiting]);
      expect(await overdueResizes(db, '2001-01-01 00:00:00')).to.deep.equal([]);
      expect(await failWaitingResize(db, waiting, 'nobody')).to.equal(true);
      expect(await getInstance(db, waiting)).to.include({ vm_state: 'active', task_state: null });
      expect(await failWaitingResize(db, taken, 'gone', (host) => host === 'a')).to.equal(true);
      const { uuid } = await getInstance(db, taken);
      expect((await newestMigrations(db, [uuid!])).get(uuid!)).to.include({ status: 'error' });
    });

    it('moves an instance, its volumes and its addresses together, for one of racing callers', async () => {
      const id = await db.insert('instances', { host: 'source', vm_state: 'active', project_id: 'acme' });
      const volumeId = await db.insert('volumes', { instance_id: id, status: 'in-use' });
      const fixedId = await db.insert('fixed_ips', { instance_id: id, address: '10.0.0.2' });
      await db.insert('floating_ips', { fixed_ip_id: fixedId, address: '4.4.4.4', host: 'source' });
      const begun = await Promise.all([1, 2, 3].map(() => beginLiveMigration(db, id, 'source')));
      expect(begun.filter(Boolean)).to.have.length(1);
      const status = async (): Promise<unknown> => db.first('SELECT status FROM volumes WHERE id = ?', [volumeId]);
      expect(await status()).to.deep.equal({ status: 'migrating' });
      expect(await recordedDestination(db, id)).to.equal(undefined);
      for (const host of ['elsewhere', 'destination']) await recordDestination(db, id, host);
      expect(await recordedDestination(db, id)).to.equal('destination');
      expect(await finishLiveMigration(db, id, 'other', 'destination', {})).to.equal(false);
      expect(await finishLiveMigration(db, id, 'source', 'destination', { power_state: 1 })).to.equal(true);
      expect(await getInstance(db, id)).to.include({ host: 'destination', vm_state: 'active', power_state: 1 });
      expect(await status()).to.deep.equal({ status: 'in-use' });
      expect(await db.first('SELECT host FROM floating_ips')).to.deep.equal({ host: 'destination' });
    });

    it('keeps the quota of growth whoever races', async () => {
      const { flags } = testRuntime({ quota_ram: 3500 }).runtime;
      const ids = [await resizing(), await resizing(), await resizing()];
      const type = await getInstanceType(db, 5);
      const grown = await Promise.all(
        ids.map((id) =>
          db
            .transaction(async (tx) => {
              await requireGrowth(tx, flags, await getInstance(tx, id), type);
              await tx.update('instances', typeColumns(type), 'id = ?', [id]);
              return true;
            })
            .catch(() => false),
        ),
      );
      expect(grown.filter(Boolean)).to.have.length(1);
    });
  });
});
