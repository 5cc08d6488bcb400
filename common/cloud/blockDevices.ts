import type { Context } from '../context.js';
import type { Queryable } from '../db/db.js';
import type { MappingFields } from '../db/reservations.js';
import type { InstanceTypeRow, SnapshotRow, VolumeRow } from '../db/rows.js';
import { ApiError, SnapshotNotFound, VolumeNotFound } from '../errors.js';
import type { Image } from '../images/imageService.js';

/** A block device which a request or an image wishes for a new instance. */
export interface BlockDevice {
  readonly deviceName: string;
  /** `swap`, `ephemeralN`, or `NoDevice`. */
  readonly virtualName?: string;
  /** Takes away what the image has under this name. */
  readonly noDevice?: boolean;
  readonly snapshotId?: number;
  /** An existing volume. */
  readonly volumeId?: number;
  /** GB. */
  readonly volumeSize?: number;
  readonly deleteOnTermination?: boolean;
}

/**
 * The block_device_mapping rows of a new instance: the image's `mappings`, its `block_device_mapping`, then the
 * request, later ones in place of earlier ones of the same device (nova 2011.3, nova/compute/api.py). Throws ApiError for
 * a device without a usable name.
 */
export function mappingRows(
  image: Image,
  type: Pick<InstanceTypeRow, 'swap' | 'local_gb'>,
  wished: readonly BlockDevice[],
): MappingFields[] {
  const rows = new Map<string, MappingFields>();
  for (const device of [...imageMappings(image), ...imageBlockDevices(image), ...wished]) {
    const row = mappingRow(device, type);
    if (row === null) continue;
    if (row.virtual_name != null) {
      for (const [name, other] of rows) if (other.virtual_name === row.virtual_name) rows.delete(name);
    }
    rows.delete(device.deviceName);
    rows.set(device.deviceName, row);
  }
  return [...rows.values()];
}

/** Null for swap or ephemeral space of which the instance type has none. */
function mappingRow(device: BlockDevice, type: Pick<InstanceTypeRow, 'swap' | 'local_gb'>): MappingFields | null {
  if (!/^[\x21-\x7e]{1,255}$/.test(device.deviceName))
    throw new ApiError('A block device needs a name, such as /dev/vdb');
  const row = { device_name: device.deviceName };
  if (device.noDevice === true || device.virtualName === 'NoDevice') return { ...row, no_device: true };
  if (device.virtualName !== undefined && isSwapOrEphemeral(device.virtualName)) {
    const size = sizeOf(device.virtualName, type);
    return size === 0 ? null : { ...row, virtual_name: device.virtualName, volume_size: size };
  }
  const existing = device.snapshotId !== undefined || device.volumeId !== undefined;
  return {
    ...row,
    snapshot_id: device.snapshotId ?? null,
    volume_id: device.volumeId ?? null,
    volume_size: device.volumeSize ?? null,
    delete_on_termination: device.deleteOnTermination ?? (existing ? true : null),
  };
}

function isSwapOrEphemeral(virtualName: string): boolean {
  return virtualName === 'swap' || /^ephemeral(\d|[1-9]\d+)$/.test(virtualName);
}

/** swap in MB, ephemeral0 in GB; others have no size. */
function sizeOf(virtualName: string, type: Pick<InstanceTypeRow, 'swap' | 'local_gb'>): number {
  if (virtualName === 'swap') return type.swap;
  return virtualName === 'ephemeral0' ? type.local_gb : 0;
}

/** Glance keeps the lists as JSON text; what doesn't parse is as if absent. */
function listProperty(image: Image, property: string): Record<string, unknown>[] {
  const text = image.properties[property];
  if (text == null) return [];
  try {
    const list: unknown = JSON.parse(text);
    return Array.isArray(list)
      ? list.filter((item): item is Record<string, unknown> => typeof item === 'object' && item !== null)
      : [];
  } catch {
    return [];
  }
}

/** Image property `mappings`: [{virtual, device}], of which swap and ephemeral become rows. */
function imageMappings(image: Image): BlockDevice[] {
  return listProperty(image, 'mappings').flatMap(({ virtual, device }) =>
    typeof virtual === 'string' && typeof device === 'string' && isSwapOrEphemeral(virtual)
      ? [{ deviceName: device.startsWith('/') ? device : `/dev/${device}`, virtualName: virtual }]
      : [],
  );
}

/** Image property `block_device_mapping`: entries with the columns of the table. */
function imageBlockDevices(image: Image): BlockDevice[] {
  const integer = (value: unknown): number | undefined => {
    const number = typeof value === 'string' ? Number(value) : value;
    return typeof number === 'number' && Number.isInteger(number) && number > 0 && number < 2 ** 31
      ? number
      : undefined;
  };
  return listProperty(image, 'block_device_mapping').flatMap((entry) => {
    if (typeof entry['device_name'] !== 'string') return [];
    const snapshotId = integer(entry['snapshot_id']);
    const volumeId = integer(entry['volume_id']);
    const volumeSize = integer(entry['volume_size']);
    return [
      {
        deviceName: entry['device_name'],
        ...(typeof entry['virtual_name'] === 'string' ? { virtualName: entry['virtual_name'] } : {}),
        ...(entry['no_device'] === true ? { noDevice: true } : {}),
        ...(snapshotId === undefined ? {} : { snapshotId }),
        ...(volumeId === undefined ? {} : { volumeId }),
        ...(volumeSize === undefined ? {} : { volumeSize }),
        ...(typeof entry['delete_on_termination'] === 'boolean'
          ? { deleteOnTermination: entry['delete_on_termination'] }
          : {}),
      },
    ];
  });
}

/**
 * The block devices with which instances of an image start: swap and ephemeral space, overridden by its own list, what
 * that takes away left out (nova 2011.3, nova/api/ec2/cloud.py _format_mappings).
 */
export function devicesOfImage(image: Image): BlockDevice[] {
  const devices = new Map<string, BlockDevice>();
  for (const device of [...imageMappings(image), ...imageBlockDevices(image)]) {
    devices.delete(device.deviceName);
    devices.set(device.deviceName, device);
  }
  return [...devices.values()].filter((device) => device.noDevice !== true && device.virtualName !== 'NoDevice');
}

/** The name of the root device which an image states: its property, or its mapping `root`. Null when it states none. */
export function rootDeviceName(image: Image): string | null {
  const property = image.properties['root_device_name'];
  if (property != null && property !== '') return property;
  const root = listProperty(image, 'mappings').find((mapping) => mapping['virtual'] === 'root')?.['device'];
  return typeof root === 'string' ? root : null;
}

/**
 * Throws VolumeNotFound or SnapshotNotFound unless every volume and snapshot belongs to the caller's project: 2011.3
 * never asked, so that anybody could start an instance from another's data.
 */
export async function requireOwnBlockDevices(
  db: Queryable,
  context: Context,
  rows: readonly Pick<MappingFields, 'volume_id' | 'snapshot_id'>[],
  find: {
    volume(db: Queryable, id: number): Promise<VolumeRow | undefined>;
    snapshot(db: Queryable, id: number): Promise<SnapshotRow | undefined>;
  },
): Promise<void> {
  const mine = (row: { project_id: string | null } | undefined): boolean =>
    row !== undefined && (context.isAdmin || row.project_id === context.projectId);
  for (const { volume_id: volumeId, snapshot_id: snapshotId } of rows) {
    if (volumeId != null && !mine(await find.volume(db, volumeId))) throw new VolumeNotFound(volumeId);
    if (snapshotId != null && !mine(await find.snapshot(db, snapshotId))) throw new SnapshotNotFound(snapshotId);
  }
}
