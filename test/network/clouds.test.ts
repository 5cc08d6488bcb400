import { expect } from 'chai';
import { openDatabase } from '../../common/db/database.js';
import type { Db } from '../../common/db/db.js';
import { startEmbeddedCloud, startProcessCloud, type ProcessCloud, type TestCloud } from '../support/cloud.js';
import { runProgramToEnd } from '../support/daemons.js';
import { Ec2Caller } from '../support/ec2Client.js';
import { until } from '../support/rabbitmq.js';
import { testRuntime } from '../support/runtime.js';

const active = (ec2: Ec2Caller, id: string): Promise<boolean> =>
  until(`${id} to run`, async () => {
    const { state, reason } = await ec2.instance(id);
    if (reason !== '' && state !== 'running') throw new Error(`${id} is ${state}: ${reason}`);
    return state === 'running';
  });

describe('a cloud with VLANs whose instances go where they cost the least', function () {
  this.timeout(180_000);
  let cloud: TestCloud;
  before(async () => {
    cloud = await startEmbeddedCloud([
      '--network_manager=nova.network.manager.VlanManager',
      '--scheduler_driver=nova.scheduler.multi.MultiScheduler',
      '--compute_scheduler_driver=nova.scheduler.least_cost.LeastCostScheduler',
      '--default_host_filter=InstanceTypeFilter',
      '--periodic_interval=1',
      '--host_state_interval=0',
      '--quota_instances=-1',
      '--quota_cores=-1',
      '--quota_ram=-1',
    ]);
  });
  after(() => cloud?.stop());

  it('gives the project its network, and instances addresses of it, floating ones too', async () => {
    const ec2 = new Ec2Caller(cloud.environment);
    // the host has announced itself by the time that the API answers: the fake hypervisor has no compute_nodes row
    const id = await ec2.runInstance();
    await active(ec2, id);
    const [address] = (await ec2.done('DescribeInstances', { 'InstanceId.1': id })).texts('privateIpAddress');
    expect(address).to.match(/^10\.0\.0\./);
    const [publicIp] = (await ec2.done('AllocateAddress')).texts('publicIp');
    await ec2.done('AssociateAddress', { InstanceId: id, PublicIp: publicIp! });
    await until('the address to be associated', async () =>
      (await ec2.done('DescribeInstances', { 'InstanceId.1': id })).texts('ipAddress').includes(publicIp!),
    );
    const networks = await cloud.manage('network', 'list');
    expect(networks.split('\n').filter((line) => /\bdemo\b/.test(line))).to.have.length(1);
    expect(networks)
      .to.match(/\b100\b/)
      .and.to.match(/\b103\b/);
  });
});

describe('a cloud with multi_host DHCP networks on RabbitMQ and PostgreSQL', function () {
  this.timeout(240_000);
  let cloud: ProcessCloud;
  let db: Db;
  const flags = ['--network_manager=nova.network.manager.FlatDHCPManager', '--multi_host'];
  before(async () => {
    cloud = await startProcessCloud({ flags });
    await cloud.start('nova-network', 'cloud2');
    db = openDatabase(testRuntime({ sql_connection: cloud.database }).runtime);
  });
  after(async () => {
    await db?.close();
    await cloud?.stop();
  });

  it('gives addresses on the host of each instance, and takes them back when their leases end', async () => {
    const ec2 = new Ec2Caller(cloud.environment);
    const ids = [];
    for (let count = 0; count < 4; count++) ids.push(await ec2.runInstance());
    for (const id of ids) await active(ec2, id);
    const servers = await db.all<{ host: string }>('SELECT host FROM fixed_ips WHERE host IS NOT NULL ORDER BY host');
    expect(servers.map(({ host }) => host)).to.deep.equal(['cloud1', 'cloud2']);
    const guests = await db.all<{ address: string; mac: string; host: string }>(
      'SELECT f.address, v.address AS mac, i.host FROM fixed_ips f JOIN virtual_interfaces v ON v.id = f.virtual_interface_id ' +
        'JOIN instances i ON i.id = f.instance_id WHERE f.allocated = ? ORDER BY f.id',
      [true],
    );
    expect(guests).to.have.length(4);
    expect(new Set(guests.map(({ address }) => address)).size).to.equal(4);

    const flagFile = `${cloud.stateFolder}/nova.conf`;
    const bridge = async (action: string, guest: (typeof guests)[0]): Promise<void> => {
      const words = [`--flagfile=${flagFile}`, `--host=${guest.host}`, action, guest.mac, guest.address];
      const { code, output } = await runProgramToEnd('nova-dhcpbridge', words);
      expect(code, output).to.equal(0);
    };
    const count = async (where: string): Promise<number> =>
      (await db.first<{ n: number }>(`SELECT COUNT(*) AS n FROM fixed_ips WHERE ${where}`))!.n;
    for (const guest of guests) await bridge('add', guest);
    await until('the leases to be known', async () => (await count('leased')) === 4);
    for (const id of ids) await ec2.done('TerminateInstances', { 'InstanceId.1': id });
    await until('the addresses to be deallocated', async () => (await count('allocated')) === 0);
    expect(await count('instance_id IS NOT NULL')).to.equal(4);
    for (const guest of guests) await bridge('del', guest);
    await until('the addresses to be free', async () => (await count('instance_id IS NOT NULL')) === 0);
  });
});
