import { expect } from 'chai';
import { openDatabase } from '../../common/db/database.js';
import type { Db } from '../../common/db/db.js';
import { purgeDeleted } from '../../common/db/purge.js';
import type { TableName } from '../../common/db/rows.js';
import { syncDatabase } from '../../common/db/sync.js';
import { dbTime } from '../../common/time.js';
import { forEachDialect } from '../support/dialects.js';
import { testRuntime } from '../support/runtime.js';

const dayMs = 86_400_000;

forEachDialect((_dialect, freshUrl) => {
  describe('purging deleted rows', () => {
    let db: Db;
    let old: { deleted: true; deleted_at: string };
    let recent: { deleted: true; deleted_at: string };
    beforeEach(async () => {
      const { runtime } = testRuntime({ sql_connection: await freshUrl() });
      const now = runtime.clock.now();
      old = { deleted: true, deleted_at: dbTime(now - 40 * dayMs) };
      recent = { deleted: true, deleted_at: dbTime(now - dayMs) };
      db = openDatabase(runtime);
      await syncDatabase(db);
    });
    afterEach(() => db.close());

    const ids = async (table: TableName): Promise<number[]> =>
      (await db.all<{ id: number }>(`SELECT id FROM ${table} ORDER BY id`)).map((row) => row.id);

    it('takes old ones with all their parts, and nothing else', async () => {
      const gone = await db.insert('instances', old);
      const live = await db.insert('instances', {});
      const fresh = await db.insert('instances', recent);
      const held = await db.insert('instances', old);
      const newest = await db.insert('instances', old);
      for (const instance of [gone, live]) {
        await db.insert('instance_actions', { instance_id: instance, action: 'spawn' });
        await db.insert('instance_metadata', { instance_id: instance, key: 'a' });
        await db.insert('block_device_mapping', { instance_id: instance, device_name: '/dev/vdb' });
      }
      await db.insert('instance_actions', { instance_id: live, action: 'newest' });
      await db.insert('instance_metadata', { instance_id: live, key: 'newest' });
      await db.insert('block_device_mapping', { instance_id: live, device_name: '/dev/vdc' });
      await db.insert('volumes', { instance_id: held });
      const counts = await purgeDeleted(db, { olderThanDays: 30 });
      expect(await ids('instances')).to.deep.equal([live, fresh, held, newest]);
      expect(counts).to.deep.equal({
        instances: 1,
        instance_actions: 1,
        instance_metadata: 1,
        block_device_mapping: 1,
      });
      expect(await purgeDeleted(db, { olderThanDays: 30 })).to.deep.equal({});
    });

    it('keeps flavors which instances still have', async () => {
      const flavor = { memory_mb: 1, vcpus: 1, local_gb: 1, swap: 0, rxtx_quota: 0, rxtx_cap: 0, ...old };
      const used = await db.insert('instance_types', { name: 'used', flavorid: 10, ...flavor });
      const unused = await db.insert('instance_types', { name: 'unused', flavorid: 11, ...flavor });
      const newest = await db.insert('instance_types', { name: 'newest', flavorid: 12, ...flavor, deleted: false });
      await db.insert('instances', { instance_type_id: used });
      expect(await purgeDeleted(db, { olderThanDays: 30 })).to.deep.equal({ instance_types: 1 });
      expect(await ids('instance_types'))
        .to.deep.equal([1, 2, 3, 4, 5, used, newest])
        .and.not.to.include(unused);
    });

    it('takes client tokens which expired long ago', async () => {
      const token = (name: string, days: number): Promise<number> =>
        db.insert('ext_client_tokens', {
          project_id: 'p',
          token: name,
          request_hash: '',
          reservation_id: 'r-1',
          created_at: dbTime(Date.now() - days * dayMs),
        });
      for (let each = 0; each < 5; each++) await token(`old${each}`, 32);
      const kept = [await token('expired', 30.5), await token('new', 0)];
      expect(await purgeDeleted(db, { olderThanDays: 30, batch: 2 })).to.deep.equal({ ext_client_tokens: 5 });
      expect(await ids('ext_client_tokens')).to.deep.equal(kept);
      await db.run('DROP TABLE ext_client_tokens');
      expect(await purgeDeleted(db, { olderThanDays: 30 })).to.deep.equal({});
    });

    it('goes on batch by batch, in the tables which were asked for', async () => {
      await db.insertMany(
        'volumes',
        Array.from({ length: 25 }, () => ({ ...old })),
      );
      await db.insertMany('key_pairs', [{ ...old }, {}]);
      await db.insert('users', { id: 'u', ...old });
      await db.insert('projects', { id: 'p', ...old });
      await db.insert('user_project_association', { user_id: 'u', project_id: 'p', ...old });
      const options = { olderThanDays: 30, batch: 4 };
      expect(await purgeDeleted(db, { ...options, tables: ['volumes'] })).to.deep.equal({ volumes: 24 });
      expect(await purgeDeleted(db, options)).to.deep.equal({
        key_pairs: 1,
        user_project_association: 1,
        users: 1,
        projects: 1,
      });
    });
  });
});
