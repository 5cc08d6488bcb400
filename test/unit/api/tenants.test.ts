import { expect } from 'chai';
import { cloudActions } from '../../../nova-api/ec2/index.js';
import {
  type ApiCloud,
  type Caller,
  type CallParams,
  startApiCloud,
  textOf,
  textsOf,
  unlimited,
} from '../../support/apiCloud.js';
import type { Belongings } from '../../support/apiRequests.js';
import { DemoWorld, privateImage } from '../../support/demoWorld.js';

/** What project other has. */
interface Own {
  instance: string;
  volume: string;
  snapshot: string;
  address: string;
  image: string;
  groupId: string;
}

describe('one project and what another has', function () {
  this.timeout(60_000);
  let cloud: ApiCloud;
  let demo: Belongings;
  let other: Caller;
  let own: Own;

  before(async () => {
    cloud = await startApiCloud(unlimited);
    demo = await new DemoWorld(cloud).renew();
    await cloud
      .as('demo')
      .ok('CreateTags', { 'ResourceId.1': demo.instance, 'Tag.1.Key': 'owner', 'Tag.1.Value': 'demo' });
    other = cloud.as('other');
    const run = await other.ok('RunInstances', { ImageId: cloud.image, InstanceType: 'm1.tiny' });
    const volume = textOf(await other.ok('CreateVolume', { Size: 1 }), 'volumeId');
    await cloud.settle();
    own = {
      instance: textOf(run, 'instanceId'),
      volume,
      snapshot: textOf(await other.ok('CreateSnapshot', { VolumeId: volume }), 'snapshotId'),
      address: textOf(await other.ok('AllocateAddress'), 'publicIp'),
      image: await privateImage(cloud, 'other'),
      groupId: textOf(await other.ok('CreateSecurityGroup', { GroupName: 'own', GroupDescription: 'own' }), 'groupId'),
    };
    await cloud.settle();
  });
  after(() => cloud.stop());

  it('is shown nothing of it by any action which describes', async () => {
    const theirs = [
      ...Object.entries(demo)
        .filter(([name]) => name !== 'number' && name !== 'group')
        .map(([, value]) => `>${String(value)}<`),
      '>demo<',
      '>web<',
      'private of demo',
    ];
    const describing = [...cloudActions().keys()].filter((action) => action.startsWith('Describe'));
    for (const action of describing) {
      const answer = await other.call(action);
      if (answer.status !== 200) {
        expect(answer.code, action).to.equal('MissingParameter');
        continue;
      }
      for (const value of theirs) expect(answer.xml, `${action} and ${value}`).not.to.include(value);
    }
    // The listings are those of a project which has something.
    for (const [action, value] of [
      ['DescribeInstances', own.instance],
      ['DescribeVolumes', own.volume],
      ['DescribeSnapshots', own.snapshot],
      ['DescribeAddresses', own.address],
      ['DescribeImages', own.image],
      ['DescribeSecurityGroups', 'own'],
    ] as const) {
      expect((await other.ok(action)).xml, action).to.include(value);
    }
  });

  it('is shown nothing of it by filters', async () => {
    const filters: [string, string, string][] = [
      ['DescribeInstances', 'instance-id', demo.instance],
      ['DescribeInstances', 'owner-id', 'demo'],
      ['DescribeInstanceStatus', 'instance-type', '*'],
      ['DescribeVolumes', 'volume-id', demo.volume],
      ['DescribeVolumes', 'attachment.instance-id', demo.holder],
      ['DescribeSnapshots', 'volume-id', demo.volume],
      ['DescribeSnapshots', 'owner-id', 'demo'],
      ['DescribeAddresses', 'public-ip', demo.address],
      ['DescribeSecurityGroups', 'group-id', demo.groupId],
      ['DescribeKeyPairs', 'key-name', demo.key],
      ['DescribeImages', 'image-id', demo.image],
      ['DescribeImages', 'owner-id', 'demo'],
      ['DescribeTags', 'resource-id', demo.instance],
    ];
    for (const [action, name, value] of filters) {
      const answer = await other.ok(action, { 'Filter.1.Name': name, 'Filter.1.Value.1': value });
      for (const id of [demo.instance, demo.volume, demo.snapshot, demo.address, demo.groupId, demo.key, demo.image]) {
        expect(answer.xml, `${action} ${name}=${value}`).not.to.include(id);
      }
    }
  });

  it('is left out or refused where it is named, like what does not exist', async () => {
    const unknown: Partial<Belongings> = {
      instance: 'i-7ffffffe',
      volume: 'vol-7ffffffe',
      snapshot: 'snap-7ffffffe',
      image: 'ami-7ffffffe',
      groupId: 'sg-7ffffffe',
    };
    const outcome = async (action: string, params: CallParams, id: string): Promise<string> => {
      const answer = await other.call(action, params);
      return answer.status === 200
        ? answer.xml.replace(/<requestId>.*?<\/requestId>/, '')
        : `${answer.code} ${answer.message.replaceAll(id, 'ID').replace(/^Security group \d+/, 'Security group ID')}`;
    };
    const named: [string, keyof Belongings, (id: string) => Record<string, string>][] = [
      ['DescribeInstances', 'instance', (id) => ({ 'InstanceId.1': own.instance, 'InstanceId.2': id })],
      ['DescribeInstanceStatus', 'instance', (id) => ({ 'InstanceId.1': id, IncludeAllInstances: 'true' })],
      ['DescribeInstanceAttribute', 'instance', (id) => ({ InstanceId: id, Attribute: 'userData' })],
      ['GetConsoleOutput', 'instance', (id) => ({ InstanceId: id })],
      ['TerminateInstances', 'instance', (id) => ({ 'InstanceId.1': id })],
      ['StopInstances', 'instance', (id) => ({ 'InstanceId.1': id })],
      ['StartInstances', 'instance', (id) => ({ 'InstanceId.1': id })],
      ['RebootInstances', 'instance', (id) => ({ 'InstanceId.1': id })],
      ['CreateTags', 'instance', (id) => ({ 'ResourceId.1': id, 'Tag.1.Key': 'k', 'Tag.1.Value': 'v' })],
      ['DeleteTags', 'instance', (id) => ({ 'ResourceId.1': id, 'Tag.1.Key': 'owner' })],
      ['AttachVolume', 'instance', (id) => ({ VolumeId: own.volume, InstanceId: id, Device: '/dev/vdc' })],
      ['AssociateAddress', 'instance', (id) => ({ InstanceId: id, PublicIp: own.address })],
      ['DescribeVolumes', 'volume', (id) => ({ 'VolumeId.1': own.volume, 'VolumeId.2': id })],
      ['DescribeVolumeStatus', 'volume', (id) => ({ 'VolumeId.1': id })],
      ['DescribeVolumeAttribute', 'volume', (id) => ({ VolumeId: id, Attribute: 'autoEnableIO' })],
      ['AttachVolume', 'volume', (id) => ({ VolumeId: id, InstanceId: own.instance, Device: '/dev/vdc' })],
      ['DetachVolume', 'volume', (id) => ({ VolumeId: id })],
      ['DeleteVolume', 'volume', (id) => ({ VolumeId: id })],
      ['UpdateVolume', 'volume', (id) => ({ VolumeId: id, DisplayName: 'mine' })],
      ['CreateSnapshot', 'volume', (id) => ({ VolumeId: id })],
      ['CreateTags', 'volume', (id) => ({ 'ResourceId.1': id, 'Tag.1.Key': 'k', 'Tag.1.Value': 'v' })],
      ['RunInstances', 'volume', (id) => bootFrom(id)],
      ['RunInstances', 'snapshot', (id) => bootFrom(id)],
      ['CreateVolume', 'snapshot', (id) => ({ SnapshotId: id })],
      ['DescribeSnapshots', 'snapshot', (id) => ({ 'SnapshotId.1': own.snapshot, 'SnapshotId.2': id })],
      ['DeleteSnapshot', 'snapshot', (id) => ({ SnapshotId: id })],
      ['RunInstances', 'image', (id) => ({ ImageId: id })],
      ['RunInstances', 'image', (id) => ({ ImageId: cloud.image, KernelId: id })],
      ['DescribeImages', 'image', (id) => ({ 'ImageId.1': own.image, 'ImageId.2': id })],
      ['DescribeImages', 'image', (id) => ({ 'ImageId.1': id })],
      ['DescribeImageAttribute', 'image', (id) => ({ ImageId: id, Attribute: 'launchPermission' })],
      ['ResetImageAttribute', 'image', (id) => ({ ImageId: id, Attribute: 'launchPermission' })],
      ['DeregisterImage', 'image', (id) => ({ ImageId: id })],
      ['RunInstances', 'groupId', (id) => ({ ImageId: cloud.image, 'SecurityGroupId.1': id })],
      ['DescribeSecurityGroups', 'groupId', (id) => ({ 'GroupId.1': id })],
      ['ModifyInstanceAttribute', 'instance', (id) => ({ InstanceId: id, 'GroupId.1': own.groupId })],
      ['ModifyInstanceAttribute', 'groupId', (id) => ({ InstanceId: own.instance, 'GroupId.1': id })],
      ['DeleteSecurityGroup', 'groupId', (id) => ({ GroupId: id })],
      [
        'AuthorizeSecurityGroupIngress',
        'groupId',
        (id) => ({ GroupId: id, IpProtocol: 'tcp', FromPort: '1', ToPort: '2' }),
      ],
      [
        'RevokeSecurityGroupIngress',
        'groupId',
        (id) => ({ GroupId: id, IpProtocol: 'tcp', FromPort: '22', ToPort: '22' }),
      ],
    ];
    const before = await cloud.contents();
    for (const [action, kind, params] of named) {
      const [theirs, nobodys] = [String(demo[kind]), String(unknown[kind])];
      const seen = await outcome(action, params(theirs), theirs);
      const what = `${action} with ${JSON.stringify(params('ID'))}`;
      expect(seen, what).to.equal(await outcome(action, params(nobodys), nobodys));
      if (!['DescribeInstances', 'DescribeInstanceStatus'].includes(action)) expect(seen, what).to.match(/NotFound/);
    }
    expect(await cloud.contents()).to.deep.equal(before);
  });

  it('may not take, give back or move its addresses', async () => {
    const before = await cloud.contents();
    for (const address of [demo.address, demo.associated]) {
      for (const [action, params] of [
        ['ReleaseAddress', {}],
        ['DisassociateAddress', {}],
        ['AssociateAddress', { InstanceId: own.instance }],
        ['DescribeAddresses', {}],
      ] as const) {
        const name = action === 'DescribeAddresses' ? 'PublicIp.1' : 'PublicIp';
        const answer = await other.call(action, { ...params, [name]: address });
        expect(answer.status, `${action} ${address}`).to.equal(400);
        expect(answer.message, `${action} ${address}`).to.match(/not allocated to your project\(other\)|not found/);
      }
    }
    expect(await cloud.contents()).to.deep.equal(before);
  });

  it('has groups of its own by the same names, and keys by its users', async () => {
    expect((await other.call('DeleteSecurityGroup', { GroupName: demo.group })).code).to.equal(
      'SecurityGroupNotFoundForProject',
    );
    await other.ok('CreateSecurityGroup', { GroupName: demo.group, GroupDescription: 'the same name' });
    await other.ok('DeleteSecurityGroup', { GroupName: demo.group });
    expect((await cloud.as('demo').ok('DescribeSecurityGroups', { 'GroupName.1': demo.group })).xml).to.include(
      demo.groupId,
    );

    expect((await other.call('RunInstances', { ImageId: cloud.image, KeyName: demo.key })).code).to.equal(
      'KeypairNotFound',
    );
    await other.ok('DeleteKeyPair', { KeyName: demo.key });
    expect(textsOf(await cloud.as('demo').ok('DescribeKeyPairs'), 'keyName')).to.deep.equal([demo.key]);
    // A colleague in the same project has keys of his own as well.
    expect(textsOf(await cloud.as('sysadmin').ok('DescribeKeyPairs'), 'keyName')).to.deep.equal([]);
  });

  it('is seen and may be worked with by members of the project, and by administrators with whom it belongs to', async () => {
    expect((await cloud.as('sysadmin').ok('DescribeVolumes')).xml)
      .to.include(demo.volume)
      .and.not.include(own.volume);
    const admin = cloud.as('admin');
    const volumes = await admin.ok('DescribeVolumes');
    expect(volumes.xml).to.include(demo.volume).and.include(own.volume);
    expect(textsOf(volumes, 'status')).to.include('available (other, cloud1, None, None)');
    expect(textsOf(volumes, 'status')).to.include(`in-use (demo, cloud1, ${demo.holder}[cloud1], /dev/vdb)`);
    const instances = await admin.ok('DescribeInstances');
    expect(textsOf(instances, 'instanceId')).to.include.members([demo.instance, own.instance]);
    expect(textsOf(instances, 'keyName')).to.include('None (other, cloud1)');
    const addresses = await admin.ok('DescribeAddresses');
    expect(textsOf(addresses, 'instanceId')).to.include.members([`${demo.holder} (demo)`, 'None (other)']);
  });
});

const bootFrom = (id: string): Record<string, string> => ({
  ImageId: 'ami-00000001',
  'BlockDeviceMapping.1.DeviceName': '/dev/vdb',
  'BlockDeviceMapping.1.Ebs.SnapshotId': id,
});
