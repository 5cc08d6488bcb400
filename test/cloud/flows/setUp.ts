import { expect } from 'chai';
import { until } from '../../support/rabbitmq.js';
import type { RecordedCloud } from '../recordedCloud.js';
import type { Flow } from './flow.js';

/** Runs commands of `nova-manage` which must succeed. */
async function manageAll(cloud: RecordedCloud, commands: readonly string[]): Promise<void> {
  for (const command of commands) {
    const { status, out } = await cloud.manage(...command.split(' '));
    expect(status, `${command}: ${out}`).to.equal(0);
  }
}

const managed = (name: string, commands: readonly string[]): Flow => ({
  name,
  run: (cloud) => manageAll(cloud, commands),
});

/** The recorded fake hypervisor moves no guests, ours does: one which doesn't here takes its place. */
const refusedMigration = (name: string, destination: string): Flow => ({
  name,
  async run(cloud) {
    const words = ['vm', 'live_migration', 'i-00000001', destination];
    const { status, out } = await cloud.manageWith({ connection_type: 'xenapi' }, ...words);
    expect(status, out).to.equal(1);
  },
});

/** The image of the recordings, in our registry. */
async function registerImage(cloud: RecordedCloud): Promise<void> {
  const { flags } = cloud;
  const response = await fetch(`http://${flags.glance_api_servers[0]}/v1/images`, {
    method: 'POST',
    headers: {
      'content-type': 'application/octet-stream',
      'x-image-meta-name': 'fakeimage123456',
      'x-image-meta-is-public': 'True',
      'x-image-meta-disk-format': 'raw',
      'x-image-meta-container-format': 'bare',
      'x-image-meta-property-kernel_id': 'nokernel',
      'x-image-meta-property-ramdisk_id': 'nokernel',
    },
    body: 'bits',
  });
  expect(response.status, await response.text()).to.be.within(200, 201);
}

/** Users, network, addresses and the start of the daemons. */
export const setUpFlows: readonly Flow[] = [
  managed('user_project_create', [
    'user admin admin akey skey',
    'project create proj admin',
    'user create joe jkey jsec',
    'project create proj2 joe',
    'role add joe netadmin',
    'role add joe sysadmin proj2',
  ]),
  managed('network_create', ['network create public 10.0.0.0/20 1 4096 --bridge=br100']),
  managed('floating_create', ['floating create 1.2.3.0/27']),
  {
    name: 'service_start',
    async run({ processes }) {
      for (const binary of ['nova-scheduler', 'nova-network', 'nova-volume', 'nova-compute', 'nova-api']) {
        await processes.start(binary);
      }
    },
  },
  {
    name: 'describe',
    prepare: registerImage,
    async run(cloud) {
      for (const what of [
        'Regions',
        'AvailabilityZones',
        'Images',
        'Instances',
        'Addresses',
        'Volumes',
        'SecurityGroups',
        'KeyPairs',
      ]) {
        await cloud.ec2(`Describe${what}`);
      }
    },
  },
  {
    name: 'keypair',
    async run(cloud) {
      await cloud.ec2('CreateKeyPair', { KeyName: 'k1' });
      await cloud.ec2('CreateKeyPair', { KeyName: 'k2' });
      await cloud.ec2('DescribeKeyPairs');
      await cloud.ec2('DeleteKeyPair', { KeyName: 'k2' });
    },
  },
];

