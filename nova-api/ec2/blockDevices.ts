import type { BlockDevice } from '../../common/cloud/blockDevices.js';
import { bool, group, integer, parseEc2Id, required, text, type Param, type ParamsOf } from './params.js';

/** `NoDevice`: there with whatever value, but `false`; new clients send it empty. */
const noDevice: Param<boolean> = {
  shape: { kind: 'text' },
  read: (node) => node !== undefined && node.value?.toLowerCase() !== 'false',
};

/** One entry of `BlockDeviceMapping.N`, of an instance or an image. */
export const blockDevice = group({
  DeviceName: required(text),
  VirtualName: text,
  NoDevice: noDevice,
  Ebs: group({
    SnapshotId: text,
    VolumeSize: integer(1),
    DeleteOnTermination: bool,
    NoDevice: noDevice,
  }),
});

/** The level `Ebs` is flattened; its SnapshotId may name a volume, which is then attached itself. */
export function blockDeviceOf(device: NonNullable<ParamsOf<{ it: typeof blockDevice }>['it']>): BlockDevice {
  const { SnapshotId: source, VolumeSize: volumeSize, DeleteOnTermination: deleteOnTermination } = device.Ebs ?? {};
  const isVolume = source?.toLowerCase().startsWith('vol-') === true;
  const sourceId = source === undefined ? undefined : parseEc2Id(source, ['snap', 'vol']);
  return withoutUndefined({
    deviceName: device.DeviceName,
    virtualName: device.VirtualName,
    noDevice: device.NoDevice || device.Ebs?.NoDevice === true,
    snapshotId: isVolume ? undefined : sourceId,
    volumeId: isVolume ? sourceId : undefined,
    volumeSize,
    deleteOnTermination,
  });
}

type Defined<T> = { [K in keyof T as undefined extends T[K] ? never : K]: T[K] } & {
  [K in keyof T as undefined extends T[K] ? K : never]?: Exclude<T[K], undefined>;
};
/** The object without the properties which say nothing. */
export function withoutUndefined<T extends object>(object: T): Defined<T> {
  return Object.fromEntries(Object.entries(object).filter(([, value]) => value !== undefined)) as Defined<T>;
}
