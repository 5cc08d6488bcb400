import { textsOf } from '../ec2Client.js';
import { both, forget, type Chooser, type Parameters, type Wish } from './wish.js';

const image = 'ami-00000001';

function launch({ random, has }: Chooser): Parameters {
  const optional: Parameters = {};
  if (has.keys.length > 0 && random.below(2) === 0) optional['KeyName'] = random.pick(has.keys);
  if (has.groups.length > 0 && random.below(2) === 0) optional['SecurityGroup.1'] = random.pick(has.groups);
  if (random.below(4) === 0) optional['ClientToken'] = `token${random.below(3)}`;
  if (has.volumes.length > 0 && random.below(4) === 0) {
    optional['BlockDeviceMapping.1.DeviceName'] = '/dev/vdz';
    optional['BlockDeviceMapping.1.Ebs.VolumeId'] = random.pick(has.volumes);
  } else if (has.snapshots.length > 0 && random.below(4) === 0) {
    optional['BlockDeviceMapping.1.DeviceName'] = '/dev/vdy';
    optional['BlockDeviceMapping.1.Ebs.SnapshotId'] = random.pick(has.snapshots);
    optional['BlockDeviceMapping.1.Ebs.DeleteOnTermination'] = random.pick(['true', 'false']);
  }
  return {
    ImageId: has.images.length > 0 && random.below(4) === 0 ? random.pick(has.images) : image,
    MinCount: 1,
    MaxCount: 1 + random.below(3),
    InstanceType: random.pick(['m1.tiny', 'm1.small']),
    ...optional,
  };
}

/** Machines, and what is done to them. */
export const instanceWishes: readonly Wish[] = [
  {
    action: 'RunInstances',
    weight: 6,
    parameters: launch,
    learn: (has, answer) => has.instances.push(...textsOf(answer.xml, 'instanceId')),
  },
  { action: 'RunInstances', parameters: () => ({ ImageId: 'ami-0000002a', MinCount: 1, MaxCount: 1 }) },
  { action: 'RunInstances', parameters: () => ({ ImageId: image, MinCount: 90, MaxCount: 99 }) },
  {
    action: 'TerminateInstances',
    weight: 4,
    parameters: (chooser) => chooser.one('instances', 'InstanceId.1'),
    // Most are forgotten; some are terminated once more.
    learn: (has, _answer, sent) => {
      if (has.instances.length > 3) forget(has.instances, sent['InstanceId.1']);
    },
  },
  {
    action: 'TerminateInstances',
    parameters: ({ has }) =>
      has.instances.length < 2
        ? undefined
        : { 'InstanceId.1': has.instances[0]!, 'InstanceId.2': has.instances.at(-1)! },
  },
  {
    action: 'RebootInstances',
    weight: 2,
    parameters: (chooser) => chooser.one('instances', 'InstanceId.1', chooser.known.running),
  },
  {
    action: 'StopInstances',
    weight: 2,
    parameters: (chooser) => chooser.one('instances', 'InstanceId.1', chooser.known.running),
  },
  {
    action: 'StartInstances',
    weight: 3,
    parameters: (chooser) => chooser.one('instances', 'InstanceId.1', chooser.known.stopped),
  },
  { action: 'RescueInstance', parameters: (chooser) => chooser.one('instances', 'InstanceId', chooser.known.running) },
  {
    action: 'UnrescueInstance',
    weight: 2,
    parameters: (chooser) => chooser.one('instances', 'InstanceId', chooser.known.rescued),
  },
  { action: 'GetConsoleOutput', parameters: (chooser) => chooser.one('instances', 'InstanceId') },
  { action: 'DescribeInstances', parameters: () => ({}) },
  {
    action: 'ModifyInstanceAttribute',
    parameters: (chooser) =>
      both(chooser.one('instances', 'InstanceId'), {
        'UserData.Value': Buffer.from(`data${chooser.random.below(9)}`).toString('base64'),
      }),
  },
  {
    action: 'DescribeInstanceAttribute',
    parameters: (chooser) =>
      both(chooser.one('instances', 'InstanceId'), {
        Attribute: chooser.random.pick(['userData', 'groupSet', 'nonsense']),
      }),
  },
  {
    action: 'CreateImage',
    parameters: (chooser) =>
      both(chooser.one('instances', 'InstanceId', chooser.known.running), {
        Name: `image${chooser.random.below(5)}`,
        NoReboot: chooser.random.pick(['true', 'false']),
      }),
    learn: (has, answer) => has.images.push(...textsOf(answer.xml, 'imageId')),
  },
  {
    action: 'DeregisterImage',
    parameters: (chooser) => chooser.one('images', 'ImageId'),
    learn: (has, _answer, sent) => forget(has.images, sent['ImageId']),
  },
  { action: 'DescribeImages', parameters: () => ({}) },
];
