import { expect } from 'chai';
import { readFileSync } from 'node:fs';
import { openDatabase } from '../../common/db/database.js';
import type { Db } from '../../common/db/db.js';
import { addIndexes, hasTable, ownIndexes } from '../../common/db/indexes.js';
import { novaTables } from '../../common/db/schema.js';
import { requireSchema, schemaVersion, syncDatabase } from '../../common/db/sync.js';
import { StartupError } from '../../common/errors.js';
import { forEachDialect } from '../support/dialects.js';
import { postgres } from '../support/postgres.js';
import { testRuntime } from '../support/runtime.js';
import { recordings } from '../support/recordings.js';

/** The message of the StartupError which `work` must throw. */
async function refusal(work: Promise<unknown>): Promise<string> {
  const error = await work.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  expect(error).to.be.instanceOf(StartupError);
  return (error as Error).message;
}

/** A dump as its statements, without comments, settings, and what is ours. */
function statementsOf(dump: string): string[] {
  return dump
    .split(/;\n/)
    .map((text) =>
      text
        .split('\n')
        .filter((line) => !/^(--|SET |\\|$)/.test(line))
        .join('\n'),
    )
    .filter((text) => text !== '' && !/set_config|\bext_/.test(text));
}

forEachDialect((dialect, freshUrl) => {
  describe('the schema', () => {
    let url: string;
    let db: Db;
    beforeEach(async () => {
      url = await freshUrl();
      const { runtime } = testRuntime({ sql_connection: url });
      db = openDatabase(runtime);
      await db.connect();
    });
    afterEach(() => db.close());

    it('is made in an empty database, with flavors, ids and version of 2011.3', async () => {
      expect(await schemaVersion(db)).to.equal(0);
      expect(await refusal(requireSchema(db))).to.match(/nova-manage db sync/);
      await syncDatabase(db);
      expect(await schemaVersion(db)).to.equal(46);
      await requireSchema(db);
      const types = await db.all('SELECT id, name, created_at, deleted FROM instance_types ORDER BY id');
      const seeded = ['m1.medium', 'm1.tiny', 'm1.large', 'm1.xlarge', 'm1.small'];
      expect(types).to.deep.equal(
        seeded.map((name, index) => ({ id: index + 1, name, created_at: null, deleted: false })),
      );
      const next = { name: 'm1.huge', memory_mb: 1, vcpus: 1, local_gb: 1, flavorid: 6, swap: 0, rxtx_quota: 0 };
      expect(await db.insert('instance_types', { ...next, rxtx_cap: 0 })).to.equal(6);
      for (const table of novaTables) await db.all(`SELECT * FROM "${table.name}"`);
    });

    it('stays as it is at version 46', async () => {
      await syncDatabase(db);
      await db.insert('networks', { label: 'kept' });
      await syncDatabase(db);
      expect(await db.all('SELECT label FROM networks')).to.deep.equal([{ label: 'kept' }]);
    });

    it('is made once by two who begin together', async () => {
      const { runtime } = testRuntime({ sql_connection: url });
      const other = openDatabase(runtime);
      await Promise.all([syncDatabase(db), syncDatabase(other)]);
      await other.close();
      expect(await db.all('SELECT version FROM migrate_version')).to.deep.equal([{ version: 46 }]);
    });

    for (const [version, advice] of [
      [45, /at schema version 45, .*Nova 2011\.3/],
      [47, /at schema version 47, .*later Nova/],
    ] as const) {
      it(`is refused at version ${version}, with advice and without a change`, async () => {
        await syncDatabase(db);
        await db.run('UPDATE migrate_version SET version = ?', [version]);
        expect(await refusal(requireSchema(db))).to.match(advice);
        expect(await refusal(syncDatabase(db))).to.match(advice);
        expect(await schemaVersion(db)).to.equal(version);
      });
    }

    it('is refused when tables are there without a version', async () => {
      await db.run('CREATE TABLE instances (id INTEGER)');
      expect(await refusal(syncDatabase(db))).to.match(/no schema version/);
      expect(await schemaVersion(db)).to.equal(null);
      expect(await db.all('SELECT * FROM instances')).to.deep.equal([]);
    });

    it('is made where Python only looked at the version of an empty database', async () => {
      await db.run(
        'CREATE TABLE migrate_version (repository_id VARCHAR(250) NOT NULL, repository_path TEXT, version INTEGER, PRIMARY KEY (repository_id))',
      );
      await db.run('INSERT INTO migrate_version VALUES (?, ?, ?)', ['nova', '/usr/share/nova', 0]);
      await syncDatabase(db);
      expect(await schemaVersion(db)).to.equal(46);
    });

    it('gets our tables and indexes later when Python made it', async () => {
      await syncDatabase(db);
      const onTable = (table: string): string => (dialect === 'mysql' ? ` ON "${table}"` : '');
      // MySQL needs an index for a foreign key: there the rest has to do.
      const own = ownIndexes(dialect);
      const droppable = dialect === 'mysql' ? own.filter((index) => index.table === 'services') : own;
      for (const index of droppable) await db.run(`DROP INDEX "${index.name}"${onTable(index.table)}`);
      expect(await hasTable(db, 'ext_client_tokens')).to.equal(true);
      await db.run('DROP TABLE ext_client_tokens');
      expect(await db.transaction((tx) => hasTable(tx, 'ext_client_tokens'))).to.equal(false);
      await requireSchema(db);
      await db.insert('services', { host: 'cloud1', binary: 'nova-compute', topic: 'compute', report_count: 0 });
      expect(await db.all('SELECT host FROM services WHERE topic = ?', ['compute'])).to.have.length(1);
      expect(await addIndexes(db)).to.deep.equal(['ext_client_tokens', ...droppable.map((index) => index.name)]);
      expect(await addIndexes(db)).to.deep.equal([]);
    });

    if (dialect === 'postgresql') {
      it('dumps as the one which Python made', async () => {
        await syncDatabase(db);
        const recorded = readFileSync(new URL('db/schema-postgresql.sql', recordings), 'utf8');
        const dumped = (await postgres()).dumpSchema(url);
        expect(statementsOf(recorded)).to.have.length.greaterThan(150);
        expect(statementsOf(dumped)).to.deep.equal(statementsOf(recorded));
      });
    }

    if (dialect === 'mysql') {
      it('is made anew over what a killed run left', async () => {
        await db.run('CREATE TABLE ext_unfinished_sync (id INTEGER)');
        await db.run('CREATE TABLE agent_builds (id INTEGER)');
        await syncDatabase(db);
        await requireSchema(db);
      });
    }
  });
});
