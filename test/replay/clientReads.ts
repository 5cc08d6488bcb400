/** The elements of an answer which a client reads, as paths below `of`. */
export interface Reads {
  /** The elements which hold one thing each: `reservationSet/item`; the document itself when empty. */
  readonly of: string;
  /** In each of them, perhaps empty. */
  readonly always: readonly string[];
  /** In one of a run's answers at least: what not every such thing has. */
  readonly sometimes?: readonly string[];
  /** Read when they are there; these never are. */
  readonly never?: readonly string[];
}

const attachment = ['volumeId', 'instanceId', 'status', 'attachTime', 'device'].map(
  (name) => `attachmentSet/item/${name}`,
);
const mapping = ['deviceName', 'ebs/volumeId', 'ebs/status', 'ebs/attachTime', 'ebs/deleteOnTermination'].map(
  (name) => `blockDeviceMapping/item/${name}`,
);
const rule = [
  'ipProtocol',
  'fromPort',
  'toPort',
  'groups/item/userId',
  'groups/item/groupName',
  'ipRanges/item/cidrIp',
].map((name) => `ipPermissions/item/${name}`);

const reservation = ['reservationId', 'ownerId', 'groupSet', 'instancesSet/item'];
const instance = [
  ...['instanceId', 'imageId', 'instanceState/code', 'instanceState/name', 'dnsName', 'privateDnsName', 'keyName'],
  ...['amiLaunchIndex', 'instanceType', 'launchTime', 'placement/availabilityZone', 'ipAddress', 'privateIpAddress'],
  ...['rootDeviceName', 'rootDeviceType', 'monitoring/state', 'productCodesSet'],
];
const image = [
  ...['imageId', 'imageLocation', 'imageState', 'imageOwnerId', 'isPublic', 'architecture', 'imageType'],
  ...['rootDeviceType', 'rootDeviceName', 'name', 'description'],
];
const volume = ['volumeId', 'size', 'snapshotId', 'availabilityZone', 'status', 'createTime', 'attachmentSet'];
const snapshot = [
  ...['snapshotId', 'volumeId', 'status', 'startTime', 'progress', 'ownerId', 'volumeSize', 'description'],
];
const stateChange = [
  'instanceId',
  'currentState/code',
  'currentState/name',
  'previousState/code',
  'previousState/name',
];
const done: readonly Reads[] = [{ of: '', always: ['return'] }];

/** What all three read, which stand on boto or on what boto read. */
const all: Readonly<Record<string, readonly Reads[]>> = {
  DescribeRegions: [{ of: 'regionInfo/item', always: ['regionName', 'regionEndpoint'] }],
  DescribeAvailabilityZones: [{ of: 'availabilityZoneInfo/item', always: ['zoneName', 'zoneState'] }],
  DescribeImages: [{ of: 'imagesSet/item', always: image, sometimes: ['kernelId', 'ramdiskId'], never: ['platform'] }],
  DescribeImageAttribute: [{ of: '', always: ['imageId'], sometimes: ['launchPermission/item/group'] }],
  ModifyImageAttribute: done,
  CreateKeyPair: [{ of: '', always: ['keyName', 'keyFingerprint', 'keyMaterial'] }],
  DescribeKeyPairs: [{ of: 'keySet/item', always: ['keyName', 'keyFingerprint'] }],
  DeleteKeyPair: done,
  CreateSecurityGroup: done,
  DescribeSecurityGroups: [
    { of: 'securityGroupInfo/item', always: ['ownerId', 'groupName', 'groupDescription'], sometimes: rule },
  ],
  AuthorizeSecurityGroupIngress: done,
  RevokeSecurityGroupIngress: done,
  DeleteSecurityGroup: done,
  RunInstances: [
    { of: '', always: reservation, sometimes: ['groupSet/item/groupId'] },
    { of: 'instancesSet/item', always: instance, sometimes: ['kernelId', 'ramdiskId'] },
  ],
  DescribeInstances: [
    { of: 'reservationSet/item', always: reservation, sometimes: ['groupSet/item/groupId'] },
    {
      of: 'reservationSet/item/instancesSet/item',
      always: instance,
      sometimes: ['kernelId', 'ramdiskId', ...mapping],
      never: ['platform'],
    },
  ],
  TerminateInstances: [...done, { of: 'instancesSet/item', always: stateChange }],
  RebootInstances: done,
  GetConsoleOutput: [{ of: '', always: ['instanceId', 'timestamp', 'output'] }],
  CreateVolume: [{ of: '', always: volume }],
  DescribeVolumes: [{ of: 'volumeSet/item', always: volume, sometimes: attachment }],
  AttachVolume: [{ of: '', always: ['volumeId', 'instanceId', 'device', 'status', 'attachTime'] }],
  DetachVolume: [{ of: '', always: ['volumeId', 'instanceId', 'device', 'status', 'attachTime'] }],
  DeleteVolume: done,
  CreateSnapshot: [{ of: '', always: snapshot }],
  DescribeSnapshots: [{ of: 'snapshotSet/item', always: snapshot }],
  DeleteSnapshot: done,
  AllocateAddress: [{ of: '', always: ['publicIp'] }],
  DescribeAddresses: [{ of: 'addressesSet/item', always: ['publicIp', 'instanceId'] }],
  AssociateAddress: done,
  DisassociateAddress: done,
  ReleaseAddress: done,
  RegisterImage: [{ of: '', always: ['imageId'] }],
  CreateImage: [{ of: '', always: ['imageId'] }],
  DeregisterImage: done,
};

const startStop = {
  StartInstances: [...done, { of: 'instancesSet/item', always: stateChange }],
  StopInstances: [...done, { of: 'instancesSet/item', always: stateChange }],
  ImportKeyPair: [{ of: '', always: ['keyName', 'keyFingerprint'] }],
};

/**
 * What euca2ools read of the answers, by action: found by reading and running them. No registry has them any more, so
 * their recorded requests stand for them.
 */
export const clientReads: Readonly<Record<string, Readonly<Record<string, readonly Reads[]>>>> = {
  'euca2ools-1.3.1': all,
  'euca2ools-2.1.4': { ...all, ...startStop },
  'euca2ools-3.4.1': {
    ...all,
    ...startStop,
    CreateSecurityGroup: [{ of: '', always: ['return', 'groupId'] }],
    DescribeSecurityGroups: [...all['DescribeSecurityGroups']!, { of: 'securityGroupInfo/item', always: ['groupId'] }],
    DescribeInstances: [
      ...all['DescribeInstances']!,
      {
        of: 'reservationSet/item/instancesSet/item',
        always: ['virtualizationType', 'groupSet'],
        sometimes: ['groupSet/item/groupId'],
        never: ['hypervisor', 'clientToken', 'architecture', 'iamInstanceProfile/arn'],
      },
    ],
    DescribeAddresses: [{ of: 'addressesSet/item', always: ['publicIp', 'instanceId', 'domain'] }],
  },
};
