import { expect } from 'chai';
import { Addresses } from '../../../common/cloud/addresses.js';
import { createFloatingIps } from '../../../common/db/floatingIps.js';
import { caller, failure, NetworkFixture } from '../network/fixture.js';

const demo = caller();
const admin = caller({ isAdmin: true });

describe('cloud: floating addresses', () => {
  let cloud: NetworkFixture;
  let addresses: Addresses;
  let networkId: number;
  beforeEach(async () => {
    cloud = await NetworkFixture.start({ quota_floating_ips: 2 });
    addresses = new Addresses(cloud.parts);
    networkId = await cloud.network();
    await createFloatingIps(cloud.db, ['1.2.3.1', '1.2.3.2', '1.2.3.3', '1.2.3.3']);
    await cloud.serve();
    await cloud.takeWrites();
  });
  afterEach(() => cloud.stop());

  /** An instance with an address. */
  async function running(project = 'demo'): Promise<number> {
    const id = await cloud.instance([], { project_id: project });
    await cloud.parts.rpc.network.call.allocate_for_instance(admin, {
      instance_id: id,
      project_id: project,
      host: 'cloud1',
      instance_type_id: 2,
      vpn: false,
    });
    return id;
  }
  const shown = async (context = demo): Promise<[string | null, number | null][]> =>
    (await addresses.describe(context)).map((row) => [row.address, row.instance_id]);

  it('allocates the first free one, within the quota', async () => {
    expect(await addresses.allocate(demo)).to.equal('1.2.3.1');
    expect(await cloud.takeWrites()).to.deep.equal([
      { op: 'update', table: 'floating_ips', id: 1, set: { project_id: 'demo' } },
      // a nova-api of 2011.3 sends the association to networks.host, and to nobody when that is null
      { op: 'update', table: 'networks', id: networkId, set: { host: 'cloud1' } },
    ]);
    expect(cloud.takeSent()).to.deep.equal([
      { to: 'network', method: 'allocate_floating_ip', args: { project_id: 'demo' } },
    ]);
    await addresses.allocate(demo);
    expect((await cloud.takeWrites()).map(({ table }) => table)).to.deep.equal(['floating_ips']);
    const quota = await failure(addresses.allocate(demo));
    expect(quota).to.include({
      name: 'QuotaError',
      code: 'AddressLimitExceeded',
      message: 'Address quota exceeded. You cannot allocate any more addresses',
    });
    expect(await addresses.allocate(caller({ project: 'other' }))).to.equal('1.2.3.3');
    expect((await failure(addresses.allocate(caller({ project: 'third' })))).name).to.equal('NoMoreFloatingIps');
  });

  it('takes an address off whose host is lost, by any other nova-network', async () => {
    const id = await running();
    const address = await addresses.allocate(demo);
    await addresses.associate(demo, id, address);
    await cloud.settled();
    await cloud.db.run("UPDATE floating_ips SET host = 'gone' WHERE fixed_ip_id IS NOT NULL");
    const old = '2011-09-22 12:00:00';
    const service = { host: 'gone', binary: 'nova-network', topic: 'network', report_count: 1, disabled: false };
    await cloud.db.insert('services', { ...service, created_at: old, updated_at: old });
    cloud.takeSent();
    await addresses.disassociate(demo, address);
    expect(cloud.takeSent()).to.deep.equal([
      { to: 'network', method: 'disassociate_floating_ip', args: { floating_address: address } },
    ]);
    expect(await shown()).to.deep.equal([[address, null]]);
    await addresses.release(demo, address);
  });

  it('associates, moves, disassociates and releases with the recorded messages', async () => {
    const [first, second] = [await running(), await running()];
    const address = await addresses.allocate(demo);
    await cloud.db.update('networks', { host: 'cloud1' }, 'id = ?', [networkId]);
    await cloud.takeWrites();
    cloud.takeSent();

    await addresses.associate(demo, first, address);
    await cloud.settled();
    expect(cloud.takeSent()).to.deep.equal([
      {
        to: 'network',
        method: 'get_instance_nw_info',
        args: { instance_id: first, instance_type_id: 2, host: 'cloud1' },
      },
      {
        to: 'network.cloud1',
        method: 'associate_floating_ip',
        args: { floating_address: address, fixed_address: '10.0.0.2' },
      },
    ]);
    expect((await cloud.takeWrites()).map(({ set }) => set)).to.deep.equal([{ fixed_ip_id: 3, host: 'cloud1' }]);
    expect(await shown()).to.deep.equal([[address, first]]);
    expect((await failure(addresses.release(demo, address))).message).to.equal(
      'Floating ip is in use.  Disassociate it before releasing.',
    );

    await addresses.associate(demo, second, address);
    await cloud.settled();
    expect(cloud.takeSent().map(({ to, method }) => `${to} ${method}`)).to.deep.equal([
      'network get_instance_nw_info',
      'network.cloud1 disassociate_floating_ip',
      'network.cloud1 associate_floating_ip',
    ]);
    expect((await cloud.takeWrites()).map(({ set }) => set)).to.deep.equal([
      { fixed_ip_id: null, host: null },
      { fixed_ip_id: 4, host: 'cloud1' },
    ]);

    await addresses.disassociate(demo, address);
    expect(cloud.takeSent()).to.deep.equal([
      { to: 'network.cloud1', method: 'disassociate_floating_ip', args: { floating_address: address } },
    ]);
    expect(await shown()).to.deep.equal([[address, null]]);
    expect((await failure(addresses.disassociate(demo, address))).message).to.equal('Address is not associated.');

    await addresses.release(demo, address);
    await cloud.settled();
    expect(cloud.takeSent()).to.deep.equal([
      { to: 'network', method: 'deallocate_floating_ip', args: { floating_address: address } },
    ]);
    expect(await shown()).to.deep.equal([]);
    expect((await cloud.takeWrites()).at(-1)).to.deep.include({ id: 1, set: { project_id: null } });
  });

  it('gives a network without a host one, when it is needed', async () => {
    const id = await running();
    const address = await addresses.allocate(demo);
    await cloud.db.update('networks', { host: null }, 'id = ?', [networkId]);
    await addresses.associate(demo, id, address);
    await cloud.settled();
    expect(await cloud.db.first('SELECT host FROM networks')).to.deep.equal({ host: 'cloud1' });
    expect(await shown()).to.deep.equal([[address, id]]);
  });

  it("leaves others' addresses and instances alone", async () => {
    const other = caller({ project: 'other' });
    const [mine, theirs] = [await running(), await running('other')];
    const address = await addresses.allocate(demo);
    await addresses.associate(demo, mine, address);
    await cloud.settled();
    await cloud.takeWrites();
    const text = `Address (${address}) is not allocated to your project(other)`;
    expect((await failure(addresses.disassociate(other, address))).message).to.equal(text);
    expect((await failure(addresses.release(other, address))).message).to.equal(text);
    expect((await failure(addresses.associate(other, theirs, address))).message).to.equal(text);
    expect((await failure(addresses.associate(other, mine, address))).name).to.equal('InstanceNotFound');
    expect((await failure(addresses.associate(demo, mine, '1.2.3.2'))).message).to.equal(
      'Address (1.2.3.2) is not allocated',
    );
    expect((await failure(addresses.describe(other, [address]))).name).to.equal('FloatingIpNotFoundForAddress');
    expect(await shown(other)).to.deep.equal([]);
    expect(await shown(admin)).to.deep.equal([[address, mine]]);
    // the manager asks again: a message needs no door
    const { network } = cloud.parts.rpc;
    const args = { floating_address: address };
    expect((await failure(network.call.disassociate_floating_ip(other, args)))['excType']).to.equal('ApiError');
    expect((await failure(network.call.deallocate_floating_ip(other, args)))['excType']).to.equal('ApiError');
    expect(await cloud.takeWrites()).to.deep.equal([]);
  });

  it('refuses what is not there', async () => {
    const id = await cloud.instance();
    await addresses.allocate(demo);
    expect((await failure(addresses.release(demo, '9.9.9.9'))).message).to.equal(
      'Floating ip not found for address 9.9.9.9.',
    );
    expect((await failure(addresses.associate(demo, 4711, '9.9.9.9'))).name).to.equal('InstanceNotFound');
    expect((await failure(addresses.associate(demo, id, '1.2.3.1'))).message).to.equal(
      `instance |${id}| has no fixed_ips. unable to associate floating ip`,
    );
  });

  it('takes the address off an instance which is terminated, and keeps it for the project', async () => {
    const id = await running();
    const address = await addresses.allocate(demo);
    await addresses.associate(demo, id, address);
    await cloud.settled();
    await cloud.parts.rpc.network.cast.deallocate_for_instance(admin, { instance_id: id, project_id: 'demo' });
    await cloud.settled();
    expect(await shown()).to.deep.equal([[address, null]]);
    const next = await running();
    expect(await cloud.db.all('SELECT id FROM floating_ips WHERE fixed_ip_id IS NOT NULL')).to.deep.equal([]);
    expect(next).to.not.equal(id);
  });

  it('frees the address of a host which does not answer', async () => {
    const id = await running();
    const address = await addresses.allocate(demo);
    await addresses.associate(demo, id, address);
    await cloud.settled();
    await cloud.db.update('floating_ips', { host: 'gone' }, 'address = ?', [address]);
    await cloud.parts.rpc.network.call.deallocate_for_instance(admin, { instance_id: id, project_id: 'demo' });
    expect(
      await cloud.db.first('SELECT fixed_ip_id, host, project_id FROM floating_ips WHERE address = ?', [address]),
    ).to.deep.equal({ fixed_ip_id: null, host: null, project_id: 'demo' });
    expect(await cloud.db.all('SELECT id FROM fixed_ips WHERE instance_id IS NOT NULL')).to.deep.equal([]);
  });

  it('binds again at the start what the host carried', async () => {
    const id = await running();
    const address = await addresses.allocate(demo);
    await addresses.associate(demo, id, address);
    await cloud.settled();
    await cloud.endDaemons();
    cloud.log.lines.length = 0;
    await cloud.serve();
    expect(cloud.log.lines.join('\n')).to.contain(`bind ${address}`).and.to.contain(`forward ${address} to 10.0.0.2`);
  });

  it('does not let an address join a fixed one which is being deallocated', async () => {
    const id = await running();
    const address = await addresses.allocate(demo);
    await cloud.db.update('fixed_ips', { allocated: false, virtual_interface_id: null }, 'instance_id = ?', [id]);
    const error = await failure(
      cloud.parts.rpc.network.call.associate_floating_ip(demo, {
        floating_address: address,
        fixed_address: '10.0.0.2',
      }),
    );
    expect(error['excType']).to.equal('FixedIpNotFoundForAddress');
  });
});

