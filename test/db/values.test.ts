import { expect } from 'chai';
import { openDatabase } from '../../common/db/database.js';
import type { Db } from '../../common/db/db.js';
import type { VolumeRow } from '../../common/db/rows.js';
import { syncDatabase } from '../../common/db/sync.js';
import { DBError } from '../../common/errors.js';
import { forEachDialect } from '../support/dialects.js';
import { testRuntime } from '../support/runtime.js';

forEachDialect((dialect, freshUrl) => {
  describe('values', () => {
    let db: Db;
    before(async () => {
      const { runtime } = testRuntime({ sql_connection: await freshUrl() });
      db = openDatabase(runtime);
      await syncDatabase(db);
    });
    after(() => db.close());

    it('are booleans, numbers, texts and null as they were written', async () => {
      const text = 'it\'s "quoted", ¿ünïcode? 日本語 \\ %s ? $1 :name';
      const id = await db.insert('volumes', { display_name: text, size: 2147483647, user_id: '', project_id: null });
      const row = await db.first<VolumeRow>('SELECT * FROM volumes WHERE id = ? AND deleted = ?', [id, false]);
      expect(row).to.include({ id, display_name: text, size: 2147483647, user_id: '', project_id: null });
      expect(row?.deleted).to.equal(false);
      expect(row?.updated_at).to.equal(null);
      await db.update('volumes', { deleted: true }, 'id = ?', [id]);
      expect(await db.first('SELECT deleted FROM volumes WHERE id = ?', [id])).to.deep.equal({ deleted: true });
    });

    it('are times as text in UTC, whole seconds on MySQL', async () => {
      const time = '2011-09-22 17:03:04.900007';
      const stored = dialect === 'mysql' ? '2011-09-22 17:03:04' : time;
      const id = await db.insert('volumes', { scheduled_at: time, launched_at: '2011-09-22 17:03:04.500000' });
      await db.run('UPDATE volumes SET terminated_at = ? WHERE id = ?', [time, id]);
      const row = await db.first<VolumeRow>('SELECT * FROM volumes WHERE id = ?', [id]);
      expect(row).to.include({ scheduled_at: stored, terminated_at: stored });
      expect(row?.launched_at).to.equal(dialect === 'mysql' ? stored : '2011-09-22 17:03:04.500000');
      expect(row?.created_at).to.match(/^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(\.\d{6})?$/);
      expect(await db.all('SELECT id FROM volumes WHERE launched_at <= ?', [time])).to.deep.equal([{ id }]);
      expect(await db.all('SELECT id FROM volumes WHERE scheduled_at = ?', [time])).to.deep.equal([{ id }]);
    });

    it('are numbers where the database counts and sums, however big', async () => {
      for (const size of [2147483647, 2147483647]) await db.insert('volumes', { size, host: 'sums' });
      const sums = await db.first(
        'SELECT COUNT(*) AS volumes, SUM(size) AS total, AVG(size) AS mean, MAX(size) AS biggest FROM volumes WHERE host = ?',
        ['sums'],
      );
      expect(sums).to.deep.equal({ volumes: 2, total: 4294967294, mean: 2147483647, biggest: 2147483647 });
      const none = await db.first('SELECT COUNT(*) AS volumes, SUM(size) AS total FROM volumes WHERE host = ?', ['x']);
      expect(none).to.deep.equal({ volumes: 0, total: null });
      await db.insert('zones', { api_url: 'u', weight_offset: 0.5, weight_scale: -1.25 });
      const zone = await db.first('SELECT weight_offset, weight_scale FROM zones');
      expect(zone).to.deep.equal({ weight_offset: 0.5, weight_scale: -1.25 });
    });

    it('go into columns with reserved names', async () => {
      const id = await db.insert('services', { binary: 'nova-api', report_count: 0, disabled: false });
      expect(await db.update('services', { binary: 'nova-volume' }, '"binary" = ?', ['nova-api'])).to.equal(1);
      expect(await db.first('SELECT "binary" FROM services WHERE id = ?', [id])).to.deep.equal({
        binary: 'nova-volume',
      });
      const instance = await db.insert('instances', {});
      await db.insertMany('instance_metadata', [
        { instance_id: instance, key: 'a', value: '1' },
        { instance_id: instance, key: 'b' },
      ]);
      expect(await db.all('SELECT "key", value, deleted FROM instance_metadata ORDER BY "key"')).to.deep.equal([
        { key: 'a', value: '1', deleted: false },
        { key: 'b', value: null, deleted: false },
      ]);
    });

    it('come in thousands', async () => {
      const rows = Array.from({ length: 2345 }, (_, index) => ({ address: `10.0.${index >> 8}.${index & 255}` }));
      await db.insertMany('fixed_ips', rows);
      const found = await db.all<{ address: string }>('SELECT address FROM fixed_ips WHERE deleted = ? ORDER BY id', [
        false,
      ]);
      expect(found).to.deep.equal(rows);
    });

    it('count the rows which matched, changed or not', async () => {
      await db.insertMany('networks', [{ label: 'n' }, { label: 'n' }]);
      expect(await db.run('UPDATE networks SET label = ? WHERE label = ?', ['n', 'n'])).to.equal(2);
      expect(await db.update('networks', { label: 'n' }, 'label = ?', ['n'], { updatedAt: false })).to.equal(2);
      expect(await db.run('DELETE FROM networks WHERE label = ?', ['none'])).to.equal(0);
    });

    it('which are too long are an error or kept, but never break the connection', async () => {
      const long = 'x'.repeat(300);
      const written = await db.insert('key_pairs', { name: long }).catch((error: unknown) => error);
      if (dialect === 'sqlite') expect(written).to.be.a('number');
      else expect(written).to.be.instanceOf(DBError);
      expect(await db.insert('key_pairs', { name: 'short' })).to.be.greaterThan(0);
    });

    it('which do not fit the statement, or a column which is not there, are refused before they are sent', async () => {
      const refused = async (work: Promise<unknown>): Promise<unknown> => work.catch((error: unknown) => error);
      expect(await refused(db.all('SELECT * FROM users WHERE id = ?', []))).to.be.instanceOf(TypeError);
      expect(await refused(db.insert('users', { nope: 1 } as object))).to.be.instanceOf(TypeError);
      expect(await db.all("SELECT 'a?' AS question FROM migrate_version WHERE version = ?", [46])).to.deep.equal([
        { question: 'a?' },
      ]);
    });
  });
});
