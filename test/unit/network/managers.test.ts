import { readFileSync } from 'node:fs';
import { expect } from 'chai';
import { makeNetworks, plainNetwork } from '../../../common/cloud/networks.js';
import { createFloatingIps } from '../../../common/db/floatingIps.js';
import { disassociateNetworks, getNetwork } from '../../../common/db/networks.js';
import { softDeleteInstances } from '../../../common/db/instances.js';
import { recordings } from '../../support/recordings.js';
import { caller, failure, NetworkFixture, type Write } from './fixture.js';

const context = caller({ isAdmin: true });
const vlanFlags = { network_manager: 'nova.network.manager.VlanManager', vpn_ip: '127.0.0.1' };
const dhcpFlags = { network_manager: 'nova.network.manager.FlatDHCPManager' };

interface RecordedMessage {
  routing_key: string;
  body: { method?: string; args?: Record<string, unknown>; result?: unknown };
}
const recorded = <T>(path: string): T => JSON.parse(readFileSync(new URL(`${path}.json`, recordings), 'utf8')) as T;
const flow = (name: string): RecordedMessage[] => recorded<RecordedMessage[]>(`amqp/flows/${name}`);

/** The columns of nova-network's tables which a recorded flow wrote, in order: `op table column,column`. */
function recordedWrites(name: string): string[] {
  const tables = ['fixed_ips', 'virtual_interfaces', 'networks'];
  const writes = recorded<Write[]>(`db/writes/${name}`).flatMap((write) =>
    tables.includes(write.table) ? [shape(write)] : [],
  );
  // 2011.3 takes an address and marks it as in use in two steps, of which ours makes one
  const steps = 'update fixed_ips instance_id;update fixed_ips allocated,virtual_interface_id';
  return writes.join(';').replaceAll(steps, 'update fixed_ips allocated,instance_id,virtual_interface_id').split(';');
}
const shape = ({ op, table, set }: Write): string => {
  const columns = Object.keys(set).filter((key) => !key.endsWith('_at') && !(op === 'insert' && set[key] === false));
  return `${op} ${table} ${
    op === 'insert'
      ? columns
          .filter((key) => key !== 'deleted')
          .sort()
          .join()
      : columns.sort().join()
  }`;
};

