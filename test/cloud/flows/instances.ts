import { texts, type RecordedCloud } from '../recordedCloud.js';
import type { Flow } from './flow.js';

const one = (id: string): Record<string, string> => ({ 'InstanceId.1': id });

async function terminate(cloud: RecordedCloud, id: string): Promise<void> {
  await cloud.ec2('TerminateInstances', one(id));
  await cloud.untilGone(id);
}

async function securityGroups(cloud: RecordedCloud): Promise<void> {
  const rule = async (
    verb: 'Authorize' | 'Revoke',
    group: string,
    protocol: string,
    port: number,
    cidr = '0.0.0.0/0',
  ): Promise<void> => {
    await cloud.ec2(`${verb}SecurityGroupIngress`, {
      GroupName: group,
      IpProtocol: protocol,
      FromPort: String(port),
      ToPort: String(port),
      CidrIp: cidr,
    });
  };
  const source = { GroupName: 'default', SourceSecurityGroupName: 'web', SourceSecurityGroupOwnerId: 'proj' };
  await cloud.ec2('CreateSecurityGroup', { GroupName: 'web', GroupDescription: 'web servers' });
  await rule('Authorize', 'web', 'tcp', 80);
  await rule('Authorize', 'default', 'tcp', 22, '10.1.0.0/16');
  await rule('Authorize', 'default', 'icmp', -1);
  await cloud.ec2('AuthorizeSecurityGroupIngress', source);
  await cloud.ec2('DescribeSecurityGroups');
  const [id] = await cloud.run({ 'SecurityGroup.1': 'web' });
  await rule('Authorize', 'web', 'tcp', 443);
  await rule('Revoke', 'default', 'tcp', 22, '10.1.0.0/16');
  await rule('Revoke', 'web', 'tcp', 80);
  await terminate(cloud, id!);
  await cloud.ec2('RevokeSecurityGroupIngress', source);
  await cloud.settle();
  await cloud.ec2('DeleteSecurityGroup', { GroupName: 'web' });
}

/** The life of instances on one host. Instance 1 stays for the flows after these. */
export const instanceFlows: readonly Flow[] = [
  {
    name: 'run_instances_1',
    async run(cloud) {
      await cloud.run({ KeyName: 'k1' });
      await cloud.ec2('DescribeInstances');
    },
  },
  {
    name: 'run_instances_3',
    rules: { parallel: true },
    async run(cloud) {
      const userData = Buffer.from('hello').toString('base64');
      await cloud.run({ MaxCount: '3', InstanceType: 'm1.small', UserData: userData });
    },
  },
  {
    name: 'get_console_output',
    run: async (cloud) => void (await cloud.ec2('GetConsoleOutput', { InstanceId: 'i-00000001' })),
  },
  {
    name: 'reboot',
    async run(cloud) {
      await cloud.ec2('RebootInstances', one('i-00000001'));
      await cloud.untilState('i-00000001', 'active');
    },
  },
  {
    name: 'stop_instances',
    async run(cloud) {
      await cloud.ec2('StopInstances', one('i-00000004'));
      await cloud.untilState('i-00000004', 'stopped');
    },
  },
  {
    name: 'start_instances',
    async run(cloud) {
      await cloud.ec2('StartInstances', one('i-00000004'));
      await cloud.untilState('i-00000004', 'active');
    },
  },
  { name: 'terminate', run: (cloud) => terminate(cloud, 'i-00000002') },
  { name: 'security_groups', run: securityGroups },
];

async function attach(cloud: RecordedCloud, volume: string, instance: string): Promise<void> {
  await cloud.ec2('AttachVolume', { VolumeId: volume, InstanceId: instance, Device: '/dev/vdb' });
  await cloud.untilVolume(volume, 'in-use');
}

/** Volumes, snapshots, and instances which have some. */
export const volumeFlows: readonly Flow[] = [
  {
    name: 'volume_create',
    async run(cloud) {
      const [id] = texts(await cloud.ec2('CreateVolume', { Size: '1', AvailabilityZone: 'nova' }), 'volumeId');
      await cloud.untilVolume(id!, 'available');
    },
  },
  { name: 'volume_attach', run: (cloud) => attach(cloud, 'vol-00000001', 'i-00000001') },
  {
    name: 'volume_delete_attached_refused',
    async run(cloud) {
      const device = { InstanceId: 'i-00000001', Device: '/dev/vdb' };
      await cloud.ec2('DeleteVolume', { VolumeId: 'vol-00000001' }, { refused: true });
      await cloud.ec2('AttachVolume', { VolumeId: 'vol-00000001', ...device }, { refused: true });
    },
  },
  {
    name: 'volume_detach',
    async run(cloud) {
      await cloud.ec2('DetachVolume', { VolumeId: 'vol-00000001' });
      await cloud.untilVolume('vol-00000001', 'available');
    },
  },
  {
    name: 'snapshot_create',
    async run(cloud) {
      await cloud.ec2('CreateSnapshot', { VolumeId: 'vol-00000001' });
      await cloud.untilTrue(`SELECT status = 'available' FROM snapshots WHERE id = 1`);
    },
  },
  {
    name: 'volume_from_snapshot',
    async run(cloud) {
      const params = { SnapshotId: 'snap-00000001', AvailabilityZone: 'nova' };
      const [id] = texts(await cloud.ec2('CreateVolume', params), 'volumeId');
      await cloud.untilVolume(id!, 'available');
    },
  },
  {
    name: 'snapshot_delete',
    async run(cloud) {
      await cloud.ec2('DeleteSnapshot', { SnapshotId: 'snap-00000001' });
      await cloud.untilTrue('SELECT deleted FROM snapshots WHERE id = 1');
    },
  },
  {
    name: 'volume_delete',
    async run(cloud) {
      await cloud.ec2('DeleteVolume', { VolumeId: 'vol-00000002' });
      await cloud.untilTrue('SELECT deleted FROM volumes WHERE id = 2');
    },
  },
  {
    name: 'volume_attach_terminate',
    async run(cloud) {
      await attach(cloud, 'vol-00000001', 'i-00000003');
      await terminate(cloud, 'i-00000003');
    },
  },
  {
    name: 'run_instances_bdm',
    async run(cloud) {
      // The recorded client also named a device with `no_device`, of which nothing reached the rows.
      const [id] = await cloud.run({
        'BlockDeviceMapping.1.DeviceName': '/dev/vdb',
        'BlockDeviceMapping.1.VirtualName': 'ephemeral0',
        'BlockDeviceMapping.2.DeviceName': '/dev/vdc',
        'BlockDeviceMapping.2.Ebs.SnapshotId': 'vol-00000001',
        'BlockDeviceMapping.2.Ebs.VolumeSize': '1',
        'BlockDeviceMapping.2.Ebs.DeleteOnTermination': 'true',
      });
      await terminate(cloud, id!);
      await cloud.untilTrue('SELECT deleted FROM volumes WHERE id = 1');
    },
  },
];
