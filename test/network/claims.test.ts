import { expect } from 'chai';
import { makeNetworks, plainNetwork } from '../../common/cloud/networks.js';
import { openDatabase } from '../../common/db/database.js';
import { dhcpHosts } from '../../common/db/dhcpHosts.js';
import type { Db } from '../../common/db/db.js';
import {
  allocateFixedIp,
  claimFixedIp,
  claimHostFixedIp,
  claimWishedFixedIp,
  deallocateFixedIp,
  disassociateFixedIp,
  freeTimedOutFixedIps,
  instancesToReclaim,
  leaseFixedIp,
  releaseFixedIp,
} from '../../common/db/fixedIps.js';
import {
  associateFloatingIp,
  claimAutoAssignedFloatingIp,
  claimFloatingIp,
  createFloatingIps,
  deleteFloatingIps,
  disassociateFloatingIp,
  floatingIpByAddress,
  floatingIpsOfFixedIps,
  floatingIpsOfProject,
  releaseFloatingIp,
  releaseStrandedFloatingIps,
} from '../../common/db/floatingIps.js';
import {
  associateNetwork,
  createNetworks,
  deleteNetwork,
  disassociateNetworks,
  fillVpnPublicAddress,
  getNetwork,
  networksOfProject,
  networksOfHost,
  setNetworkHost,
} from '../../common/db/networks.js';
import {
  addRules,
  createGroup,
  deleteGroup,
  ensureDefaultGroup,
  hostsOfGroup,
  hostsToRefresh,
  removeRules,
  rulesOfGroups,
} from '../../common/db/securityGroups.js';
import { syncDatabase } from '../../common/db/sync.js';
import { deleteVirtualInterfaces, ensureVirtualInterface } from '../../common/db/virtualInterfaces.js';
import type { RealRuntime } from '../../common/runtime/real.js';
import { forEachDialect } from '../support/dialects.js';
import { testRuntime } from '../support/runtime.js';

const writers = 10;

/** What the promises were fulfilled and rejected with. */
async function outcomes<T>(work: readonly Promise<T>[]): Promise<{ done: T[]; failed: Error[] }> {
  const results = await Promise.allSettled(work);
  return {
    done: results.flatMap((result) => (result.status === 'fulfilled' ? [result.value] : [])),
    failed: results.flatMap((result) => (result.status === 'rejected' ? [result.reason as Error] : [])),
  };
}

