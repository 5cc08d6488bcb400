import { expect } from 'chai';
import { createHash } from 'node:crypto';
import { cloudActions } from '../../nova-api/ec2/index.js';
import { startApiCloud, textOf, unlimited, type ApiCloud, type Caller } from '../support/apiCloud.js';

type Traffic = ReturnType<ApiCloud['traffic']>;
type Params = Readonly<Record<string, string | number>>;

/** A public key which differs from all others. */
function publicKey(index: number): string {
  const name = Buffer.from('ssh-rsa');
  const part = (bytes: Buffer): Buffer => {
    const length = Buffer.alloc(4);
    length.writeUInt32BE(bytes.length);
    return Buffer.concat([length, bytes]);
  };
  const modulus = Buffer.concat([Buffer.from([0, 0x80]), createHash('sha512').update(String(index)).digest()]);
  const blob = Buffer.concat([part(name), part(Buffer.from([1, 0, 1])), part(modulus)]);
  return `ssh-rsa ${blob.toString('base64')}`;
}

/** `Name.1`, `Name.2`, … */
function numbered(name: string, values: readonly string[]): Record<string, string> {
  return Object.fromEntries(values.map((value, index) => [`${name}.${index + 1}`, value]));
}

/** What there is by now, by its EC2 ids. */
interface World {
  instances: string[];
  volumes: string[];
  snapshots: string[];
  addresses: string[];
  groups: string[];
  keys: string[];
  images: string[];
}

