import type { Context } from '../../../common/context.js';
import { metadataOfInstance } from '../../../common/db/instanceClaims.js';
import type { InstanceRow } from '../../../common/db/rows.js';
import { listVolumesOfInstance } from '../../../common/db/volumes.js';
import type { NetworkInfo } from '../../../common/rpc/network.js';
import { connectVolume } from '../../../common/volumes/connector.js';
import type { MachineSpec, VolumeDisk } from '../../virt/driver.js';
import { machineName, type ComputeParts } from '../parts.js';
import { fetchNetworkInfo } from '../release.js';

/** What of a machine is not in its instance's row. */
export interface Surroundings {
  networkInfo: NetworkInfo;
  volumes: readonly VolumeDisk[];
  adminPassword?: string | null;
  injectedFiles?: MachineSpec['injectedFiles'];
}

/** The machine which an instance's row describes. */
export async function machineSpecOf(
  parts: ComputeParts,
  instance: InstanceRow,
  around: Surroundings,
): Promise<MachineSpec> {
  return {
    name: machineName(parts, instance),
    uuid: instance.uuid ?? '',
    memoryMb: instance.memory_mb ?? 0,
    vcpus: instance.vcpus ?? 1,
    localGb: instance.local_gb ?? 0,
    imageRef: instance.image_ref ?? '',
    kernelId: instance.kernel_id || null,
    ramdiskId: instance.ramdisk_id || null,
    rootDeviceName: instance.root_device_name,
    keyData: instance.key_data,
    hostname: instance.hostname,
    metadata: await metadataOfInstance(parts.db, instance.id),
    networkInfo: around.networkInfo,
    volumes: around.volumes,
    adminPassword: around.adminPassword ?? null,
    injectedFiles: around.injectedFiles ?? [],
  };
}

/** Makes the volumes which an instance has reachable on this host. Idempotent. */
export async function connectedVolumes(parts: ComputeParts, instance: InstanceRow): Promise<VolumeDisk[]> {
  const disks: VolumeDisk[] = [];
  for (const volume of await listVolumesOfInstance(parts.db, instance.id)) {
    if (volume.mountpoint === null) continue;
    disks.push({ devicePath: await connectVolume(parts, volume), mountpoint: volume.mountpoint });
  }
  return disks;
}

/** The instance's interfaces and addresses; none where nova-network isn't asked (flag stub_network). */
export async function networkInfoOf(
  parts: ComputeParts,
  context: Context,
  instance: InstanceRow,
): Promise<NetworkInfo> {
  return parts.runtime.flags.stub_network ? [] : fetchNetworkInfo(parts, context, instance);
}

/** Pairs of path and content in what a message calls injected files: pairs, or objects; anything else is left out. */
export function injectedFilesOf(value: unknown): MachineSpec['injectedFiles'] {
  if (!Array.isArray(value)) return [];
  return value.flatMap((item: unknown): (readonly [string, string])[] => {
    const [path, contents]: unknown[] = Array.isArray(item)
      ? item
      : [(item as { path?: unknown } | null)?.path, (item as { contents?: unknown } | null)?.contents];
    return typeof path === 'string' && typeof contents === 'string' ? [[path, contents]] : [];
  });
}