describe('nova-network with DHCP', () => {
  let cloud: NetworkFixture;
  afterEach(() => cloud.stop());
  type Calls = NetworkFixture['parts']['rpc']['network']['call'];
  const call = (): Calls => cloud.parts.rpc.network.call;
  const allocation = (id: number, more: object = {}): Parameters<Calls['allocate_for_instance']>[1] => ({
    instance_id: id,
    project_id: 'proj',
    host: 'cloud1',
    instance_type_id: 2,
    vpn: false,
    requested_networks: null,
    ...more,
  });
  const rows = (sql: string, params: (string | number | boolean)[] = []): Promise<Record<string, unknown>[]> =>
    cloud.db.all(sql, params);
  const addressesOf = async (id: number): Promise<unknown[]> =>
    (await rows('SELECT address FROM fixed_ips WHERE instance_id = ? AND allocated = ? ORDER BY id', [id, true])).map(
      (row) => row['address'],
    );
  const deallocate = async (id: number): Promise<void> => {
    await cloud.parts.rpc.network.cast.deallocate_for_instance(context, { instance_id: id, project_id: 'proj' });
    await cloud.settled();
  };

  describe('FlatDHCPManager', () => {
    beforeEach(async () => {
      cloud = await NetworkFixture.start(dhcpFlags);
    });

    it('gives addresses of all networks as recorded', async () => {
      await cloud.network('10.0.0.0/20', { host: 'cloud1' });
      await cloud.network('10.9.0.0/28', { host: 'cloud1', label: 'second', bridge: 'br200' });
      await cloud.serve();
      const id = await cloud.instance();
      await cloud.takeWrites();
      const info = await call().allocate_for_instance(context, allocation(id));
      expect((await cloud.takeWrites()).map(shape)).to.deep.equal(recordedWrites('flatdhcp_run_instance'));
      const [reply] = flow('flatdhcp_run_instance').filter(({ body }) => body.result);
      const expected = reply!.body.result as typeof info;
      const fixed = (given: typeof info): unknown =>
        given.map(([network, { mac: _mac, vif_uuid: _uuid, ips, ...rest }]) => [
          network,
          { ...rest, ips: ips.map(({ ip: _ip, ...others }) => others) },
        ]);
      expect(fixed(info)).to.deep.equal(fixed(expected));
    });

    it('answers calls as recorded, and writes leases as recorded', async () => {
      await cloud.network('10.9.0.0/28');
      await cloud.serve();
      for (const name of ['call_set_network_host', 'call_validate_networks_null', 'call_validate_networks_bad_admin']) {
        const [asked, answered] = flow(name);
        const { method, args } = asked!.body as { method: 'validate_networks'; args: { networks: null } };
        const ask = call()[method];
        const end = await ask(context, args).catch((error: Error & { excType?: string; value?: string }) => [
          error.excType,
          error.value,
        ]);
        const { result, failure: failed } = answered!.body as { result: unknown; failure: unknown[] | null };
        expect(end, name).to.deep.equal(failed === null ? result : failed.slice(0, 2));
      }
      const id = await cloud.instance();
      await call().allocate_for_instance(context, allocation(id));
      await cloud.takeWrites();
      for (const { body } of flow('dhcp_lease')) {
        const method = body.method as 'lease_fixed_ip';
        await call()[method](context, body.args as { address: string });
      }
      expect((await cloud.takeWrites()).map(({ set }) => set['leased'])).to.deep.equal(
        recorded<Write[]>('db/writes/dhcp_lease').map(({ set }) =>
          set['leased'] === undefined ? undefined : Number(set['leased']),
        ),
      );
    });

    it('keeps a deallocated address until its lease ends, or for fixed_ip_disassociate_timeout', async () => {
      await cloud.network('10.0.0.0/29', { host: 'cloud1' });
      await cloud.serve();
      const id = await cloud.instance();
      await call().allocate_for_instance(context, allocation(id));
      await call().lease_fixed_ip(context, { address: '10.0.0.2' });
      await cloud.db.transaction((tx) => softDeleteInstances(tx, [id]));
      await cloud.takeWrites();
      await deallocate(id);
      expect((await cloud.takeWrites()).map(shape)).to.deep.equal([
        ...recordedWrites('vlan_terminate'),
        'delete virtual_interfaces ',
      ]);
      const state = (): Promise<unknown> =>
        cloud.db.first('SELECT instance_id, allocated, leased FROM fixed_ips WHERE address = ?', ['10.0.0.2']);
      expect(await state()).to.deep.equal({ instance_id: id, allocated: false, leased: true });
      await call().release_fixed_ip(context, { address: '10.0.0.2' });
      expect(await state()).to.deep.equal({ instance_id: null, allocated: false, leased: false });
    });

    it('lets the host of each network give its addresses, and the others when one fails', async () => {
      await cloud.network('10.0.0.0/29', { host: 'cloud1' });
      await cloud.network('10.1.0.0/29', { host: 'cloud2' });
      await cloud.serve();
      await cloud.serve('cloud2');
      const id = await cloud.instance();
      cloud.takeSent();
      await call().allocate_for_instance(context, allocation(id));
      const asked = cloud.takeSent().filter(({ method }) => method === '_rpc_allocate_fixed_ip');
      const [{ to, args }] = asked as [(typeof asked)[0]];
      expect([to, args['network_id'], args['instance_id']]).to.deep.equal(['network.cloud2', 2, id]);
      expect(await addressesOf(id)).to.deep.equal(['10.0.0.2', '10.1.0.2']);
      await call().allocate_for_instance(context, allocation(id));
      expect(await addressesOf(id)).to.deep.equal(['10.0.0.2', '10.1.0.2']);
      await call().add_fixed_ip_to_instance(context, { instance_id: id, host: 'cloud1', network_id: 2 });
      expect(await addressesOf(id)).to.deep.equal(['10.0.0.2', '10.1.0.2', '10.1.0.3']);

      await cloud.db.update('networks', { host: 'gone' }, 'id = 2');
      const other = await cloud.instance();
      const error = await failure(call().allocate_for_instance(context, allocation(other)));
      expect(error['excType']).to.equal('MessageNotDelivered');
      expect(await addressesOf(other)).to.deep.equal([]);
      expect(await rows('SELECT id FROM virtual_interfaces WHERE instance_id = ?', [other])).to.deep.equal([]);
    });

    it('gives addresses of multi_host networks on the host of the instance, which takes one for itself', async () => {
      await cloud.network('10.0.0.0/28', { host: 'cloud1' });
      await cloud.network('10.1.0.0/28', { multi_host: true });
      await cloud.serve();
      await cloud.serve('cloud2');
      const [first, second] = [await cloud.instance(), await cloud.instance([], { host: 'cloud2' })];
      const info = await call().allocate_for_instance(context, allocation(first));
      const other = await call().allocate_for_instance(context, allocation(second, { host: 'cloud2' }));
      expect(info[1]![1]).to.include({ dhcp_server: '10.1.0.3', gateway: '10.1.0.1' });
      expect(other[1]![1]).to.include({ dhcp_server: '10.1.0.5', gateway: '10.1.0.1' });
      expect(await rows('SELECT address, host FROM fixed_ips WHERE host IS NOT NULL')).to.deep.equal([
        { address: '10.1.0.3', host: 'cloud1' },
        { address: '10.1.0.5', host: 'cloud2' },
      ]);
      // wished for by uuid, which 2011.3 refused
      const { uuid } = await getNetwork(cloud.db, 2);
      expect(await call().validate_networks(caller(), { networks: [[uuid!, null]] })).to.equal(null);
    });

    it('releases leases on the hosts which serve them, and frees the address when one does not answer', async () => {
      await cloud.stop();
      cloud = await NetworkFixture.start({ ...dhcpFlags, force_dhcp_release: true });
      await cloud.network('10.0.0.0/29', { host: 'cloud1' });
      await cloud.network('10.1.0.0/29', { host: 'cloud2' });
      await cloud.serve();
      await cloud.serve('cloud2');
      const id = await cloud.instance();
      await call().allocate_for_instance(context, allocation(id));
      await cloud.db.update('networks', { host: 'gone' }, 'id = 1');
      cloud.takeSent();
      await deallocate(id);
      const forwarded = cloud.takeSent().filter(({ method }) => method === 'remove_fixed_ip_from_instance');
      const asked = forwarded.map(({ to, args }) => [to, args['address']]);
      expect(asked).to.deep.include(['network.gone', '10.0.0.2']);
      expect(await rows('SELECT id FROM fixed_ips WHERE allocated = ?', [true])).to.deep.equal([]);
      expect(await rows('SELECT id FROM virtual_interfaces')).to.deep.equal([]);
    });

    it('refuses to give projects networks, and answers those who ask for it', async () => {
      await cloud.serve();
      const error = await failure(call().add_network_to_project(context, { project_id: 'proj' }));
      expect(error['value']).to.equal('The networks of FlatDHCPManager belong to no project');
    });
  });

  describe('VlanManager', () => {
    const vlan = (cidr: string, index: number, values = {}): Promise<number> =>
      cloud.network(cidr, values, { start: 100 + index, vpnStart: 1000 + index });
    beforeEach(async () => {
      cloud = await NetworkFixture.start(vlanFlags);
    });

    it('gives a project its network, and the network its host, with the recorded messages and writes', async () => {
      await vlan('10.2.0.0/27', 0, { label: 'vlan_0' });
      await vlan('10.2.0.32/27', 1);
      await cloud.serve();
      const id = await cloud.instance();
      await cloud.takeWrites();
      cloud.takeSent();
      const info = await call().allocate_for_instance(context, allocation(id));
      const sent = cloud.takeSent();
      const messages = flow('vlan_run_instance').filter(({ routing_key: key }) => key === 'network');
      expect(sent.map(({ to, method }) => [to, method])).to.deep.equal(
        messages.map(({ routing_key: key, body }) => [key, body.method]),
      );
      expect(Object.keys(sent[1]!.args['network_ref'] as object)).to.have.members(
        Object.keys(messages[1]!.body.args!['network_ref'] as object),
      );
      expect((await cloud.takeWrites()).map(shape)).to.deep.equal(recordedWrites('vlan_run_instance'));
      const reply = flow('vlan_run_instance').find(({ body }) => Array.isArray(body.result))!;
      const [[network, given]] = reply.body.result as typeof info as [(typeof info)[0]];
      const own = { mac: info[0]![1].mac, vif_uuid: info[0]![1].vif_uuid };
      expect(info).to.deep.equal([
        [
          { ...network, id: 1 },
          { ...given, ...own },
        ],
      ]);

      // the next instance of the project stays there; another project gets the other one, a third one nothing
      const again = await cloud.instance();
      expect((await call().allocate_for_instance(context, allocation(again)))[0]![0].id).to.equal(1);
      const other = await cloud.instance([], { project_id: 'q' });
      expect((await call().allocate_for_instance(context, allocation(other, { project_id: 'q' })))[0]![0].id).to.equal(
        2,
      );
      const third = await failure(call().allocate_for_instance(context, allocation(other, { project_id: 'r' })));
      expect(third).to.include({ excType: 'NoMoreNetworks' });
    });

    it('adds networks to a project, whose instances are then on all of them', async () => {
      await vlan('10.2.0.0/28', 0);
      await vlan('10.2.0.16/28', 1);
      await cloud.serve();
      for (let times = 0; times < 2; times++) await call().add_network_to_project(context, { project_id: 'proj' });
      const id = await cloud.instance();
      const info = await call().allocate_for_instance(context, allocation(id));
      expect(info.map(([{ id: network }]) => network)).to.deep.equal([1, 2]);
      const error = await failure(call().add_network_to_project(context, { project_id: 'proj' }));
      expect(error['excType']).to.equal('NoMoreNetworks');
      expect(await disassociateNetworks(cloud.db, 'proj')).to.equal(2);
      expect(await rows('SELECT project_id, host FROM networks')).to.deep.equal([
        { project_id: null, host: null },
        { project_id: null, host: null },
      ]);
    });

    it('keeps the networks of other projects from those who wish for them', async () => {
      await vlan('10.2.0.0/28', 0, { project_id: 'other', host: 'cloud1' });
      await vlan('10.2.0.16/28', 1, { project_id: 'demo', host: 'cloud1' });
      await vlan('10.2.0.32/28', 2);
      await cloud.serve();
      const uuids = (await rows('SELECT uuid FROM networks ORDER BY id')).map((row) => String(row['uuid']));
      const validate = (...wished: number[]): Promise<null> =>
        call().validate_networks(caller(), { networks: wished.map((index) => [uuids[index]!, null] as const) });
      expect((await failure(validate(0)))['excType']).to.equal('NoNetworksFound');
      expect((await failure(validate(0, 1)))['excType']).to.equal('NetworkNotFoundForProject');
      expect((await failure(validate(2)))['excType']).to.equal('NetworkHostNotSet');
      expect(await validate(1)).to.equal(null);
      const id = await cloud.instance();
      const wish = { project_id: 'demo', requested_networks: [[uuids[1]!, '10.2.0.20']] };
      const info = await call().allocate_for_instance(context, allocation(id, wish));
      expect(info[0]![1].ips[0]!.ip).to.equal('10.2.0.20');
    });

    it('gives the cloudpipe the address which is kept for it, once', async () => {
      await vlan('10.2.0.0/28', 0);
      await cloud.serve();
      const [first, second] = [await cloud.instance(), await cloud.instance()];
      await call().allocate_for_instance(context, allocation(first, { vpn: true }));
      expect(await addressesOf(first)).to.deep.equal(['10.2.0.2']);
      const error = await failure(call().allocate_for_instance(context, allocation(second, { vpn: true })));
      expect(error['excType']).to.equal('FixedIpAlreadyInUse');
    });

    it('gives cloudpipes their public address at its start, unless the operator gave them one', async () => {
      await vlan('10.2.0.0/28', 0, { host: 'cloud1' });
      await vlan('10.2.0.16/28', 1, { host: 'cloud1', vpn_public_address: '4.4.4.4' });
      await cloud.takeWrites();
      await cloud.serve();
      expect((await cloud.takeWrites()).map(shape)).to.deep.equal(recordedWrites('vlan_network_start').slice(0, 1));
      const addresses = await rows('SELECT vpn_public_address FROM networks ORDER BY id');
      expect(addresses).to.deep.equal([{ vpn_public_address: '127.0.0.1' }, { vpn_public_address: '4.4.4.4' }]);
    });

    it('is made with the recorded rows, and a uuid and a reserved broadcast address beside', async () => {
      const { db } = cloud;
      await cloud.takeWrites();
      await makeNetworks(
        { db, random: cloud.parts.runtime.random },
        {
          ...{ ...plainNetwork('vlan', '10.2.0.0/24'), bridge: null, bridgeInterface: 'eth0', dns1: '8.8.4.4' },
          ...{ count: 2, size: 32, vlan: { start: 100, vpnStart: 1000 } },
        },
      );
      /** What was written to a table: nothing, 0 and false are the same, since SQLite knows no booleans. */
      const rowsOf = (writes: readonly Write[], table: string): Record<string, unknown>[] =>
        writes.flatMap(({ table: name, set }) => {
          if (name !== table) return [];
          const columns = Object.entries(set).filter(([key]) => !/_at$|^id$|_id$|uuid/.test(key));
          return [Object.fromEntries(columns.map(([key, value]) => [key, value === true ? 1 : value || 0]))];
        });
      const own = await cloud.takeWrites();
      const theirs = recorded<Write[]>('db/writes/vlan_network_create');
      expect(rowsOf(own, 'networks')).to.deep.equal(rowsOf(theirs, 'networks'));
      const addresses = (writes: readonly Write[]): unknown[] =>
        rowsOf(writes, 'fixed_ips').filter(({ address }) => !['10.2.0.31', '10.2.0.63'].includes(String(address)));
      expect(addresses(own)).to.deep.equal(addresses(theirs));
    });

    it('is not given a VLAN or VPN port twice', async () => {
      await vlan('10.2.0.0/28', 0);
      const error = await failure(vlan('10.2.0.16/28', 0));
      expect(error.message).to.equal('VLAN 100 is in use by network 10.2.0.0/28');
      const id = await cloud.network('10.2.0.16/28', {}, { start: 101, vpnStart: 1000 });
      expect(await getNetwork(cloud.db, id)).to.include({ bridge: 'br101', vpn_public_port: 1001 });
    });

    it('shows IPv6 addresses of guests', async () => {
      const id = await vlan('10.2.0.0/28', 0);
      const six = { cidr_v6: 'fd00:1::/64', netmask_v6: '64', gateway_v6: 'fd00:1::1' };
      await cloud.db.update('networks', six, 'id = ?', [id]);
      await cloud.serve();
      const instance = await cloud.instance();
      const info = await call().allocate_for_instance(context, allocation(instance));
      const asked = { instance_id: instance, instance_type_id: 2, host: 'cloud1' };
      expect(await call().get_instance_nw_info(context, asked)).to.deep.equal(info);
      const mac = info[0]![1].mac.split(':');
      expect(info[0]![1].gateway6).to.equal('fd00:1::1');
      expect(info[0]![1].ip6s).to.have.length(1);
      expect(info[0]![1].ip6s![0]).to.include({ netmask: '64', enabled: '1' });
      expect(info[0]![1].ip6s![0]!.ip).to.match(new RegExp(`^fd00:1::16:3eff:fe${mac[3]}:`.replace('fe0', 'fe0?')));
    });

    it('has floating addresses, which go with the instance', async () => {
      await vlan('10.2.0.0/28', 0);
      await createFloatingIps(cloud.db, ['1.2.3.1']);
      await cloud.serve();
      const id = await cloud.instance([], { project_id: 'demo' });
      await call().allocate_for_instance(context, allocation(id, { project_id: 'demo' }));
      await call().allocate_floating_ip(context, { project_id: 'demo' });
      const addresses = { floating_address: '1.2.3.1', fixed_address: '10.2.0.3' };
      await cloud.parts.rpc.networkOn('cloud1').call.associate_floating_ip(context, addresses);
      await deallocate(id);
      expect(await rows('SELECT fixed_ip_id, project_id, host FROM floating_ips')).to.deep.equal([
        { fixed_ip_id: null, project_id: 'demo', host: null },
      ]);
    });
  });
});
