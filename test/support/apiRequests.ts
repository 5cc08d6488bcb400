import { absentActions } from '../../nova-api/ec2/absent.js';

/** What a user of {@link DemoWorld} has, by EC2 id or name. */
export interface Belongings {
  /** Runs, and has nothing attached. */
  instance: string;
  stopped: string;
  rescued: string;
  /** Runs, and has `attached` and `associated`. */
  holder: string;
  /** Available. */
  volume: string;
  attached: string;
  snapshot: string;
  /** Allocated, and free. */
  address: string;
  associated: string;
  key: string;
  /** Has a rule for tcp 22 from 10.0.0.0/8. */
  group: string;
  groupId: string;
  /** A private image. */
  image: string;
  /** A number which no other request has. */
  number: number;
}

export type RequestParams = Record<string, string>;

/** One which OpenSSH made. */
export const publicKey =
  'ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAAAgQDe0xQWhfqMHefYIViQzJ0NpsDHk7uUGpsDG708qNP6jTMsyPj6Jm/yxnnXnM4ljMwCY/xyEC1p' +
  'RnbppslawGdLtGemaMJNxOPCUPsEGy5PojGetPa2aKiISYky4/wljKcdalz76ftcllOAYWOK5EYoeQPBUPu7OiHegFYjKFOT7Q==';
const filter = (name: string, value: string): RequestParams => ({ 'Filter.1.Name': name, 'Filter.1.Value.1': value });