forEachDialect((_dialect, freshUrl) => {
  describe('addresses and groups', () => {
    /** As many daemons as there are writers, each with its own connections. */
    let dbs: Db[];
    let db: Db;
    let runtime: RealRuntime;

    before(async () => {
      const url = await freshUrl();
      const runtimes = Array.from(
        { length: writers },
        () => testRuntime({ sql_connection: url, sql_max_pool_size: 3, quota_floating_ips: 3 }).runtime,
      );
      runtime = runtimes[0]!;
      dbs = runtimes.map((one) => openDatabase(one));
      db = dbs[0]!;
      await db.connect();
      await syncDatabase(db);
    });
    after(async () => {
      for (const one of dbs ?? []) await one.close();
    });

    /** Runs one work a writer, all at once. */
    const race = <T>(work: (db: Db, index: number) => Promise<T>): Promise<{ done: T[]; failed: Error[] }> =>
      outcomes(dbs.map((one, index) => work(one, index)));
    const instance = (values: { host?: string; deleted?: boolean } = {}): Promise<number> =>
      db.insert('instances', {
        project_id: 'demo',
        user_id: 'demo',
        uuid: runtime.random.uuid(),
        host: 'h1',
        ...values,
      });
    const instances = async (count: number): Promise<number[]> => {
      const ids: number[] = [];
      for (let i = 0; i < count; i++) ids.push(await instance());
      return ids;
    };
    const network = async (cidr: string, vlan?: { start: number; vpnStart: number }): Promise<number> => {
      const request = { ...plainNetwork('net', cidr), bridgeInterface: 'eth0', vlan };
      return (await makeNetworks({ db, random: runtime.random }, request))[0]!;
    };

    it('gives racing instances different addresses, and none to one too many', async () => {
      // 13 addresses for guests, of which three are taken
      const row = await getNetwork(db, await network('10.0.0.0/28'));
      await db.update('fixed_ips', { reserved: true }, 'network_id = ? AND address IN (?, ?, ?)', [
        row.id,
        '10.0.0.2',
        '10.0.0.7',
        '10.0.0.14',
      ]);
      const ids = await instances(writers + 1);
      const { done, failed } = await race((one, index) => claimFixedIp(one, row, ids[index]!));
      expect(failed).to.deep.equal([]);
      expect(new Set(done.map((ip) => ip!.address)).size).to.equal(writers);
      expect(await claimFixedIp(db, row, ids[writers]!)).to.equal(null);
      const held = await db.all<{ instance_id: number }>(
        'SELECT instance_id FROM fixed_ips WHERE instance_id IS NOT NULL',
      );
      expect(new Set(held.map((ip) => ip.instance_id)).size).to.equal(writers);
    });

    it('gives the lowest address first, and the same one to an instance which asks often', async () => {
      const row = await getNetwork(db, await network('10.1.0.0/28'));
      const [first, second] = await instances(2);
      expect((await claimFixedIp(db, row, first!))!.address).to.equal('10.1.0.2');
      const { done } = await race((one) => claimFixedIp(one, row, second!));
      expect(new Set(done.map((ip) => ip!.address))).to.deep.equal(new Set(['10.1.0.3']));
      const hosts = await race((one) => claimHostFixedIp(one, row, 'h1'));
      expect(new Set(hosts.done.map((ip) => ip!.address))).to.deep.equal(new Set(['10.1.0.4']));
      expect((await networksOfHost(db, 'h1')).map(({ id }) => id)).to.deep.equal([row.id]);
    });

    it('gives a wished address to one', async () => {
      const row = await getNetwork(db, await network('10.2.0.0/28'));
      const ids = await instances(writers);
      const { done, failed } = await race((one, index) => claimWishedFixedIp(one, row, '10.2.0.9', ids[index]!));
      expect(done).to.have.length(1);
      expect(new Set(failed.map((error) => error.name))).to.deep.equal(new Set(['FixedIpAlreadyInUse']));
      for (const address of ['10.2.0.0', '10.2.0.1', '10.2.0.15', '10.9.9.9']) {
        const missing = await outcomes([claimWishedFixedIp(db, row, address, ids[0]!)]);
        expect(missing.failed[0]?.name, address).to.equal('FixedIpNotFoundForNetwork');
      }
    });

    it('makes one interface an instance and network, and tries another MAC when one is taken', async () => {
      const networkId = await network('10.3.0.0/28');
      const [id, next] = await instances(2);
      const { done } = await race((one) => ensureVirtualInterface(one, runtime.random, id!, networkId, 5));
      expect(new Set(done.map((vif) => vif.id)).size).to.equal(1);
      const taken = done[0]!
        .address!.split(':')
        .slice(3)
        .map((part) => parseInt(part, 16));
      const numbers = [...taken, ...taken, 1, 2, 3];
      const random = { ...runtime.random, uuid: () => runtime.random.uuid(), below: () => numbers.shift()! };
      expect((await ensureVirtualInterface(db, random, next!, networkId, 5)).address).to.equal('02:16:3e:01:02:03');
      numbers.push(...taken, ...taken);
      const [third] = await instances(1);
      const failed = await outcomes([ensureVirtualInterface(db, random, third!, networkId, 2)]);
      expect(failed.failed[0]?.name).to.equal('VirtualInterfaceMacAddressException');
    });

    it('takes an address through its states', async () => {
      const row = await getNetwork(db, await network('10.4.0.0/28'));
      const [id] = await instances(1);
      const vif = await ensureVirtualInterface(db, runtime.random, id!, row.id, 5);
      const ip = (await claimFixedIp(db, row, id!))!;
      const state = (): Promise<unknown> =>
        db.first('SELECT instance_id, virtual_interface_id, allocated, leased FROM fixed_ips WHERE id = ?', [ip.id]);
      expect(await allocateFixedIp(db, ip, id!, vif.id)).to.equal(true);
      expect(await leaseFixedIp(db, ip.address!)).to.equal(true);
      expect(await state()).to.deep.equal({
        instance_id: id,
        virtual_interface_id: vif.id,
        allocated: true,
        leased: true,
      });
      expect(await releaseFixedIp(db, ip.address!)).to.deep.equal({ freed: false });
      expect(await disassociateFixedIp(db, ip.id, id!)).to.equal(false);
      expect(await instancesToReclaim(db, true)).to.not.include(id);
      await db.update('instances', { deleted: true }, 'id = ?', [id!]);
      expect(await instancesToReclaim(db, false)).to.include(id);
      expect(await deallocateFixedIp(db, ip.id, id!)).to.equal(true);
      expect(await deallocateFixedIp(db, ip.id, id!)).to.equal(false);
      await db.transaction((tx) => deleteVirtualInterfaces(tx, id!));
      expect(await instancesToReclaim(db, false)).to.not.include(id);
      expect(await instancesToReclaim(db, true)).to.include(id);
      await setNetworkHost(db, row.id, 'h1');
      await db.update('fixed_ips', { instance_id: null }, 'network_id <> ?', [row.id]);
      expect(await freeTimedOutFixedIps(db, 'h1', '2001-01-01 00:00:00.000000')).to.equal(0);
      expect(await freeTimedOutFixedIps(db, 'h1', '2999-01-01 00:00:00.000000')).to.equal(1);
      expect(await state()).to.deep.equal({
        instance_id: null,
        virtual_interface_id: null,
        allocated: false,
        leased: false,
      });
      expect(await leaseFixedIp(db, ip.address!)).to.equal(false);
      expect(await releaseFixedIp(db, ip.address!)).to.equal(null);
    });

    it('frees what was deallocated long ago, on networks of a host and on those of none', async () => {
      const [id] = await instances(1);
      const elsewhere = await instance({ host: 'h2' });
      const freed = async (values: object, holder: number, host: string): Promise<number> => {
        const cidr = `10.20.${addressed++}.0/28`;
        const row = await getNetwork(db, await network(cidr));
        await db.update('networks', values, 'id = ?', [row.id]);
        const ip = (await claimFixedIp(db, row, holder))!;
        const count = await freeTimedOutFixedIps(db, host, '2999-01-01 00:00:00.000000');
        await db.update('fixed_ips', { instance_id: null }, 'id = ?', [ip.id]);
        return count;
      };
      let addressed = 0;
      await db.update('fixed_ips', { instance_id: null }, 'instance_id IS NOT NULL');
      expect(await freed({ host: 'h1' }, id!, 'h1')).to.equal(1);
      expect(await freed({ host: 'h2' }, id!, 'h1')).to.equal(0);
      expect(await freed({ host: null }, id!, 'h1')).to.equal(1);
      expect(await freed({ multi_host: true }, id!, 'h1')).to.equal(1);
      expect(await freed({ multi_host: true }, elsewhere, 'h1')).to.equal(0);
      const nowhere = await instance();
      await db.update('instances', { host: null }, 'id = ?', [nowhere]);
      expect(await freed({ multi_host: true }, nowhere, 'h1')).to.equal(1);
    });

    it('gives one cloudpipe the address which is kept for it, and one public address to a network', async () => {
      const row = await getNetwork(db, await network('10.8.0.0/28', { start: 300, vpnStart: 3000 }));
      const ids = await instances(writers);
      const { done, failed } = await race((one, index) =>
        claimWishedFixedIp(one, row, row.vpn_private_address!, ids[index]!, { reserved: true }),
      );
      expect(done).to.have.length(1);
      expect(new Set(failed.map((error) => error.name))).to.deep.equal(new Set(['FixedIpAlreadyInUse']));
      const filled = await race((one, index) => fillVpnPublicAddress(one, row.id, `4.4.4.${index}`));
      expect(filled.done.filter(Boolean)).to.have.length(1);
      await db.update('networks', { project_id: 'pipe' }, 'id = ?', [row.id]);
    });

    it('knows the guests of a network for its DHCP server: one address an interface', async () => {
      const row = await getNetwork(db, await network('10.10.0.0/28'));
      const [id] = await instances(1);
      const other = await instance({ host: 'h2' });
      for (const [holder, times] of [
        [id!, 2],
        [other, 1],
      ] as const) {
        const vif = await ensureVirtualInterface(db, runtime.random, holder, row.id, 5);
        for (let count = 0; count < times; count++) {
          const ip = (await claimFixedIp(db, row, holder, { another: true }))!;
          await allocateFixedIp(db, ip, holder, vif.id);
        }
      }
      const guests = await dhcpHosts(db, row.id);
      expect(guests.map((guest) => [guest.instance_id, guest.address, guest.is_first, guest.leased])).to.deep.equal([
        [id, '10.10.0.2', true, false],
        [other, '10.10.0.4', true, false],
      ]);
      expect(await dhcpHosts(db, row.id, 'h2')).to.have.length(1);
    });

    it('gives racing projects different floating addresses, and no project more than its quota', async () => {
      await createFloatingIps(
        db,
        Array.from({ length: writers }, (_, index) => `1.2.3.${index}`),
      );
      const different = await race((one, index) => claimFloatingIp(one, runtime.flags, `project${index % 4}`));
      const projects = new Map<string, number>();
      for (const ip of different.done) projects.set(ip!.project_id!, (projects.get(ip!.project_id!) ?? 0) + 1);
      expect(different.failed).to.deep.equal([]);
      expect(new Set(different.done.map((ip) => ip!.address)).size).to.equal(writers);
      expect(await claimFloatingIp(db, runtime.flags, 'project3')).to.equal(null);

      for (const ip of different.done) await releaseFloatingIp(db, ip!.address!, ip!.project_id);
      const greedy = await race((one) => claimFloatingIp(one, runtime.flags, 'greedy'));
      expect(new Set(greedy.done.map((ip) => ip!.address)).size).to.equal(3);
      expect(new Set(greedy.failed.map((error) => error.name))).to.deep.equal(new Set(['QuotaError']));
      for (const ip of await floatingIpsOfProject(db, 'greedy')) await releaseFloatingIp(db, ip.address!, 'greedy');
    });

    it('associates a floating address once, and never with a fixed one which is given up', async () => {
      const row = await getNetwork(db, await network('10.5.0.0/26'));
      const ids = await instances(writers);
      const fixed = await Promise.all(ids.map((id) => claimFixedIp(db, row, id).then((ip) => ip!)));
      for (const [index, ip] of fixed.entries()) {
        const vif = await ensureVirtualInterface(db, runtime.random, ids[index]!, row.id, 5);
        await allocateFixedIp(db, ip, ids[index]!, vif.id);
      }
      const { address } = (await claimFloatingIp(db, runtime.flags, 'demo'))!;
      const won = await race((one, index) => associateFloatingIp(one, address!, fixed[index]!, `h${index}`));
      expect(won.done).to.have.length(1);
      expect(new Set(won.failed.map((error) => error.name))).to.deep.equal(new Set(['FloatingIpAlreadyInUse']));
      expect(await releaseFloatingIp(db, address!, 'demo')).to.equal(false);
      const seen = (await floatingIpByAddress(db, address!))!;
      expect(seen).to.include({ network_id: row.id, instance_host: 'h1', multi_host: false });
      const deleted = await outcomes([deleteFloatingIps(db, [address!])]);
      expect(deleted.failed[0]?.name).to.equal('FloatingIpAlreadyInUse');
      const off = await race((one) => disassociateFloatingIp(one, address!));
      expect(off.done.filter((one) => one !== null)).to.deep.equal([seen.fixed_address]);

      for (const [index, ip] of fixed.entries()) {
        const [, freed] = await Promise.all([
          associateFloatingIp(dbs[1]!, address!, ip, 'h1').catch(() => undefined),
          (async () => {
            await deallocateFixedIp(db, ip.id, ids[index]!);
            for (const one of await floatingIpsOfFixedIps(db, [ip.id]))
              await disassociateFloatingIp(db, one.address!, { fixedIpId: ip.id });
            return disassociateFixedIp(db, ip.id, ids[index]!);
          })(),
        ]);
        expect(freed).to.equal(true);
        expect((await floatingIpByAddress(db, address!))!.fixed_ip_id).to.equal(null);
      }
    });

    it('gives one floating address to an instance which gets it by itself, outside of the quota', async () => {
      const row = await getNetwork(db, await network('10.9.0.0/29'));
      const [id] = await instances(1);
      const vif = await ensureVirtualInterface(db, runtime.random, id!, row.id, 5);
      const ip = (await claimFixedIp(db, row, id!))!;
      const early = await outcomes([claimAutoAssignedFloatingIp(db, 'auto', ip, 'h1')]);
      expect(early.failed[0]?.name).to.equal('FixedIpNotFoundForAddress');
      await allocateFixedIp(db, ip, id!, vif.id);
      const { done, failed } = await race((one) => claimAutoAssignedFloatingIp(one, 'auto', ip, 'h1'));
      expect(failed).to.deep.equal([]);
      expect(new Set(done.map((one) => one!.address)).size).to.equal(1);
      expect(await floatingIpsOfProject(db, 'auto')).to.deep.equal([]);
      const { address } = done[0]!;
      await disassociateFloatingIp(db, address!);
      expect(await releaseStrandedFloatingIps(db, '2001-01-01 00:00:00.000000')).to.equal(0);
      expect(await releaseStrandedFloatingIps(db, '2999-01-01 00:00:00.000000')).to.equal(1);
      expect(await floatingIpByAddress(db, address!)).to.include({ project_id: null, auto_assigned: false });
    });

    it('gives networks to hosts and projects one by one', async () => {
      const id = await network('10.6.0.0/28', { start: 100, vpnStart: 1000 });
      const hosts = await race((one, index) => setNetworkHost(one, id, `h${index}`));
      expect(new Set(hosts.done).size).to.equal(1);
      await network('10.6.0.16/28', { start: 101, vpnStart: 1001 });
      const same = await race((one) => associateNetwork(one, 'p1'));
      expect(new Set(same.done.map((rows) => rows.map((row) => row.id).join())).size).to.equal(1);
      const others = await race((one, index) => associateNetwork(one, `q${index}`));
      expect(others.done).to.have.length(1);
      expect(new Set(others.failed.map((error) => error.name))).to.deep.equal(new Set(['NoMoreNetworks']));
      for (let index = 2; index < 6; index++) {
        await network(`10.6.0.${index * 16}/28`, { start: 100 + index, vpnStart: 1000 });
      }
      const more = await race((one) => associateNetwork(one, 'p1', true));
      expect(more.done).to.have.length(4);
      expect(await networksOfProject(db, 'p1')).to.have.length(5);
      expect(await disassociateNetworks(db, 'p1')).to.equal(5);
      await associateNetwork(db, 'p1');
      expect(await deleteNetwork(db, same.done[0]![0]!.id)).to.equal('has a project');
    });

    it('deletes a network with its addresses, unless one is claimed at the same moment', async () => {
      for (let round = 0; round < 3; round++) {
        const row = await getNetwork(db, await network(`10.7.${round}.0/29`));
        const [id] = await instances(1);
        const [deletion, claim] = await Promise.all([
          deleteNetwork(db, row.id),
          claimFixedIp(dbs[1]!, row, id!).catch(() => null),
        ]);
        expect(deletion).to.equal(claim === null ? 'deleted' : 'in use');
        const left = await db.all('SELECT id FROM fixed_ips WHERE network_id = ?', [row.id]);
        expect(left).to.have.length(claim === null ? 0 : 8);
      }
      expect(await deleteNetwork(db, 9999)).to.equal('not found');
    });

    it('never makes two networks which overlap', async () => {
      const { done } = await race((one) =>
        createNetworks(one, (existing) => {
          if (existing.some((row) => row.cidr === '10.8.0.0/30')) return [];
          return [{ network: { cidr: '10.8.0.0/30' }, addresses: [{ address: '10.8.0.2', reserved: false }] }];
        }),
      );
      expect(done.flat()).to.have.length(1);
    });

    it('makes one group of a name, and one rule of a kind', async () => {
      const ids = await race((one) => ensureDefaultGroup(one, 'demo', 'demo'));
      expect(new Set(ids.done).size).to.equal(1);
      const values = { name: 'web', description: '', user_id: 'demo', project_id: 'demo' };
      const created = await race((one) => createGroup(one, values));
      const web = created.done.find((one) => one !== null)!;
      expect(created.done.filter((one) => one !== null)).to.have.length(1);
      const base = ids.done[0]!;
      const rule = { protocol: 'tcp', from_port: 80, to_port: 80, cidr: '0.0.0.0/0', group_id: null };
      const added = await race((one) => addRules(one, base, [rule]));
      expect(added.done.filter(({ result }) => result === 'done')).to.have.length(1);
      await addRules(db, base, [{ protocol: null, from_port: null, to_port: null, cidr: null, group_id: web }]);

      const [member, own] = [await instance({ host: 'h7' }), await instance({ host: 'h8' })];
      await db.insert('security_group_instance_association', { security_group_id: base, instance_id: member });
      await db.insert('security_group_instance_association', { security_group_id: web, instance_id: own });
      expect(await hostsOfGroup(db, base)).to.deep.equal(['h7']);
      expect(await hostsToRefresh(db, own)).to.deep.equal([{ security_group_id: web, host: 'h7' }]);
      // two groups let it in, both with members on h7: which hears of it once, and h9 too
      const third = (await createGroup(db, { ...values, name: 'third' }))!;
      await addRules(db, third, [{ protocol: null, from_port: null, to_port: null, cidr: null, group_id: web }]);
      for (const host of ['h9', 'h7']) {
        const instance_id = await instance({ host });
        await db.insert('security_group_instance_association', { security_group_id: third, instance_id });
      }
      expect(await hostsToRefresh(db, own)).to.deep.equal([
        { security_group_id: web, host: 'h7' },
        { security_group_id: web, host: 'h9' },
      ]);
      expect(await hostsToRefresh(db, member)).to.deep.equal([]);
      const removed = await race((one) => removeRules(one, base, [rule]));
      expect(removed.done.filter(({ result }) => result === 'done')).to.have.length(1);
      const deleted = await race((one) => deleteGroup(one, web));
      expect(deleted.done.filter((one) => one !== null)).to.deep.equal([[base, third]]);
      expect(await rulesOfGroups(db, [base, web])).to.deep.equal([]);
    });
  });
});