describe('cloud: addresses which instances get by themselves', () => {
  it('come with the instance, go with it, and are nobody’s to change', async () => {
    const cloud = await NetworkFixture.start({ auto_assign_floating_ip: true, quota_floating_ips: 0 });
    const addresses = new Addresses(cloud.parts);
    await cloud.network();
    await createFloatingIps(cloud.db, ['1.2.3.1']);
    await cloud.serve();
    const id = await cloud.instance();
    const { network } = cloud.parts.rpc;
    const args = { instance_id: id, project_id: 'demo', host: 'cloud1', instance_type_id: 2, vpn: false };
    const row = (): Promise<unknown> =>
      cloud.db.first('SELECT project_id, fixed_ip_id, auto_assigned FROM floating_ips');
    for (let i = 0; i < 2; i++) await network.call.allocate_for_instance(demo, args);
    expect(await row()).to.deep.equal({ project_id: 'demo', fixed_ip_id: 3, auto_assigned: true });
    await addresses.disassociate(demo, '1.2.3.1');
    await addresses.release(demo, '1.2.3.1');
    expect(await addresses.describe(demo)).to.deep.equal([]);
    await network.call.deallocate_for_instance(demo, { instance_id: id, project_id: 'demo' });
    expect(await row()).to.deep.equal({ project_id: null, fixed_ip_id: null, auto_assigned: false });
    await cloud.stop();
  });
});
