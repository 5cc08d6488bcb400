import { textsOf } from '../ec2Client.js';
import { both, forget, type Wish } from './wish.js';

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
    weight: 4,
    parameters: (chooser) =>
      both(both(chooser.one('volumes', 'VolumeId'), chooser.one('instances', 'InstanceId')), {
        Device: chooser.random.pick(['/dev/vdb', '/dev/vdc', '/dev/vdd', 'x']),
      }),
  },
  { action: 'DetachVolume', weight: 3, parameters: (chooser) => chooser.one('volumes', 'VolumeId') },
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
    parameters: (chooser) => chooser.one('volumes', 'VolumeId'),
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