/** For each action a request which demo may send, with every parameter which the action reads. */
const requests: Readonly<Record<string, (has: Belongings) => RequestParams>> = {
  RunInstances: (has) => ({
    ImageId: has.image,
    MinCount: '1',
    MaxCount: '1',
    InstanceType: 'm1.tiny',
    KeyName: has.key,
    UserData: 'aGVsbG8=',
    'SecurityGroup.1': has.group,
    'SecurityGroupId.1': has.groupId,
    'NetworkInterface.1.SecurityGroupId.1': has.groupId,
    KernelId: 'nokernel',
    RamdiskId: 'nokernel',
    'Placement.AvailabilityZone': 'nova',
    'BlockDeviceMapping.1.DeviceName': '/dev/vdz',
    'BlockDeviceMapping.1.VirtualName': 'ephemeral1',
    'BlockDeviceMapping.1.NoDevice': 'true',
    'BlockDeviceMapping.1.Ebs.SnapshotId': has.snapshot,
    'BlockDeviceMapping.1.Ebs.VolumeSize': '1',
    'BlockDeviceMapping.1.Ebs.DeleteOnTermination': 'true',
    'BlockDeviceMapping.1.Ebs.NoDevice': 'false',
    DisplayName: 'web',
    DisplayDescription: 'a web server',
    ClientToken: `token-${has.number}`,
    'TagSpecification.1.ResourceType': 'instance',
    'TagSpecification.1.Tag.1.Key': 'role',
    'TagSpecification.1.Tag.1.Value': 'web',
  }),
  DescribeInstances: (has) => ({ 'InstanceId.1': has.instance, ...filter('instance-state-name', 'running') }),
  DescribeInstancesV6: (has) => ({ 'InstanceId.1': has.instance, ...filter('instance-state-name', 'running') }),
  DescribeInstanceStatus: (has) => ({
    'InstanceId.1': has.instance,
    IncludeAllInstances: 'true',
    ...filter('instance-type', 'm1.*'),
  }),
  DescribeInstanceAttribute: (has) => ({ InstanceId: has.instance, Attribute: 'instanceType' }),
  TerminateInstances: (has) => ({ 'InstanceId.1': has.instance }),
  StopInstances: (has) => ({ 'InstanceId.1': has.instance }),
  StartInstances: (has) => ({ 'InstanceId.1': has.stopped }),
  RebootInstances: (has) => ({ 'InstanceId.1': has.instance }),
  GetConsoleOutput: (has) => ({ 'InstanceId.1': has.instance }),
  UpdateInstance: (has) => ({ InstanceId: has.instance, DisplayName: 'web', DisplayDescription: 'a web server' }),
  ModifyInstanceAttribute: (has) => ({ InstanceId: has.stopped, Attribute: 'userData', Value: 'aGVsbG8=' }),
  ResetInstanceAttribute: (has) => ({ InstanceId: has.stopped, Attribute: 'kernel' }),
  MonitorInstances: (has) => ({ 'InstanceId.1': has.instance }),
  UnmonitorInstances: (has) => ({ 'InstanceId.1': has.instance }),
  GetPasswordData: (has) => ({ InstanceId: has.instance }),
  GetAjaxConsole: (has) => ({ 'InstanceId.1': has.instance }),
  GetVncConsole: (has) => ({ 'InstanceId.1': has.instance }),
  RescueInstance: (has) => ({ InstanceId: has.instance }),
  UnrescueInstance: (has) => ({ InstanceId: has.rescued }),
  DescribeInstanceTypes: () => ({ 'InstanceType.1': 'm1.tiny', ...filter('instance-type', 'm1.tiny') }),
  DescribeAccountAttributes: () => ({ 'AttributeName.1': 'max-instances' }),

  DescribeTags: () => filter('key', 'role'),
  CreateTags: (has) => ({ 'ResourceId.1': has.instance, 'Tag.1.Key': 'role', 'Tag.1.Value': 'web' }),
  DeleteTags: (has) => ({ 'ResourceId.1': has.volume, 'Tag.1.Key': 'role', 'Tag.1.Value': 'web' }),

  CreateVolume: (has) => ({
    Size: '1',
    SnapshotId: has.snapshot,
    AvailabilityZone: 'nova',
    DisplayName: 'data',
    DisplayDescription: 'of the database',
  }),
  DeleteVolume: (has) => ({ VolumeId: has.volume }),
  DescribeVolumes: (has) => ({ 'VolumeId.1': has.volume, ...filter('status', 'available') }),
  DescribeVolumeStatus: (has) => ({ 'VolumeId.1': has.volume, ...filter('status', 'available') }),
  DescribeVolumeAttribute: (has) => ({ VolumeId: has.volume, Attribute: 'autoEnableIO' }),
  UpdateVolume: (has) => ({ VolumeId: has.volume, DisplayName: 'data', DisplayDescription: 'new' }),
  AttachVolume: (has) => ({ VolumeId: has.volume, InstanceId: has.instance, Device: '/dev/vdc' }),
  DetachVolume: (has) => ({ VolumeId: has.attached, InstanceId: has.holder, Device: '/dev/vdb', Force: 'false' }),
  CreateSnapshot: (has) => ({
    VolumeId: has.volume,
    DisplayName: 'copy',
    DisplayDescription: 'of data',
    Description: 'of data',
  }),
  DescribeSnapshots: (has) => ({
    'SnapshotId.1': has.snapshot,
    'Owner.1': 'self',
    'RestorableBy.1': 'self',
    ...filter('status', 'available'),
  }),
  DescribeSnapshotAttribute: (has) => ({ SnapshotId: has.snapshot, Attribute: 'createVolumePermission' }),
  ResetSnapshotAttribute: (has) => ({ SnapshotId: has.snapshot, Attribute: 'createVolumePermission' }),
  DeleteSnapshot: (has) => ({ SnapshotId: has.snapshot }),

  AllocateAddress: () => ({}),
  ReleaseAddress: (has) => ({ PublicIp: has.address }),
  AssociateAddress: (has) => ({ InstanceId: has.instance, PublicIp: has.address }),
  DisassociateAddress: (has) => ({ PublicIp: has.associated }),
  DescribeAddresses: (has) => ({ 'PublicIp.1': has.address, ...filter('domain', 'standard') }),

  CreateKeyPair: (has) => ({ KeyName: `key-${has.number}` }),
  ImportKeyPair: (has) => ({
    KeyName: `imported-${has.number}`,
    PublicKeyMaterial: Buffer.from(publicKey).toString('base64'),
  }),
  ImportPublicKey: (has) => ({ KeyName: `public-${has.number}`, PublicKey: publicKey, Fingerprint: '00:11' }),
  DescribeKeyPairs: (has) => ({ 'KeyName.1': has.key, ...filter('key-name', '*') }),
  DeleteKeyPair: (has) => ({ KeyName: `key-${has.number}` }),

  DescribeSecurityGroups: (has) => ({
    'GroupName.1': has.group,
    'GroupId.1': has.groupId,
    ...filter('ip-permission.protocol', 'tcp'),
  }),
  CreateSecurityGroup: (has) => ({ GroupName: `group-${has.number}`, GroupDescription: 'for a test' }),
  DeleteSecurityGroup: (has) => ({ GroupName: has.group, GroupId: has.groupId }),
  AuthorizeSecurityGroupIngress: (has) => ({
    GroupName: has.group,
    GroupId: has.groupId,
    IpProtocol: 'tcp',
    FromPort: String(1 + (has.number % 60_000)),
    ToPort: '65000',
    CidrIp: '192.0.2.0/24',
    SourceSecurityGroupName: has.group,
    SourceSecurityGroupOwnerId: 'demo',
    'IpPermissions.1.IpProtocol': 'udp',
    'IpPermissions.1.FromPort': String(1 + (has.number % 60_000)),
    'IpPermissions.1.ToPort': '65000',
    'IpPermissions.1.IpRanges.1.CidrIp': '192.0.2.0/24',
    'IpPermissions.1.Ipv6Ranges.1.CidrIpv6': '2001:db8::/32',
    'IpPermissions.1.Groups.1.GroupName': has.group,
    'IpPermissions.1.Groups.1.GroupId': has.groupId,
    'IpPermissions.1.Groups.1.UserId': 'demo',
  }),
  RevokeSecurityGroupIngress: (has) => ({
    GroupName: has.group,
    GroupId: has.groupId,
    IpProtocol: 'tcp',
    FromPort: '22',
    ToPort: '22',
    CidrIp: '10.0.0.0/8',
  }),

  DescribeImages: (has) => ({
    'ImageId.1': has.image,
    'Owner.1': 'self',
    'ExecutableBy.1': 'self',
    ...filter('name', '*'),
  }),
  DescribeImageAttribute: (has) => ({ ImageId: has.image, Attribute: 'launchPermission' }),
  ModifyImageAttribute: (has) => ({
    ImageId: has.image,
    Attribute: 'launchPermission',
    OperationType: 'remove',
    'UserGroup.1': 'all',
    'LaunchPermission.Remove.1.Group': 'all',
  }),
  ResetImageAttribute: (has) => ({ ImageId: has.image, Attribute: 'launchPermission' }),
  DeregisterImage: (has) => ({ ImageId: has.image }),
  UpdateImage: (has) => ({
    ImageId: has.image,
    Name: 'renamed',
    Description: 'another',
    Architecture: 'x86_64',
    IsPublic: 'false',
  }),
  CreateImage: (has) => ({
    InstanceId: has.instance,
    Name: `copy-${has.number}`,
    Description: 'of an instance',
    NoReboot: 'true',
  }),
  RegisterImage: (has) => ({
    Name: `registered-${has.number}`,
    Description: 'of a snapshot',
    Architecture: 'x86_64',
    RootDeviceName: '/dev/vda',
    'BlockDeviceMapping.1.DeviceName': '/dev/vda',
    'BlockDeviceMapping.1.Ebs.SnapshotId': has.snapshot,
    'BlockDeviceMapping.1.Ebs.VolumeSize': '1',
    'BlockDeviceMapping.1.Ebs.DeleteOnTermination': 'true',
  }),

  DescribeAvailabilityZones: () => ({ 'ZoneName.1': 'nova', ...filter('state', 'available') }),
  DescribeRegions: () => ({ 'RegionName.1': 'nova', ...filter('region-name', 'nova') }),
  ...Object.fromEntries(Object.keys(absentActions).map((name) => [name, () => ({})])),
};

/** A request of an action. Throws for an action which has none: whoever adds one to the server adds a request here. */
export function requestOf(action: string, has: Belongings): RequestParams {
  const request = requests[action];
  if (request === undefined) throw new Error(`test/support/apiRequests.ts has no request for ${action}`);
  return request(has);
}
