import { expect } from 'chai';
import { runProgramToEnd } from '../../support/daemons.js';
import { until, type RecordedMessage } from '../../support/rabbitmq.js';
import { texts, type RecordedCloud } from '../recordedCloud.js';
import { associate, newest } from './addresses.js';
import type { Flow } from './flow.js';
import { named } from './operations.js';
import { describeResource, hostsMeasured, notify } from './setUp.js';

const managers = {
  flat: 'nova.network.manager.FlatManager',
  flatDhcp: 'nova.network.manager.FlatDHCPManager',
  vlan: 'nova.network.manager.VlanManager',
};

/** The daemons which must agree on the manager start again, from here on with another one. */
export async function changeNetworkManager(cloud: RecordedCloud, kind: keyof typeof managers): Promise<void> {
  const manager = `--network_manager=${managers[kind]}`;
  await cloud.restart('nova-network', 'cloud1', [manager]);
  for (const host of ['cloud1', 'cloud2']) await cloud.restart('nova-compute', host, [manager, notify]);
}

async function terminate(cloud: RecordedCloud, id: string): Promise<void> {
  await cloud.ec2('TerminateInstances', { 'InstanceId.1': id });
  await cloud.untilGone(id);
}

const hasLease = `SELECT leased = $2 FROM fixed_ips WHERE address = $1`;

/** FlatDHCPManager, with notifications; the flows of floating addresses come between these. */
export const flatDhcpFlows: readonly Flow[] = [
  {
    name: 'flatdhcp_network_start',
    async prepare(cloud) {
      // as in the recording there are two networks, which a nova-network has taken
      await cloud.manage('network', 'create', 'second', '10.9.0.0/28', '1', '16', '--bridge=br200');
      await cloud.sql(`UPDATE networks SET host = 'cloud1'`);
    },
    run: (cloud) => changeNetworkManager(cloud, 'flatDhcp'),
  },
  {
    name: 'flatdhcp_run_instance',
    rules: { anyHost: true },
    run: async (cloud) => void (await cloud.run()),
  },
];

export const leaseFlows: readonly Flow[] = [
  {
    name: 'dhcp_lease',
    async run(cloud) {
      const bridge = async (action: string, leased: boolean): Promise<void> => {
        const words = [
          `--flagfile=${cloud.processes.flagFile}`,
          '--host=cloud1',
          action,
          '02:16:3e:0b:18:43',
          '10.9.0.2',
        ];
        const { code, output } = await runProgramToEnd('nova-dhcpbridge', words);
        expect(code, output).to.equal(0);
        await cloud.untilTrue(hasLease, ['10.9.0.2', leased]);
        await cloud.settle();
      };
      await bridge('add', true);
      await bridge('old', true);
      await bridge('del', false);
    },
  },
  {
    name: 'flatdhcp_terminate_with_address',
    rules: { anyHost: true },
    async prepare(cloud) {
      await cloud.sql('UPDATE floating_ips SET project_id = NULL');
      const before = cloud.recording.messages.length;
      await cloud.run();
      const isMade = ({ body }: RecordedMessage): boolean =>
        (body as { event_type?: string }).event_type === 'compute.instance.create';
      await until('the notification of it', () => cloud.recording.messages.slice(before).some(isMade));
    },
    async run(cloud) {
      const id = await newest(cloud);
      const [address] = texts(await cloud.ec2('AllocateAddress'), 'publicIp');
      await associate(cloud, address!, id);
      await terminate(cloud, id);
      await until('the address to be free', async () => {
        const [row] = await cloud.sql<{ free: boolean }>(
          'SELECT fixed_ip_id IS NULL AS free FROM floating_ips WHERE address = $1',
          [address],
        );
        return row!.free;
      });
      await cloud.ec2('ReleaseAddress', { PublicIp: address! });
      await cloud.untilTrue('SELECT project_id IS NULL FROM floating_ips WHERE address = $1', [address]);
    },
  },
];

