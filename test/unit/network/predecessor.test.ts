import { expect } from 'chai';
import { Addresses } from '../../../common/cloud/addresses.js';
import { createFloatingIps } from '../../../common/db/floatingIps.js';
import { viewInstances } from '../../../common/db/instanceViews.js';
import { dbTime } from '../../../common/time.js';
import { FakeNetworkDriver } from '../../../nova-network/linux/fake.js';
import { FlatManager } from '../../../nova-network/manager/flat.js';
import { caller, failure, NetworkFixture } from './fixture.js';

const context = caller({ isAdmin: true });

/** What was seen when a nova-network of 2011.3 (FlatDHCPManager) and this one took turns on one database. */
describe('nova-network beside one of 2011.3', () => {
  let cloud: NetworkFixture;
  let networkId: number;
  beforeEach(async () => {
    cloud = await NetworkFixture.start({ fixed_ip_disassociate_timeout: 600 });
    networkId = await cloud.network();
    await createFloatingIps(cloud.db, ['1.2.3.1']);
  });
  afterEach(() => cloud.stop());

  /** An instance which FlatDHCPManager stopped (its address waits for the end of the lease) and started again. */
  async function restarted(): Promise<number> {
    const id = await cloud.instance();
    const vif = await cloud.db.insert('virtual_interfaces', {
      address: '02:16:3e:00:00:01',
      instance_id: id,
      network_id: networkId,
    });
    await cloud.db.update('networks', { host: 'cloud1' }, 'id = ?', [networkId]);
    await cloud.db.update('fixed_ips', { instance_id: id }, 'address = ?', ['10.0.0.2']);
    const inUse = { instance_id: id, allocated: true, virtual_interface_id: vif };
    await cloud.db.update('fixed_ips', inUse, 'address = ?', ['10.0.0.3']);
    return id;
  }

  it('shows and associates the address in use, not the one which waits for the end of its lease', async () => {
    const id = await restarted();
    await cloud.serve();
    const args = { instance_id: id, instance_type_id: 2, host: 'cloud1' };
    const info = await cloud.parts.rpc.network.call.get_instance_nw_info(context, args);
    expect(info.map(([, { ips }]) => ips.map(({ ip }) => ip))).to.deep.equal([['10.0.0.3']]);
    const [view] = await viewInstances(cloud.db, { ids: [id] });
    expect(view!.fixedIps.map(({ address }) => address)).to.deep.equal(['10.0.0.3', '10.0.0.2']);

    const addresses = new Addresses(cloud.parts);
    const address = await addresses.allocate(context);
    await addresses.associate(context, id, address);
    await cloud.settled();
    const floating = await cloud.db.first(
      'SELECT x.address FROM floating_ips l JOIN fixed_ips x ON x.id = l.fixed_ip_id',
    );
    expect(floating).to.deep.equal({ address: '10.0.0.3' });
  });

  it('associates the address in use though nova-network names the other one first', async () => {
    const id = await restarted();
    const { rpc } = cloud.parts;
    const ips = ['10.0.0.2', '10.0.0.3'].map((ip) => ({ ip, netmask: '255.255.255.248', enabled: '1' as const }));
    const asked: unknown[] = [];
    const call = { ...rpc.network.call, get_instance_nw_info: async () => [[{}, { ips }]] };
    const network = { call, cast: rpc.network.cast };
    const networkOn = (host: string): unknown => ({
      cast: { associate_floating_ip: async (_context: unknown, args: unknown) => asked.push([host, args]) },
    });
    const parts = { ...cloud.parts, rpc: { ...rpc, network, networkOn } as unknown as typeof rpc };
    await cloud.db.update('floating_ips', { project_id: 'demo' }, 'address = ?', ['1.2.3.1']);
    await new Addresses(parts).associate(context, id, '1.2.3.1');
    expect(asked).to.deep.equal([['cloud1', { floating_address: '1.2.3.1', fixed_address: '10.0.0.3' }]]);
  });

  it('frees in time what FlatDHCPManager left to the end of a lease that nobody will report', async () => {
    const id = await restarted();
    const { runtime, rpc, images } = cloud.parts;
    const parts = { ...cloud.parts, images, rpc, transport: cloud.bus.transport(runtime) };
    const manager = new FlatManager(parts, new FakeNetworkDriver(runtime.log.logger('test')));
    const sweep = async (): Promise<unknown[]> => {
      for (const task of manager.periodicTasks) await task.run(context);
      return cloud.db.all('SELECT address FROM fixed_ips WHERE instance_id = ? ORDER BY id', [id]);
    };
    const touched = (seconds: number): Promise<unknown> =>
      cloud.db.run('UPDATE fixed_ips SET updated_at = ?', [dbTime(runtime.clock.now() - seconds * 1000)]);
    await touched(300);
    expect(await sweep()).to.have.length(2);
    await touched(900);
    expect(await sweep()).to.deep.equal([{ address: '10.0.0.3' }]);
  });

  it('allocates one address as the host of a network, when another nova-network asks', async () => {
    const id = await cloud.instance();
    const vif = { address: '02:16:3e:00:00:01', instance_id: id, network_id: networkId };
    const vifId = await cloud.db.insert('virtual_interfaces', vif);
    await cloud.serve();
    await cloud.takeWrites();
    const args = { instance_id: id, network_id: networkId, address: null, vpn: null };
    const { call } = cloud.parts.rpc.networkOn('cloud1');
    expect(await call._rpc_allocate_fixed_ip(context, args)).to.equal(null);
    const writes = await cloud.takeWrites();
    expect(writes.map(({ table, set }) => [table, set])).to.deep.equal([
      ['fixed_ips', { instance_id: id }],
      ['fixed_ips', { allocated: 1, virtual_interface_id: vifId }],
    ]);
    await call._rpc_allocate_fixed_ip(context, { ...args, another: false });
    expect(await cloud.takeWrites()).to.deep.equal([]);
    const wrong = await failure(call._rpc_allocate_fixed_ip(context, { ...args, network_id: 99 }));
    expect(wrong).to.include({ excType: 'NetworkNotFound' });
  });
});
