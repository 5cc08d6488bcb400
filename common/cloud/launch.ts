import type { Context } from '../context.js';
import type { Values } from '../db/db.js';
import type { KeyPair } from '../db/keyPairs.js';
import type { InstanceTypeRow } from '../db/rows.js';
import { ApiError } from '../errors.js';
import type { Image } from '../images/imageService.js';
import type { RequestSpec } from '../rpc/compute.js';
import { isoTimeOf, pythonTime } from '../time.js';
import { rootDeviceName, type BlockDevice } from './blockDevices.js';
import { checkToken } from './clientTokens.js';
import type { GroupRef } from './securityGroups.js';

/** What somebody wants to run. Absent means that the request doesn't say. */
export interface LaunchWish {
  /** EC2 id, decimal id or name. */
  readonly image: string;
  readonly kernel?: string;
  readonly ramdisk?: string;
  /** At least so many instances, or none. */
  readonly minCount?: number;
  /** So many where the quota allows. */
  readonly maxCount?: number;
  /** Name of an instance type. */
  readonly instanceType?: string;
  readonly keyName?: string;
  /** Base64, kept as sent. */
  readonly userData?: string;
  /** `default` when empty. */
  readonly securityGroups: readonly GroupRef[];
  /** `zone`, or `zone:host` from administrators. */
  readonly availabilityZone?: string;
  readonly blockDevices: readonly BlockDevice[];
  readonly displayName?: string;
  readonly displayDescription?: string;
  readonly metadata?: Readonly<Record<string, string>>;
  /** A request which repeats one with the same token makes nothing new. */
  readonly clientToken?: string;
}

/** Most instances of one request: a project without quota must not fill the database by one call. */
const mostInstances = 1000;

/** How many instances are wished for; zero counts as not said (nova 2011.3, nova/api/ec2/cloud.py). */
export function wishedCounts(wish: LaunchWish): { minCount: number; maxCount: number } {
  const maxCount = wish.maxCount || wish.minCount || 1;
  const minCount = wish.minCount || maxCount;
  if (minCount < 0 || maxCount < 0)
    throw new ApiError('MinCount and MaxCount must not be negative', 'InvalidParameterValue');
  if (minCount > maxCount) throw new ApiError('MinCount must not exceed MaxCount', 'InvalidParameterCombination');
  if (minCount > mostInstances) {
    throw new ApiError(`At most ${mostInstances} instances can be run by one request`, 'InvalidParameterValue');
  }
  return { minCount, maxCount: Math.min(maxCount, mostInstances) };
}

/** Throws ApiError for texts which the database could not keep. */
export function checkTexts(wish: LaunchWish): void {
  const within = (name: string, value: string | undefined, longest: number): void => {
    if (value !== undefined && (value.length > longest || value.includes('\0'))) {
      throw new ApiError(`${name} may have at most ${longest} characters, and no NUL`, 'InvalidParameterValue');
    }
  };
  within('DisplayName', wish.displayName, 255);
  within('DisplayDescription', wish.displayDescription, 255);
  within('AvailabilityZone', wish.availabilityZone, 255);
  within('UserData', wish.userData, 65535);
  checkToken(wish.clientToken);
  if (wish.userData !== undefined && !/^[A-Za-z0-9+/=_\s-]*$/.test(wish.userData)) {
    throw new ApiError('UserData must be encoded as base64', 'InvalidUserData.Malformed');
  }
}

/**
 * An instance's host name: the display name in lower case, blanks and underscores as dashes, everything else but
 * letters, digits and dashes left out (nova 2011.3, nova/compute/api.py). One of which nothing is left is that of an
 * instance without a name.
 */
export function namesOf(id: number, displayName: string | undefined): { displayName: string; hostname: string } {
  const shown = displayName ?? `Server ${id}`;
  const hostname = shown
    .toLowerCase()
    .replace(/[ _]/g, '-')
    .replace(/[^a-z0-9-]/g, '');
  return { displayName: shown, hostname: hostname === '' ? `server-${id}` : hostname };
}

/** What a wish has become once everything it names was found. */
export interface Launch {
  readonly reservationId: string;
  readonly image: Image;
  /** Ids of the image service; null is none. */
  readonly kernelId: string | null;
  readonly ramdiskId: string | null;
  readonly type: InstanceTypeRow;
  /** Of the type, by key. */
  readonly extraSpecs: Readonly<Record<string, string | null>>;
  readonly keyPair: KeyPair | null;
  /** Milliseconds since the epoch. */
  readonly time: number;
}

/** The columns in which the instances of a launch agree. */
export function instanceColumns(context: Context, wish: LaunchWish, launch: Launch): Values<'instances'> {
  const { image, type, keyPair } = launch;
  return {
    user_id: context.userId,
    project_id: context.projectId,
    image_ref: image.id,
    kernel_id: launch.kernelId ?? '',
    ramdisk_id: launch.ramdiskId ?? '',
    power_state: 0,
    vm_state: 'building',
    config_drive: '',
    reservation_id: launch.reservationId,
    instance_type_id: type.id,
    memory_mb: type.memory_mb,
    vcpus: type.vcpus,
    local_gb: type.local_gb,
    display_name: wish.displayName ?? null,
    display_description: wish.displayDescription ?? null,
    user_data: wish.userData ?? '',
    key_name: keyPair?.name ?? null,
    key_data: keyPair?.public_key ?? null,
    locked: false,
    access_ip_v4: null,
    access_ip_v6: null,
    availability_zone: wish.availabilityZone ?? null,
    os_type: image.properties['os_type'] ?? null,
    architecture: image.properties['arch'] ?? null,
    vm_mode: image.properties['vm_mode'] ?? null,
    root_device_name: rootDeviceName(image),
  };
}

/** What schedulers are told (nova 2011.3, nova/compute/api.py): keys and JSON types as Python daemons read them. */
export function requestSpec(columns: Values<'instances'>, wish: LaunchWish, launch: Launch): RequestSpec {
  const { image, type, extraSpecs } = launch;
  return {
    num_instances: 1,
    filter: null,
    blob: null,
    image: {
      id: image.id,
      name: image.name,
      status: image.status,
      is_public: image.is_public,
      deleted: image.deleted,
      size: image.size,
      location: null,
      disk_format: image.disk_format,
      container_format: image.container_format,
      checksum: image.checksum,
      created_at: pythonTime(image.created_at),
      updated_at: pythonTime(image.updated_at),
      deleted_at: pythonTime(image.deleted_at),
      properties: image.properties,
    },
    instance_type: {
      id: type.id,
      name: type.name,
      memory_mb: type.memory_mb,
      vcpus: type.vcpus,
      local_gb: type.local_gb,
      flavorid: type.flavorid,
      swap: type.swap,
      rxtx_quota: type.rxtx_quota,
      rxtx_cap: type.rxtx_cap,
      extra_specs: extraSpecs,
      created_at: pythonTime(type.created_at),
      updated_at: pythonTime(type.updated_at),
      deleted_at: pythonTime(type.deleted_at),
      deleted: type.deleted,
    },
    instance_properties: {
      ...columns,
      config_drive_id: '',
      launch_time: isoTimeOf(launch.time),
      metadata: wish.metadata ?? {},
    },
  };
}