/** VlanManager, under the scheduler which counts. */
export const vlanFlows: readonly Flow[] = [
  {
    name: 'vlan_network_create',
    async run(cloud) {
      const words = 'network create vlan 10.2.0.0/24 2 32 --vlan=100 --bridge_interface=eth0'.split(' ');
      const { status, out } = await cloud.manageWith({ network_manager: managers.vlan }, ...words);
      expect(status, out).to.equal(0);
    },
  },
  {
    name: 'vlan_network_start',
    run: (cloud) => changeNetworkManager(cloud, 'vlan'),
  },
  {
    name: 'vlan_run_instance',
    rules: { anyHost: true },
    async prepare(cloud) {
      for (const host of ['cloud1', 'cloud2']) {
        await cloud.manage('service', 'enable', `--host=${host}`, '--service=nova-compute');
      }
    },
    run: async (cloud) => void (await cloud.run()),
  },
  {
    name: 'vlan_terminate',
    rules: { anyHost: true },
    run: async (cloud) => terminate(cloud, await newest(cloud)),
  },
  {
    name: 'manage_project_scrub',
    async run(cloud) {
      const { status, out } = await cloud.manageWith({ network_manager: managers.vlan }, 'project', 'scrub', 'proj');
      expect(status, out).to.equal(0);
    },
  },
  {
    name: 'consoles',
    rules: { anyHost: true },
    async run(cloud) {
      const [row] = await cloud.sql<{ id: number }>(
        `SELECT max(id) AS id FROM instances WHERE vm_state = 'active' AND task_state IS NULL AND deleted = false`,
      );
      const InstanceId = `i-${row!.id.toString(16).padStart(8, '0')}`;
      const proxies = [await cloud.answerOn('ajax_proxy'), await cloud.answerOn('vncproxy')];
      await cloud.ec2('GetAjaxConsole', { InstanceId });
      await cloud.ec2('GetVncConsole', { InstanceId });
      await cloud.settle();
      for (const end of proxies) await end();
    },
  },
];

/** A running instance of cloud1 with one interface, as operators name it. Which hosts the others got is chance. */
async function onFirstHost(cloud: RecordedCloud): Promise<{ id: number; ec2Id: string }> {
  const [row] = await cloud.sql<{ id: number }>(
    `SELECT max(id) AS id FROM instances WHERE vm_state = 'active' AND task_state IS NULL
       AND host = 'cloud1' AND deleted = false
       AND (SELECT count(*) FROM virtual_interfaces WHERE instance_id = instances.id) = 1`,
  );
  return { id: row!.id, ec2Id: `i-${row!.id.toString(16).padStart(8, '0')}` };
}

/** Instances which move to another host while they run. */
export const migrationFlows: readonly Flow[] = [
  {
    name: 'live_migration',
    prepare: hostsMeasured,
    async run(cloud) {
      const { id, ec2Id } = await onFirstHost(cloud);
      const { status, out } = await cloud.manage('vm', 'live_migration', ec2Id, 'cloud2');
      expect(status, out).to.equal(0);
      await cloud.untilTrue(`SELECT vm_state = 'active' AND host = 'cloud2' FROM instances WHERE id = $1`, [id]);
    },
  },
  describeResource,
  {
    name: 'live_migration_bad_dest',
    async run(cloud) {
      const { ec2Id } = await onFirstHost(cloud);
      expect((await cloud.manage('vm', 'live_migration', ec2Id, 'nowhere')).status).to.equal(1);
    },
  },
];

/** As {@link migrationFlows}, with the disks: the hosts have folders of their own. The pinned instance has a volume. */
export const blockMigrationFlow: Flow = {
  name: 'block_migration',
  async prepare(cloud) {
    const folder = `--instances_path=${cloud.flags.state_path}/instances-of-cloud2`;
    await cloud.restart('nova-compute', 'cloud2', [`--network_manager=${managers.vlan}`, notify, folder]);
    const [volume] = texts(await cloud.ec2('CreateVolume', { Size: '1', AvailabilityZone: 'nova' }), 'volumeId');
    await cloud.untilVolume(volume!, 'available');
    const InstanceId = `i-${(await named(cloud, 'pin')).toString(16).padStart(8, '0')}`;
    await cloud.ec2('AttachVolume', { VolumeId: volume!, InstanceId, Device: '/dev/vdb' });
    await cloud.untilTrue('SELECT count(*) = 1 FROM block_device_mapping WHERE volume_id = $1', [
      Number.parseInt(volume!.slice(4), 16),
    ]);
  },
  async run(cloud) {
    const id = await named(cloud, 'pin');
    const { status, out } = await cloud.manage(
      'vm',
      'block_migration',
      `i-${id.toString(16).padStart(8, '0')}`,
      'cloud2',
    );
    expect(status, out).to.equal(0);
    await cloud.untilTrue(`SELECT vm_state = 'active' AND host = 'cloud2' FROM instances WHERE id = $1`, [id]);
  },
};
