import { texts, type RecordedCloud } from '../recordedCloud.js';
import type { Flow } from './flow.js';

const associated = `SELECT count(*) = 1 FROM floating_ips f JOIN fixed_ips x ON x.id = f.fixed_ip_id
  WHERE f.address = $1 AND x.instance_id = $2`;

export async function associate(cloud: RecordedCloud, address: string, id: string): Promise<void> {
  await cloud.ec2('AssociateAddress', { PublicIp: address, InstanceId: id });
  await cloud.untilTrue(associated, [address, Number.parseInt(id.slice(2), 16)]);
}

/** What the caller's project holds; the flows use the first address. */
async function held(cloud: RecordedCloud): Promise<string> {
  const rows = await cloud.sql<{ address: string }>(
    `SELECT address FROM floating_ips WHERE project_id = 'proj' ORDER BY id`,
  );
  return rows[0]!.address;
}

/** The instance which was made last. */
export async function newest(cloud: RecordedCloud): Promise<string> {
  const [row] = await cloud.sql<{ id: number }>('SELECT max(id) AS id FROM instances');
  return `i-${row!.id.toString(16).padStart(8, '0')}`;
}

/** Floating addresses, between two instances. Recorded with notifications. */
export const addressFlows: readonly Flow[] = [
  {
    name: 'address_allocate',
    prepare: async (cloud) => void (await cloud.sql('UPDATE floating_ips SET project_id = NULL')),
    run: async (cloud) => void (await cloud.ec2('AllocateAddress')),
  },
  {
    name: 'address_associate',
    rules: { anyHost: true },
    run: async (cloud) => associate(cloud, await held(cloud), await newest(cloud)),
  },
  {
    name: 'address_associate_moved',
    rules: { anyHost: true },
    async run(cloud) {
      const [id] = await cloud.run();
      await associate(cloud, await held(cloud), id!);
    },
  },
  {
    name: 'address_release_associated',
    run: async (cloud) => void (await cloud.ec2('ReleaseAddress', { PublicIp: await held(cloud) }, { refused: true })),
  },
  {
    name: 'address_associate_bad_instance',
    async run(cloud) {
      const params = { PublicIp: await held(cloud), InstanceId: 'i-000fffff' };
      await cloud.ec2('AssociateAddress', params, { refused: true });
    },
  },
  {
    name: 'address_disassociate',
    run: async (cloud) => void (await cloud.ec2('DisassociateAddress', { PublicIp: await held(cloud) })),
  },
  {
    name: 'address_release',
    async run(cloud) {
      await cloud.ec2('ReleaseAddress', { PublicIp: await held(cloud) });
      await cloud.untilTrue(`SELECT count(*) = 0 FROM floating_ips WHERE project_id = 'proj'`);
    },
  },
  {
    name: 'address_allocate_quota',
    async prepare(cloud) {
      for (let count = 0; count < 10; count += 1) await cloud.ec2('AllocateAddress');
    },
    run: async (cloud) => void (await cloud.ec2('AllocateAddress', {}, { refused: true })),
  },
  {
    name: 'address_allocate_none_left',
    async prepare(cloud) {
      await cloud.sql(`UPDATE floating_ips SET project_id = 'proj2'`);
    },
    run: async (cloud) => void (await cloud.ec2('AllocateAddress', {}, { refused: true })),
  },
];

const joe = { access: 'jkey:proj2', secret: 'jsec' };

/** Starts the scheduler which counts. */
export const countHosts = (cloud: RecordedCloud): Promise<void> =>
  cloud.restart('nova-scheduler', 'cloud1', ['--scheduler_driver=nova.scheduler.simple.SimpleScheduler']);

/** Two compute hosts and the scheduler which counts. */
export const schedulingFlows: readonly Flow[] = [
  {
    name: 'simple_scheduler_run',
    rules: { anyHost: true },
    prepare: countHosts,
    run: async (cloud) => void (await cloud.run()),
  },
  {
    name: 'simple_scheduler_volume',
    async run(cloud) {
      const [id] = texts(await cloud.ec2('CreateVolume', { Size: '1', AvailabilityZone: 'nova' }), 'volumeId');
      await cloud.untilVolume(id!, 'available');
    },
  },
  {
    name: 'run_no_valid_host',
    async run(cloud) {
      for (const host of ['cloud1', 'cloud2']) {
        await cloud.manage('service', 'disable', `--host=${host}`, '--service=nova-compute');
      }
      const params = { ImageId: 'ami-00000001', InstanceType: 'm1.tiny', MinCount: '1', MaxCount: '1' };
      const [id] = texts(await cloud.ec2('RunInstances', params), 'instanceId');
      await cloud.untilState(id!, 'error');
      await cloud.ec2('TerminateInstances', { 'InstanceId.1': id! });
      await cloud.untilGone(id!);
    },
  },
];

/** A caller with access key and signature. */
export const ordinaryCallerFlows: readonly Flow[] = [
  {
    name: 'run_instances_non_admin',
    rules: { anyHost: true },
    async prepare(cloud) {
      await cloud.restart('nova-scheduler', 'cloud1', []);
      await cloud.restart('nova-api', 'cloud1', ['--ec2_auth=keys']);
      // a project's first request makes its default group, which was there in the recording
      await cloud.ec2('DescribeSecurityGroups', {}, { caller: joe });
    },
    run: async (cloud) => void (await cloud.run({}, { caller: joe })),
  },
  {
    name: 'terminate_non_admin',
    rules: { anyHost: true },
    async run(cloud) {
      const id = await newest(cloud);
      await cloud.ec2('TerminateInstances', { 'InstanceId.1': id }, { caller: joe });
      await cloud.untilGone(id);
    },
  },
];
