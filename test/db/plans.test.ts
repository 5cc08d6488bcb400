import { expect } from 'chai';
import type pg from 'pg';
import { openDatabase } from '../../common/db/database.js';
import { claimFixedIp } from '../../common/db/fixedIps.js';
import { changeInstance, findInstance, findInstanceState } from '../../common/db/instances.js';
import { viewInstances } from '../../common/db/instanceViews.js';
import { getNetwork } from '../../common/db/networks.js';
import { reserveInstanceHost, waitingForRun } from '../../common/db/scheduling.js';
import { syncDatabase } from '../../common/db/sync.js';
import { postgres, type Postgres } from '../support/postgres.js';
import { until } from '../support/rabbitmq.js';
import { testRuntime } from '../support/runtime.js';

/** Rows of each table: enough that reading all of them for one shows. */
const rows = 2000;
const rounds = 20;
const nothingElse = { typeName: '', fixedIps: [], groups: [], volumes: [], metadata: [] };

describe('statements on a new database of PostgreSQL, before it has statistics', function () {
  this.timeout(120_000);
  let server: Postgres;
  let url: string;
  let past: pg.Client;
  before(async () => {
    server = await postgres();
    url = await server.freshDatabase();
    past = await server.connect(url);
  });
  after(() => past.end());

  async function count(sql: string, values: string[] = []): Promise<number> {
    return Number((await past.query<{ count: string }>(sql, values)).rows[0]!.count);
  }

  /** Rows of a table which statements have read so far, as the server counts them when a session ends. */
  function rowsRead(table: string): Promise<number> {
    return count('SELECT seq_tup_read + idx_tup_fetch AS count FROM pg_stat_user_tables WHERE relname = $1', [table]);
  }

  /** Other sessions on the database. */
  function sessions(): Promise<number> {
    return count(
      'SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid() AND ' +
        "backend_type = 'client backend'",
    );
  }

  it('find an instance by its id, and a free address, without reading the others', async () => {
    const db = openDatabase(testRuntime({ sql_connection: url }).runtime);
    await syncDatabase(db);
    const networkId = await db.insert('networks', { cidr: '10.0.0.0/20', injected: false, multi_host: false });
    const work = async (id: number): Promise<void> => {
      await findInstance(db, id);
      await findInstanceState(db, id);
      await changeInstance(db, id, { task_state: 'scheduling' }, { vmState: ['building'], host: null });
      await reserveInstanceHost(db, { id, vcpus: 1 }, waitingForRun, `cloud${id}`, 100);
      await claimFixedIp(db, await getNetwork(db, networkId), id);
      // as the answer of RunInstances shows it
      await viewInstances(db, { projectId: 'acme', ids: [id] }, nothingElse);
    };
    // plans which are made while the tables are empty
    for (let round = 0; round < rounds; round += 1) await work(-1);
    for (const table of ['instances', 'fixed_ips']) {
      await past.query(`ALTER TABLE ${table} SET (autovacuum_enabled = false)`);
    }
    await past.query(
      "INSERT INTO instances (project_id, vm_state, vcpus, created_at, deleted) SELECT 'acme', 'building', 1, now(), false " +
        `FROM generate_series(1, ${rows})`,
    );
    await past.query(
      'INSERT INTO fixed_ips (address, network_id, allocated, leased, reserved, deleted) ' +
        `SELECT '10.0.' || i / 250 || '.' || i % 250, ${networkId}, false, false, false, false FROM generate_series(1, ${rows}) i`,
    );
    for (let round = 1; round <= rounds; round += 1) await work(round);
    await db.close();
    await until('the sessions have ended and reported', async () => (await sessions()) === 0, 30);
    // each round is six operations, which read a few rows each
    expect(await rowsRead('instances'), 'rows of instances which were read').to.be.within(rounds, rounds * 20);
    expect(await rowsRead('fixed_ips'), 'rows of fixed_ips which were read').to.be.within(rounds, rounds * 20);
    expect(await count('SELECT count(DISTINCT host) FROM instances')).to.equal(rounds);
    expect(await count('SELECT count(*) FROM fixed_ips WHERE instance_id IS NOT NULL')).to.equal(rounds);
  });
});
