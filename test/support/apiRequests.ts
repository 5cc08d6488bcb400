import { absentActions } from '../../nova-api/ec2/absent.js';
import { type ApiCloud, type Caller, textOf } from './apiCloud.js';

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

const publicKey =
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

/** Makes what demo (or other, in a project of its own) has, and makes anew what a request has used up. */
export class DemoWorld {
  readonly #demo: Caller;
  readonly #has: Belongings = {
    instance: '',
    stopped: '',
    rescued: '',
    holder: '',
    volume: '',
    attached: '',
    snapshot: '',
    address: '',
    associated: '',
    key: '',
    group: '',
    groupId: '',
    image: '',
    number: 0,
  };

  constructor(
    private readonly cloud: ApiCloud,
    private readonly owner: 'demo' | 'other' = 'demo',
  ) {
    this.#demo = cloud.as(owner);
    Object.assign(this.#has, { key: `${owner}-key`, group: `web-of-${owner}` });
  }

  /** What there is, with a new number; not looked at. */
  next(): Belongings {
    this.#has.number++;
    return { ...this.#has };
  }

  /** What there is, each in the state which its name promises, and a new number. */
  async renew(): Promise<Belongings> {
    const { cloud } = this;
    const has = this.#has;
    has.number++;
    await cloud.settle();
    const wants: [keyof Belongings, string, () => Promise<string>][] = [
      ['instance', "vm_state = 'active' AND task_state IS NULL AND deleted = ?", () => this.#run()],
      ['holder', "vm_state = 'active' AND task_state IS NULL AND deleted = ?", () => this.#run()],
      ['stopped', "vm_state = 'stopped' AND task_state IS NULL AND deleted = ?", () => this.#stopped()],
      ['rescued', "vm_state = 'rescued' AND task_state IS NULL AND deleted = ?", () => this.#rescued()],
      ['volume', "status = 'available' AND deleted = ?", () => this.#volume()],
      ['snapshot', "status = 'available' AND deleted = ?", () => this.#snapshot()],
    ];
    for (const [name, condition, make] of wants) {
      if (!(await this.#stands(String(has[name]), condition)))
        (has as unknown as Record<string, string>)[name] = await make();
    }
    await this.#attachment();
    await this.#addresses();
    await this.#keyAndGroup();
    await this.#image();
    await cloud.settle();
    return { ...has };
  }

  async #stands(id: string, condition: string): Promise<boolean> {
    const [, prefix, hex] = /^(\w+)-([0-9a-f]+)$/.exec(id) ?? [];
    if (prefix === undefined) return false;
    const table = { i: 'instances', vol: 'volumes', snap: 'snapshots' }[prefix]!;
    const sql = `SELECT id FROM ${table} WHERE id = ? AND ${condition}`;
    return (await this.cloud.db.first(sql, [parseInt(hex!, 16), false])) !== undefined;
  }

  async #run(): Promise<string> {
    const run = await this.#demo.ok('RunInstances', { ImageId: this.cloud.image, InstanceType: 'm1.tiny' });
    await this.cloud.settle();
    return textOf(run, 'instanceId');
  }

  async #stopped(): Promise<string> {
    const id = await this.#run();
    await this.#demo.ok('StopInstances', { 'InstanceId.1': id });
    await this.cloud.settle();
    return id;
  }

  async #rescued(): Promise<string> {
    const id = await this.#run();
    await this.cloud.as('admin').ok('RescueInstance', { InstanceId: id });
    await this.cloud.settle();
    return id;
  }

  async #volume(): Promise<string> {
    const made = await this.#demo.ok('CreateVolume', { Size: 1 });
    await this.cloud.settle();
    return textOf(made, 'volumeId');
  }

  async #snapshot(): Promise<string> {
    const made = await this.#demo.ok('CreateSnapshot', { VolumeId: this.#has.volume });
    await this.cloud.settle();
    return textOf(made, 'snapshotId');
  }

  async #attachment(): Promise<void> {
    const { db } = this.cloud;
    const holder = parseInt(this.#has.holder.slice(2), 16);
    const attachedIs = (id: string): Promise<unknown> =>
      db.first('SELECT id FROM volumes WHERE id = ? AND instance_id = ? AND deleted = ?', [
        parseInt(id.slice(4), 16) || 0,
        holder,
        false,
      ]);
    if ((await attachedIs(this.#has.attached)) !== undefined) return;
    this.#has.attached = await this.#volume();
    const wish = { VolumeId: this.#has.attached, InstanceId: this.#has.holder, Device: '/dev/vdb' };
    await this.#demo.ok('AttachVolume', wish);
    for (let round = 0; (await attachedIs(this.#has.attached)) === undefined; round++) {
      if (round > 2000) throw new Error('The volume is not attached');
      await pause();
    }
  }

  async #addresses(): Promise<void> {
    const { db } = this.cloud;
    const row = (address: string): Promise<{ fixed_ip_id: number | null; project_id: string | null } | undefined> =>
      db.first('SELECT fixed_ip_id, project_id FROM floating_ips WHERE address = ?', [address]);
    const allocate = async (): Promise<string> => textOf(await this.#demo.ok('AllocateAddress'), 'publicIp');
    const free = await row(this.#has.address);
    if (free?.project_id !== this.owner || free.fixed_ip_id !== null) this.#has.address = await allocate();
    const used = await row(this.#has.associated);
    if (used?.project_id !== this.owner) this.#has.associated = await allocate();
    if (used?.project_id === this.owner && used.fixed_ip_id !== null) return;
    await this.#demo.ok('AssociateAddress', { PublicIp: this.#has.associated, InstanceId: this.#has.holder });
    for (let round = 0; (await row(this.#has.associated))?.fixed_ip_id == null; round++) {
      if (round > 2000) throw new Error('The address is not associated');
      await pause();
    }
  }

  async #keyAndGroup(): Promise<void> {
    const { db } = this.cloud;
    const key = await db.first('SELECT id FROM key_pairs WHERE user_id = ? AND name = ? AND deleted = ?', [
      this.owner,
      this.#has.key,
      false,
    ]);
    if (key === undefined) await this.#demo.ok('ImportPublicKey', { KeyName: this.#has.key, PublicKey: publicKey });
    const group = await db.first<{ id: number }>(
      'SELECT id FROM security_groups WHERE project_id = ? AND name = ? AND deleted = ?',
      [this.owner, this.#has.group, false],
    );
    if (group === undefined) {
      const made = await this.#demo.ok('CreateSecurityGroup', { GroupName: this.#has.group, GroupDescription: 'web' });
      this.#has.groupId = textOf(made, 'groupId');
    }
    const groupId = parseInt(this.#has.groupId.slice(3), 16);
    const rule = await db.first(
      'SELECT id FROM security_group_rules WHERE parent_group_id = ? AND from_port = ? AND cidr = ? AND deleted = ?',
      [groupId, 22, '10.0.0.0/8', false],
    );
    if (rule !== undefined) return;
    const ssh = { IpProtocol: 'tcp', FromPort: 22, ToPort: 22, CidrIp: '10.0.0.0/8' };
    await this.#demo.ok('AuthorizeSecurityGroupIngress', { GroupName: this.#has.group, ...ssh });
  }

  async #image(): Promise<void> {
    const shown = await this.#demo.call('DescribeImages', { 'ImageId.1': this.#has.image || 'ami-7fffffff' });
    if (shown.status === 200 && shown.xml.includes('<isPublic>false<')) return;
    this.#has.image = await privateImage(this.cloud, this.owner);
  }
}

/** Registers an image which only its project sees. Answers its EC2 id. */
export async function privateImage(cloud: ApiCloud, projectId: string): Promise<string> {
  const image = await cloud.images.create(
    cloud.adminContext(),
    {
      name: `private of ${projectId}`,
      disk_format: 'raw',
      container_format: 'bare',
      is_public: false,
      properties: { project_id: projectId },
    },
    new Blob(['private']).stream() as ReadableStream<Uint8Array>,
  );
  return `ami-${Number(image.id).toString(16).padStart(8, '0')}`;
}

function pause(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, 5));
}
