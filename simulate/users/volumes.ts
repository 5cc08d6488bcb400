import { textsOf } from '../ec2Client.js';
import { both, forget, type Chooser, type Parameters, type Wish } from './wish.js';

/** Few devices, so that they are taken soon; one in six is none. */
function device({ random }: Chooser): Parameters {
  return { Device: random.pick(['/dev/vdb', '/dev/vdb', '/dev/vdb', '/dev/vdc', '/dev/vdd', 'x']) };
}

/** Volumes, attachments and snapshots. */
export const volumeWishes: readonly Wish[] = [
  {
    action: 'CreateVolume',
    weight: 3,
    parameters: ({ random }) => ({
      Size: 1 + random.below(4),
      AvailabilityZone: random.pick(['nova', 'nova', 'mars']),
    }),
    learn: (has, answer) => has.volumes.push(...textsOf(answer.xml, 'volumeId')),
  },
  { action: 'CreateVolume', parameters: () => ({ Size: 'many', AvailabilityZone: 'nova' }) },
  {
    action: 'CreateVolume',
    parameters: (chooser) => both(chooser.one('snapshots', 'SnapshotId'), { AvailabilityZone: 'nova' }),
    learn: (has, answer) => has.volumes.push(...textsOf(answer.xml, 'volumeId')),
  },
  {
    action: 'AttachVolume',
    weight: 8,
    parameters: (chooser) => {
      const volume = chooser.one('volumes', 'VolumeId', chooser.known.free);
      return both(volume, both(chooser.one('instances', 'InstanceId', chooser.known.running), device(chooser)));
    },
  },
  {
    action: 'AttachVolume',
    weight: 4,
    // to a device which another volume has
    parameters: (chooser) => {
      const taken = chooser.known.attached;
      if (taken.length === 0) return undefined;
      const { instance, device: mountpoint } = chooser.random.pick(taken);
      const volume = chooser.one('volumes', 'VolumeId', chooser.known.free);
      return both(volume, { InstanceId: instance, Device: mountpoint });
    },
  },
  {
    action: 'DetachVolume',
    weight: 6,
    parameters: (chooser) =>
      chooser.one(
        'volumes',
        'VolumeId',
        chooser.known.attached.map(({ volume }) => volume),
      ),
  },
  {
    action: 'DeleteVolume',
    weight: 2,
    parameters: (chooser) => chooser.one('volumes', 'VolumeId'),
    learn: (has, _answer, sent) => forget(has.volumes, sent['VolumeId']),
  },
  { action: 'DescribeVolumes', parameters: () => ({}) },
  {
    action: 'CreateSnapshot',
    weight: 2,
    parameters: (chooser) => chooser.one('volumes', 'VolumeId', chooser.known.free),
    learn: (has, answer) => has.snapshots.push(...textsOf(answer.xml, 'snapshotId')),
  },
  {
    action: 'DeleteSnapshot',
    weight: 2,
    parameters: (chooser) => chooser.one('snapshots', 'SnapshotId'),
    learn: (has, _answer, sent) => forget(has.snapshots, sent['SnapshotId']),
  },
  { action: 'DescribeSnapshots', parameters: () => ({}) },
];