describe('an API call', function () {
  this.timeout(300_000);
  const sizes = [1, 10, 50];
  let cloud: ApiCloud;
  let demo: Caller;
  const world: World = {
    instances: [],
    volumes: [],
    snapshots: [],
    addresses: [],
    groups: [],
    keys: [],
    images: [],
  };
  /** Statements and messages of each call, by size. */
  const seen = new Map<string, Traffic[]>();
  /** How many items each call has answered at last. */
  const answered = new Map<string, number>();

  before(async () => {
    cloud = await startApiCloud(unlimited);
    demo = cloud.as('demo');
    for (const size of sizes) {
      await grow(size);
      await measureAll();
    }
  });
  after(() => cloud?.stop());

  /** Makes so many of everything, each with what hangs on it. */
  async function grow(size: number): Promise<void> {
    for (let index = world.instances.length; index < size; index += 1) {
      const key = `key-${index}`;
      await demo.ok('ImportKeyPair', {
        KeyName: key,
        PublicKeyMaterial: Buffer.from(publicKey(index)).toString('base64'),
      });
      const group = `group-${index}`;
      await demo.ok('CreateSecurityGroup', { GroupName: group, GroupDescription: 'one of many' });
      await demo.ok('AuthorizeSecurityGroupIngress', {
        GroupName: group,
        'IpPermissions.1.IpProtocol': 'tcp',
        'IpPermissions.1.FromPort': 22,
        'IpPermissions.1.ToPort': 22,
        'IpPermissions.1.Groups.1.GroupName': 'group-0',
      });
      const wish = { ImageId: cloud.image, MinCount: 1, MaxCount: 1, KeyName: key, 'SecurityGroup.1': group };
      const instance = textOf(await demo.ok('RunInstances', wish), 'instanceId');
      const volume = textOf(await demo.ok('CreateVolume', { Size: 1, AvailabilityZone: 'nova' }), 'volumeId');
      const address = textOf(await demo.ok('AllocateAddress'), 'publicIp');
      await cloud.settle();
      await demo.ok('AssociateAddress', { InstanceId: instance, PublicIp: address });
      const snapshot = textOf(await demo.ok('CreateSnapshot', { VolumeId: volume }), 'snapshotId');
      await cloud.settle();
      await demo.ok('AttachVolume', { InstanceId: instance, VolumeId: volume, Device: '/dev/vdc' });
      await demo.ok('CreateTags', { 'ResourceId.1': instance, 'Tag.1.Key': 'number', 'Tag.1.Value': index });
      const image = await cloud.images.create(
        cloud.adminContext(),
        { name: `image-${index}`, disk_format: 'raw', container_format: 'bare', is_public: true },
        new Blob(['bits']).stream() as ReadableStream<Uint8Array>,
      );
      world.keys.push(key);
      world.groups.push(group);
      world.instances.push(instance);
      world.volumes.push(volume);
      world.snapshots.push(snapshot);
      world.addresses.push(address);
      world.images.push(`ami-${Number(image.id).toString(16).padStart(8, '0')}`);
    }
    await cloud.settle();
  }

  /** What to ask: everything, where an action must not be told what of, and by id where it may. */
  function questions(): [name: string, action: string, params: Params][] {
    const [instance, image] = [world.instances[0]!, world.images[0]!];
    const first: Record<string, Params> = {
      DescribeInstanceAttribute: { InstanceId: instance, Attribute: 'instanceType' },
      DescribeImageAttribute: { ImageId: image, Attribute: 'launchPermission' },
    };
    const everything = [...cloudActions().keys()]
      .filter((name) => name.startsWith('Describe'))
      .map((name): [string, string, Params] => [name, name, first[name] ?? {}]);
    const ids: [string, string, readonly string[]][] = [
      ['DescribeInstances', 'InstanceId', world.instances],
      ['DescribeInstanceStatus', 'InstanceId', world.instances],
      ['DescribeVolumes', 'VolumeId', world.volumes],
      ['DescribeSnapshots', 'SnapshotId', world.snapshots],
      ['DescribeAddresses', 'PublicIp', world.addresses],
      ['DescribeSecurityGroups', 'GroupName', world.groups],
      ['DescribeKeyPairs', 'KeyName', world.keys],
      ['DescribeImages', 'ImageId', world.images],
      ['MonitorInstances', 'InstanceId', world.instances],
      ['UnmonitorInstances', 'InstanceId', world.instances],
    ];
    const byId = ids.map(([action, name, values]): [string, string, Params] => [
      `${action} by ${name}`,
      action,
      numbered(name, values),
    ]);
    return [...everything, ...byId];
  }

  async function measureAll(): Promise<void> {
    for (const [name, action, params] of questions()) {
      const counts: Traffic[] = [];
      // the daemons have work of their own now and then: what the call itself needs is the least
      for (let attempt = 0; attempt < 3; attempt += 1) {
        const before = cloud.traffic();
        const answer = await demo.call(action, params);
        const after = cloud.traffic();
        counts.push({ statements: after.statements - before.statements, messages: after.messages - before.messages });
        if (answer.status === 200) answered.set(name, answer.xml.split('<item>').length - 1);
      }
      const least = (of: keyof Traffic): number => Math.min(...counts.map((count) => count[of]));
      const list = seen.get(name) ?? [];
      list.push({ statements: least('statements'), messages: least('messages') });
      seen.set(name, list);
    }
  }

  it('which describes asks as much of the database and the bus for fifty rows as for one', () => {
    const growing = [...seen].filter(([, counts]) => {
      const [first, ...more] = counts;
      return more.some((one) => one.statements > first!.statements || one.messages > first!.messages);
    });
    expect(Object.fromEntries(growing.map(([name, counts]) => [name, JSON.stringify(counts)]))).to.deep.equal({});
  });

  it('has answered fifty rows meanwhile', () => {
    const lists = [
      'Instances',
      'InstanceStatus',
      'Volumes',
      'Snapshots',
      'Addresses',
      'SecurityGroups',
      'KeyPairs',
      'Images',
      'Tags',
    ];
    const short = lists.map((what) => `Describe${what}`).filter((name) => (answered.get(name) ?? 0) < 50);
    expect(short).to.deep.equal([]);
    expect([...answered.keys()].filter((name) => name.includes(' by ') && answered.get(name)! < 50)).to.deep.equal([]);
    expect(answered.size).to.be.above(25);
  });
});
