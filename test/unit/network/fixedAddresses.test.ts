import { expect } from 'chai';
import { ensureDefaultGroup, createGroup, addRules } from '../../../common/db/securityGroups.js';
import { softDeleteInstances } from '../../../common/db/instances.js';
import { caller, failure, NetworkFixture } from './fixture.js';

const context = caller({ isAdmin: true });
const allocation = (
  instanceId: number,
): Parameters<NetworkFixture['parts']['rpc']['network']['call']['allocate_for_instance']>[1] => ({
  instance_id: instanceId,
  project_id: 'demo',
  host: 'cloud1',
  instance_type_id: 2,
  vpn: false,
  requested_networks: null,
});

describe('nova-network: fixed addresses', () => {
  let cloud: NetworkFixture;
  beforeEach(async () => {
    cloud = await NetworkFixture.start();
  });
  afterEach(() => cloud.stop());
  const call = (): NetworkFixture['parts']['rpc']['network']['call'] => cloud.parts.rpc.network.call;
  const deallocate = async (id: number): Promise<void> => {
    await cloud.parts.rpc.network.cast.deallocate_for_instance(context, { instance_id: id, project_id: 'demo' });
    await cloud.settled();
  };

  it('allocates with the recorded writes and answers the recorded shape', async () => {
    const networkId = await cloud.network();
    await cloud.serve();
    const id = await cloud.instance();
    await cloud.takeWrites();
    const info = await call().allocate_for_instance(context, allocation(id));
    const writes = await cloud.takeWrites();
    expect(writes.map(({ op, table }) => `${op} ${table}`)).to.deep.equal([
      'insert virtual_interfaces',
      'update fixed_ips',
    ]);
    expect(writes[0]!.set).to.include({ network_id: networkId, instance_id: id });
    const set = { instance_id: id, allocated: 1, virtual_interface_id: writes[0]!.id };
    expect(writes[1]).to.deep.equal({ op: 'update', table: 'fixed_ips', id: 3, set });

    const [network, one] = info[0]!;
    expect(info).to.have.length(1);
    expect(network).to.deep.equal({
      bridge: 'br100',
      id: networkId,
      cidr: '10.0.0.0/29',
      cidr_v6: null,
      injected: false,
      vlan: null,
      bridge_interface: null,
      multi_host: false,
    });
    expect(one.mac).to.match(/^02:16:3e:[0-7][0-9a-f](:[0-9a-f]{2}){2}$/);
    expect(one.vif_uuid).to.match(/^[0-9a-f]{8}-/);
    expect({ ...one, mac: '', vif_uuid: '' }).to.deep.equal({
      label: 'public',
      gateway: '10.0.0.1',
      dhcp_server: '10.0.0.1',
      broadcast: '10.0.0.7',
      mac: '',
      vif_uuid: '',
      rxtx_cap: 0,
      dns: ['8.8.4.4'],
      ips: [{ ip: '10.0.0.2', netmask: '255.255.255.248', enabled: '1' }],
      should_create_bridge: false,
      should_create_vlan: false,
    });
  });

  it('answers a repeated call with what the instance has', async () => {
    await cloud.network();
    await cloud.serve();
    const id = await cloud.instance();
    const first = await call().allocate_for_instance(context, allocation(id));
    await cloud.takeWrites();
    const [again, atOnce] = await Promise.all([1, 2].map(() => call().allocate_for_instance(context, allocation(id))));
    expect(again).to.deep.equal(first);
    expect(atOnce).to.deep.equal(first);
    expect(await cloud.takeWrites()).to.deep.equal([]);
    expect(
      await call().get_instance_nw_info(context, { instance_id: String(id), instance_type_id: 2, host: null }),
    ).to.deep.equal(first);
  });

  it('completes what a daemon that died left associated', async () => {
    await cloud.network();
    await cloud.serve();
    const id = await cloud.instance();
    await cloud.db.update('fixed_ips', { instance_id: id }, 'id = ?', [5]);
    const info = await call().allocate_for_instance(context, allocation(id));
    expect(info[0]![1].ips.map(({ ip }) => ip)).to.deep.equal(['10.0.0.4']);
    expect(await cloud.db.all('SELECT id FROM fixed_ips WHERE instance_id = ?', [id])).to.have.length(1);
  });

  it('never gives network, gateway and broadcast addresses, and says when none is left', async () => {
    await cloud.network('10.0.0.0/30');
    // as Python's nova-manage left it, and worse
    await cloud.db.update('fixed_ips', { reserved: false }, 'id > 0');
    await cloud.serve();
    const [first, second] = [await cloud.instance(), await cloud.instance()];
    const info = await call().allocate_for_instance(context, allocation(first));
    expect(info[0]![1].ips[0]!.ip).to.equal('10.0.0.2');
    const error = await failure(call().allocate_for_instance(context, allocation(second)));
    expect(error).to.include({ name: 'RemoteError', excType: 'NoMoreFixedIps', value: 'Zero fixed ips available.' });
    expect(await cloud.db.all('SELECT id FROM virtual_interfaces WHERE instance_id = ?', [second])).to.deep.equal([]);
  });

  it('gives nothing to an instance which is gone', async () => {
    await cloud.network();
    await cloud.serve();
    const error = await failure(call().allocate_for_instance(context, allocation(77)));
    expect(error).to.include({ excType: 'InstanceNotFound', value: 'Instance 77 could not be found.' });
  });

  it('deallocates with the recorded writes, though the instance is deleted already; a second time nothing', async () => {
    await cloud.network();
    await cloud.serve();
    const id = await cloud.instance();
    await call().allocate_for_instance(context, allocation(id));
    await cloud.db.transaction((tx) => softDeleteInstances(tx, [id]));
    await cloud.takeWrites();
    await deallocate(id);
    const writes = await cloud.takeWrites();
    expect(writes.map(({ op, table, set }) => [op, table, set])).to.deep.equal([
      ['update', 'fixed_ips', { allocated: 0, virtual_interface_id: null }],
      ['update', 'fixed_ips', { instance_id: null }],
      ['delete', 'virtual_interfaces', {}],
    ]);
    await deallocate(id);
    expect(await cloud.takeWrites()).to.deep.equal([]);
  });

  it('tells the hosts which let in a group of the instance, once a group and host', async () => {
    await cloud.network();
    await cloud.serve();
    const base = await ensureDefaultGroup(cloud.db, 'demo', 'demo');
    const web = (await createGroup(cloud.db, { name: 'web', description: '', user_id: 'demo', project_id: 'demo' }))!;
    await addRules(cloud.db, base, [{ protocol: null, from_port: null, to_port: null, cidr: null, group_id: web }]);
    await cloud.instance([base], { host: 'cloud1' });
    await cloud.instance([base], { host: 'cloud1' });
    await cloud.instance([base], { host: 'cloud2' });
    const id = await cloud.instance([web]);
    cloud.takeSent();
    await call().allocate_for_instance(context, allocation(id));
    const expected = ['compute.cloud1', 'compute.cloud2'].map((to) => ({
      to,
      method: 'refresh_security_group_members',
      args: { security_group_id: web },
    }));
    expect(cloud.takeSent().slice(1)).to.deep.equal(expected);
    await deallocate(id);
    expect(cloud.takeSent().slice(1)).to.deep.equal(expected);
  });

  it('tells those who let an instance in before its address can be given away', async () => {
    await cloud.network();
    await cloud.serve();
    const web = (await createGroup(cloud.db, { name: 'web', description: '', user_id: 'demo', project_id: 'demo' }))!;
    await addRules(cloud.db, web, [{ protocol: null, from_port: null, to_port: null, cidr: null, group_id: web }]);
    const id = await cloud.instance([web]);
    await call().allocate_for_instance(context, allocation(id));
    await cloud.takeWrites();
    const told: Promise<unknown>[] = [];
    cloud.onSent = (method) => {
      if (method !== 'refresh_security_group_members') return;
      told.push(
        cloud.db.run(
          `INSERT INTO test_writes (op, tbl, row_id, old, new) VALUES ('insert', 'message', ${id}, '{}', '{}')`,
        ),
      );
    };
    await deallocate(id);
    await Promise.all(told);
    const steps = (await cloud.takeWrites()).map(({ table, set }) => `${table} ${JSON.stringify(set)}`);
    expect(steps.filter((step) => /^message|"(allocated|instance_id)"/.test(step))).to.deep.equal([
      'fixed_ips {"virtual_interface_id":null,"allocated":0}',
      'message {}',
      'fixed_ips {"instance_id":null}',
    ]);
  });

  it('takes nothing from an instance which is built or runs, however late the message about its stop comes', async () => {
    await cloud.network();
    await cloud.serve();
    for (const states of [
      { vm_state: 'building', task_state: 'networking' },
      { vm_state: 'building', task_state: 'spawning' },
      { vm_state: 'active', task_state: null },
      { vm_state: 'active', task_state: 'rebooting' },
      { vm_state: 'rescued', task_state: null },
    ]) {
      const id = await cloud.instance([], states);
      const [first] = await call().allocate_for_instance(context, allocation(id));
      await deallocate(id);
      const [row] = await cloud.db.all('SELECT allocated FROM fixed_ips WHERE instance_id = ?', [id]);
      expect(row, JSON.stringify(states)).to.deep.equal({ allocated: true });
      expect(await cloud.db.all('SELECT address FROM virtual_interfaces WHERE instance_id = ?', [id])).to.deep.equal([
        { address: first![1].mac },
      ]);
      await cloud.db.update('instances', { task_state: 'deleting', vm_state: 'active' }, 'id = ?', [id]);
      await deallocate(id);
      expect(await cloud.db.all('SELECT id FROM fixed_ips WHERE instance_id = ?', [id])).to.deep.equal([]);
    }
  });

  it('takes back what an instance got which had failed before it got it', async () => {
    await cloud.network();
    await cloud.serve();
    const id = await cloud.instance([], { vm_state: 'error' });
    expect((await failure(call().allocate_for_instance(context, allocation(id))))['excType']).to.equal(
      'InstanceNotFound',
    );
    expect(await cloud.db.all('SELECT id FROM fixed_ips WHERE instance_id IS NOT NULL')).to.deep.equal([]);
    expect(await cloud.db.all('SELECT id FROM virtual_interfaces')).to.deep.equal([]);
  });

  it('frees at its start what deleted instances still hold, and nothing else', async () => {
    await cloud.network();
    const [live, dead] = [await cloud.instance(), await cloud.instance([], { deleted: true })];
    await cloud.db.insert('virtual_interfaces', { address: '02:16:3e:00:00:01', instance_id: dead, network_id: 1 });
    await cloud.db.update('fixed_ips', { instance_id: dead, allocated: true, virtual_interface_id: 1 }, 'id = ?', [3]);
    await cloud.db.update('fixed_ips', { instance_id: dead }, 'id = ?', [4]);
    await cloud.db.update('fixed_ips', { instance_id: live }, 'id = ?', [5]);
    await cloud.serve();
    const held = await cloud.db.all('SELECT id, instance_id, allocated FROM fixed_ips WHERE instance_id IS NOT NULL');
    expect(held).to.deep.equal([{ id: 5, instance_id: live, allocated: false }]);
    expect(await cloud.db.all('SELECT id FROM virtual_interfaces')).to.deep.equal([]);
  });

  it('adds and removes single addresses', async () => {
    const networkId = await cloud.network();
    await cloud.serve();
    const id = await cloud.instance();
    await call().allocate_for_instance(context, allocation(id));
    await call().add_fixed_ip_to_instance(context, { instance_id: id, host: 'cloud1', network_id: networkId });
    const addresses = async (): Promise<string[]> =>
      (
        await call().get_instance_nw_info(context, { instance_id: id, instance_type_id: 2, host: 'cloud1' })
      )[0]![1].ips.map(({ ip }) => ip);
    expect(await addresses()).to.deep.equal(['10.0.0.2', '10.0.0.3']);
    await call().remove_fixed_ip_from_instance(context, { instance_id: id, address: '10.0.0.2' });
    expect(await addresses()).to.deep.equal(['10.0.0.3']);
    const error = await failure(
      call().remove_fixed_ip_from_instance(context, { instance_id: id, address: '10.0.0.2' }),
    );
    expect(error).to.include({
      excType: 'FixedIpNotFoundForSpecificInstance',
      value: `Instance ${id} doesn't have fixed ip '10.0.0.2'.`,
    });
  });

  it('checks wished networks and addresses', async () => {
    const networkId = await cloud.network();
    await cloud.serve();
    const { uuid } = (await cloud.db.first<{ uuid: string }>('SELECT uuid FROM networks WHERE id = ?', [networkId]))!;
    const validate = (
      networks: Parameters<ReturnType<typeof call>['validate_networks']>[1]['networks'],
    ): Promise<null> => call().validate_networks(caller(), { networks });
    expect(await validate(null)).to.equal(null);
    expect(await validate([[uuid, '10.0.0.5']])).to.equal(null);
    const refused = async (wish: readonly [string, string | null]): Promise<string> =>
      String((await failure(validate([wish])))['excType']);
    expect(await refused(['aaaaaaaa-0000-4000-8000-000000000000', null])).to.equal('NoNetworksFound');
    expect(await refused([uuid, '10.0.0.256'])).to.equal('FixedIpInvalid');
    expect(await refused([uuid, '10.9.0.5'])).to.equal('FixedIpNotFoundForNetwork');
    const [first, second] = [await cloud.instance(), await cloud.instance()];
    const wish = { requested_networks: [[uuid, '10.0.0.5']] as const };
    const info = await call().allocate_for_instance(context, { ...allocation(first), ...wish });
    expect(info[0]![1].ips[0]!.ip).to.equal('10.0.0.5');
    expect(await refused([uuid, '10.0.0.5'])).to.equal('FixedIpAlreadyInUse');
    const error = await failure(call().allocate_for_instance(context, { ...allocation(second), ...wish }));
    expect(error['excType']).to.equal('FixedIpAlreadyInUse');
  });

  it('records leases, and frees a deallocated address when its lease ends', async () => {
    await cloud.network();
    await cloud.serve();
    const id = await cloud.instance();
    const row = (): Promise<unknown> =>
      cloud.db.first('SELECT instance_id, allocated, leased FROM fixed_ips WHERE address = ?', ['10.0.0.3']);
    await cloud.db.update('fixed_ips', { instance_id: id, allocated: true }, 'address = ?', ['10.0.0.3']);
    await call().lease_fixed_ip(context, { address: '10.0.0.3' });
    expect(await row()).to.deep.equal({ instance_id: id, allocated: true, leased: true });
    await call().release_fixed_ip(context, { address: '10.0.0.3' });
    expect(await row()).to.deep.equal({ instance_id: id, allocated: true, leased: false });
    await cloud.db.update('fixed_ips', { allocated: false }, 'address = ?', ['10.0.0.3']);
    await call().release_fixed_ip(context, { address: '10.0.0.3' });
    expect(await row()).to.deep.equal({ instance_id: null, allocated: false, leased: false });
    const error = await failure(call().lease_fixed_ip(context, { address: '10.0.0.3' }));
    expect(error).to.include({ excType: 'Error', value: 'IP 10.0.0.3 leased that is not associated' });
  });

  it('gives the host of a network to the first who asks', async () => {
    const id = await cloud.network();
    await cloud.serve();
    expect(await call().set_network_host(context, { network_ref: { id } })).to.equal('cloud1');
    await cloud.db.update('networks', { host: 'other' }, 'id = ?', [id]);
    expect(await call().set_network_host(context, { network_ref: { id } })).to.equal('other');
    expect((await failure(call().set_network_host(context, { network_ref: { id: 99 } })))['excType']).to.equal(
      'NetworkNotFound',
    );
  });

  it('refuses arguments which are none', async () => {
    await cloud.serve();
    for (const args of [{ instance_id: 'x' }, { instance_id: 2 ** 40 }, { instance_id: 1, requested_networks: [1] }]) {
      const error = await failure(call().allocate_for_instance(context, { ...allocation(1), ...args } as never));
      expect(error['excType']).to.be.oneOf(['Invalid', 'InstanceNotFound']);
    }
  });
});

describe('nova-network: what it starts with', () => {
  it('refuses managers and drivers which are not there, and names the values which work', async () => {
    for (const [flags, words] of [
      [
        { network_manager: 'nova.network.quantum.manager.QuantumManager' },
        ['--network_manager', 'nova.network.manager.FlatManager', 'nova.network.manager.VlanManager'],
      ],
      [{ fake_network: false }, ['--fake_network']],
    ] as const) {
      const cloud = await NetworkFixture.start(flags);
      const error = await failure(cloud.serve());
      await cloud.stop();
      expect(error.name).to.equal('StartupError');
      for (const word of words) expect(error.message).to.contain(word);
    }
  });
});
