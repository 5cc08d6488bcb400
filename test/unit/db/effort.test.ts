import { expect } from 'chai';
import { GuestMetadata } from '../../../common/cloud/metadata.js';
import { openDatabase } from '../../../common/db/database.js';
import type { Db } from '../../../common/db/db.js';
import { dhcpHosts } from '../../../common/db/dhcpHosts.js';
import { fixedIpsOfInstances } from '../../../common/db/fixedIps.js';
import { createFloatingIps, deleteFloatingIps } from '../../../common/db/floatingIps.js';
import { instanceIdAtAddress } from '../../../common/db/guests.js';
import { instancesByIds, writePowerState } from '../../../common/db/instanceClaims.js';
import { viewInstances } from '../../../common/db/instanceViews.js';
import { newestMigrations } from '../../../common/db/migrations.js';
import { createNetworks } from '../../../common/db/networks.js';
import { syncDatabase } from '../../../common/db/sync.js';
import { countingDb } from '../../support/countingDb.js';
import { testRuntime } from '../../support/runtime.js';

const addresses = (count: number): string[] =>
  Array.from({ length: count }, (_, index) => `10.1.${Math.floor(index / 250)}.${(index % 250) + 1}`);

describe('statements', () => {
  let db: Db;
  let sqls: string[];
  beforeEach(async () => {
    const plain = openDatabase(testRuntime({ sql_connection: 'sqlite://' }).runtime);
    await syncDatabase(plain);
    ({ db, sqls } = countingDb(plain));
  });
  afterEach(() => db.close());

  /** Instances with a network of their own, an address, a tag, a volume and a floating address each. */
  async function guests(count: number, after = 0): Promise<void> {
    const network = await db.insert('networks', { injected: false, multi_host: false });
    for (const address of addresses(after + count).slice(after)) {
      const instance_id = await db.insert('instances', {
        project_id: 'acme',
        host: 'cloud1',
        vm_state: 'error',
        hostname: address,
        instance_type_id: 2,
      });
      const vif = await db.insert('virtual_interfaces', {
        address: `02:16:3e:${address}`,
        instance_id,
        network_id: network,
      });
      const fixed = { address, instance_id, network_id: network, virtual_interface_id: vif, allocated: true };
      const fixed_ip_id = await db.insert('fixed_ips', fixed);
      await db.insert('floating_ips', { address: `9${address}`, fixed_ip_id, auto_assigned: false });
      await db.insert('instance_metadata', { instance_id, key: 'k', value: 'v' });
      await db.insert('block_device_mapping', { instance_id, device_name: '/dev/vdb', volume_id: 1 });
      await db.insert('security_group_instance_association', { instance_id, security_group_id: 1 });
    }
    sqls.length = 0;
  }

  /** How many statements `work` takes. */
  async function effort(work: () => Promise<unknown>): Promise<number> {
    sqls.length = 0;
    await work();
    return sqls.length;
  }

  it('are as many for a list of two hundred instances as for two', async () => {
    await guests(2);
    const few = await effort(() => viewInstances(db, { projectId: 'acme' }));
    await guests(198, 2);
    expect(
      await effort(async () => expect(await viewInstances(db, { projectId: 'acme' })).to.have.length(200)),
    ).to.equal(few);
    expect(few).to.be.below(12);
  });

  it('are one for the guests of a DHCP server, however many they are', async () => {
    await guests(20);
    expect(await effort(async () => expect(await dhcpHosts(db, 1)).to.have.length(20))).to.equal(1);
  });

  it('are as many for what an instance asks of itself, whoever else is there, and find it by indexes', async () => {
    await guests(1);
    const metadata = new GuestMetadata({ db });
    const alone = await effort(() => metadata.treeAt('10.1.0.1'));
    await guests(50, 1);
    expect(await effort(() => metadata.treeAt('10.1.0.1'))).to.equal(alone);
    expect(alone).to.be.below(12);
    sqls.length = 0;
    await instanceIdAtAddress(db, '10.1.0.1');
    const sql = sqls[0]!.slice('first '.length);
    const params = Array.from({ length: sql.split('?').length - 1 }, () => '10.1.0.1');
    const plan = await db.all<{ detail: string }>(`EXPLAIN QUERY PLAN ${sql}`, params);
    const steps = plan.map(({ detail }) => detail);
    expect(steps.filter((step) => /^SEARCH .*USING (INTEGER PRIMARY KEY|(COVERING )?INDEX)/.test(step))).to.have.length(
      4,
    );
    expect(
      steps.filter((step) => /^SCAN (?!CONSTANT)/.test(step)),
      steps.join('\n'),
    ).to.deep.equal([]);
  });

  it('are not one an address for networks and floating addresses', async () => {
    const many = addresses(2000);
    const rows = many.map((address) => ({ address, reserved: false }));
    expect(await effort(() => createNetworks(db, () => [{ network: {}, addresses: rows }]))).to.be.below(6);
    expect(await effort(() => createFloatingIps(db, many))).to.be.below(6);
    expect(await effort(() => deleteFloatingIps(db, many))).to.be.below(12);
    const left = await db.first<{ count: number }>('SELECT COUNT(*) AS count FROM floating_ips WHERE deleted = ?', [
      false,
    ]);
    expect(left?.count).to.equal(0);
  });

  it('add no floating address twice', async () => {
    expect(await createFloatingIps(db, ['192.0.2.1', '192.0.2.2', '192.0.2.1'])).to.equal(2);
    expect(await createFloatingIps(db, ['192.0.2.2', '192.0.2.3'])).to.equal(1);
    expect(await db.all('SELECT address FROM floating_ips')).to.have.length(3);
  });

  it('delete no floating address where one cannot be', async () => {
    const three = addresses(3);
    await createFloatingIps(db, three);
    await db.update('floating_ips', { fixed_ip_id: 1 }, 'address = ?', [three[1]!]);
    const outcome = (list: string[]): Promise<unknown> =>
      deleteFloatingIps(db, list).catch((error: Error) => error.name);
    expect(await outcome(three)).to.equal('FloatingIpAlreadyInUse');
    expect(await outcome([three[0]!, '192.0.2.1'])).to.equal('FloatingIpNotFoundForAddress');
    expect(await outcome([three[0]!, three[2]!])).to.equal(undefined);
    const left = await db.all<{ address: string }>('SELECT address FROM floating_ips WHERE deleted = ?', [false]);
    expect(left).to.deep.equal([{ address: three[1] }]);
  });

  it('ask nothing about nothing', async () => {
    expect(await instancesByIds(db, [])).to.deep.equal([]);
    expect(await viewInstances(db, { ids: [] })).to.deep.equal([]);
    expect(await newestMigrations(db, [])).to.deep.equal(new Map());
    expect(await fixedIpsOfInstances(db, [])).to.deep.equal([]);
    expect(await writePowerState(db, 'cloud1', [], 1)).to.equal(0);
    expect(sqls).to.deep.equal([]);
  });

  it('show the others whole when one instance goes while they are listed', async () => {
    await guests(3);
    const all = db.all.bind(db);
    let first = true;
    const vanishing = new Proxy(db, {
      get: (target, name) => {
        if (name !== 'all') return Reflect.get(target, name) as unknown;
        return async (sql: string, params: []) => {
          const rows = await all(sql, params);
          if (first) {
            first = false;
            for (const table of ['fixed_ips', 'instance_metadata', 'block_device_mapping']) {
              await target.run(`DELETE FROM ${table} WHERE instance_id = 2`);
            }
            await target.run('DELETE FROM instances WHERE id = 2');
          }
          return rows;
        };
      },
    });
    const views = await viewInstances(vanishing, { projectId: 'acme' });
    expect(views.map(({ row, fixedIps }) => [row.id, fixedIps.length])).to.deep.equal([
      [3, 1],
      [2, 0],
      [1, 1],
    ]);
  });

  it('do not hold the process up while the database works', async () => {
    const slow =
      'WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 200000) SELECT COUNT(*) AS n FROM n';
    let turns = 0;
    let working = true;
    const query = db.first(slow).finally(() => (working = false));
    while (working) {
      turns += 1;
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
    await query;
    expect(turns).to.be.greaterThan(5);
  });
});