/** Commands of operators, beside the running cloud. */
export const manageFlows: readonly Flow[] = [
  {
    name: 'service_disable',
    async prepare({ processes }) {
      await processes.start('nova-compute', 'cloud2');
    },
    run: (cloud) =>
      manageAll(cloud, ['service list', 'service disable --host=cloud2 --service=nova-compute', 'service list']),
  },
  managed('service_enable', [
    'service enable --host=cloud2 --service=nova-compute',
    'service disable --host=cloud1 --service=nova-compute',
  ]),
  {
    name: 'manage_service_list',
    prepare: (cloud) => manageAll(cloud, ['service enable --host=cloud1 --service=nova-compute']),
    async run(cloud) {
      await manageAll(cloud, ['service list']);
      await cloud.manage('service', 'describe_resource', '--host=cloud1');
    },
  },
  managed('manage_floating', ['floating create 9.9.9.0/30', 'floating list', 'floating delete 9.9.9.0/30']),
  {
    name: 'manage_fixed',
    async run(cloud) {
      await cloud.manage('fixed', 'list', '--host=cloud1');
      await manageAll(cloud, ['fixed reserve 10.0.0.200', 'fixed unreserve 10.0.0.200']);
    },
  },
  managed('manage_vm_list', ['vm list']),
  managed('manage_flavor', [
    'instance_type create m9.test 128 1 5 99 0 0 0',
    'instance_type list m9.test',
    'instance_type delete m9.test',
    'instance_type delete m9.test --purge',
  ]),
  refusedMigration('manage_live_migration', 'cloud2'),
  refusedMigration('manage_live_migration_same_host', 'nowhere'),
  managed('manage_agent', [
    'agent create linux x86 1.0 http://192.0.2.5/agent.tgz 0123456789abcdef',
    'agent list',
    'agent modify linux x86 1.1 http://192.0.2.5/agent2.tgz fedcba9876543210',
    'agent delete linux x86',
  ]),
  managed('manage_update_resource', ['service update_resource --host=cloud1']),
  managed('manage_project', [
    'user create tmpu tkey tsec',
    'project create tmpp tmpu',
    'role add tmpu developer tmpp',
    'role add tmpu netadmin',
    'role has tmpu netadmin',
    'role remove tmpu developer tmpp',
    'role remove tmpu netadmin',
    'user modify tmpu tkey2 tsec2 T',
    'project add tmpp joe',
    'project remove tmpp joe',
    'project delete tmpp',
    'user delete tmpu',
  ]),
  {
    name: 'provider_fw',
    rules: { anyHost: true },
    async run(cloud) {
      const admin = { endpoint: 'Admin' } as const;
      await cloud.ec2('BlockExternalAddresses', { Cidr: '192.0.2.1/32' }, admin);
      await cloud.ec2('DescribeExternalAddressBlocks', {}, admin);
      await cloud.ec2('RemoveExternalAddressBlock', { Cidr: '192.0.2.1/32' }, admin);
    },
  },
  {
    name: 'manage_network',
    async run(cloud) {
      await manageAll(cloud, [
        'network create second 10.8.0.0/28 1 16 --bridge=br200',
        'network list',
        'network modify 10.8.0.0/28 --project=proj2',
        'network modify 10.8.0.0/28 --host=cloud1',
      ]);
      expect((await cloud.manage('network', 'delete', '10.8.0.0/28')).status).to.equal(1);
      await manageAll(cloud, [
        'network modify 10.8.0.0/28 --disassociate-project',
        'network modify 10.8.0.0/28 --disassociate-host',
        'network delete 10.8.0.0/28',
        'network list',
      ]);
    },
  },
];

/** Has a nova-compute send notifications. */
export const notify = '--notification_driver=nova.notifier.rabbit_notifier';

/** Both compute hosts start again, from here on with notifications, as in the recording. */
export const restartFlow: Flow = {
  name: 'compute_restart',
  async prepare(cloud) {
    // the resizes before had one host alone to go to
    const enable = (host: string): string => `service enable --host=${host} --service=nova-compute`;
    await manageAll(cloud, ['cloud1', 'cloud2'].map(enable));
  },
  async run(cloud) {
    for (const host of ['cloud1', 'cloud2']) await cloud.restart('nova-compute', host, [notify]);
  },
};

/** The resources of a host, by the rows which {@link hostsMeasured} has made. */
export const describeResource: Flow = {
  ...managed('manage_describe_resource', ['service describe_resource --host=cloud1']),
  rules: { typesOnly: /\.usage\./ },
};

/** As in the recording the rows of compute_nodes are put in by hand: the fake driver makes none. */
export async function hostsMeasured(cloud: RecordedCloud): Promise<void> {
  const cpu = { arch: 'x86_64', model: 'fake', vendor: 'fake', topology: { cores: 4, threads: 1, sockets: 1 } };
  const text = JSON.stringify({ ...cpu, features: [] }, null, 1)
    .replace(/\n */g, ' ')
    .replace(/([[{]) | ([\]}])/g, '$1$2');
  await cloud.sql(
    `INSERT INTO compute_nodes (deleted, service_id, vcpus, memory_mb, local_gb, vcpus_used, memory_mb_used,
       local_gb_used, hypervisor_type, hypervisor_version, cpu_info)
     SELECT false, id, 16, 64000, 1000, 0, 0, 0, 'QEMU', 1, $1 FROM services WHERE "binary" = 'nova-compute'`,
    [text],
  );
}

/** The capabilities which each compute host publishes from its second periodic run on. */
export const periodicFlow: Flow = {
  name: 'periodic',
  rules: { byTheClock: true },
  async run(cloud) {
    const flags = [notify, '--periodic_interval=1', '--host_state_interval=1'];
    const first = cloud.recording.messages.length;
    const sent = (host: string): number =>
      cloud.recording.messages
        .slice(first)
        .filter(
          ({ exchange, body }) =>
            exchange === 'scheduler_fanout' && (body as { args: { host: string } }).args.host === host,
        ).length;
    for (const host of ['cloud1', 'cloud2']) {
      await cloud.restart('nova-compute', host, flags);
      await until(`four capability messages of ${host}`, () => sent(host) >= 4);
      await cloud.processes.daemon('nova-compute', host).stop();
    }
  },
};
