import type { BlockDeviceMappingRow, VolumeRow } from '../../../common/db/rows.js';
import { claimVolumeForAttach, getVolume } from '../../../common/db/volumes.js';
import { ApiError, VolumeNotFound } from '../../../common/errors.js';
import { connectVolume } from '../../../common/volumes/connector.js';
import type { Build } from '../building/buildState.js';
import { createVolumeFromSnapshot } from './snapshotVolume.js';

/**
 * Attaches the volumes which block device mappings of an instance name, and makes those which name a snapshot (nova
 * 2011.3, _setup_block_device_mapping). Swap and ephemeral disks are the hypervisor's. Throws VolumeNotFound for a
 * volume of another project, ApiError for one which is not available.
 */
export async function mapVolumes(build: Build, mappings: readonly BlockDeviceMappingRow[]): Promise<void> {
  for (const mapping of mappings) {
    if (mapping.no_device || (mapping.volume_id === null && mapping.snapshot_id === null)) continue;
    build.signal.throwIfAborted();
    await attach(build, mapping.device_name, await volumeOf(build, mapping));
  }
}

async function volumeOf(build: Build, mapping: BlockDeviceMappingRow): Promise<VolumeRow> {
  const { db } = build.parts;
  if (mapping.volume_id === null) return createVolumeFromSnapshot(build, mapping);
  const volume = await getVolume(db, mapping.volume_id);
  // 2011.3 boots with anybody's volume whose id is named.
  if (volume.project_id !== build.instance.project_id && !build.caller.isAdmin) throw new VolumeNotFound(volume.id);
  return volume;
}

async function attach(build: Build, device: string, volume: VolumeRow): Promise<void> {
  const claim = await claimVolumeForAttach(build.parts.db, volume.id, build.instance.id, device);
  if (claim === 'refused') {
    throw new ApiError(
      `Volume ${volume.id} cannot be attached at ${device}: it is ${volume.status}, or the device is taken`,
    );
  }
  build.volumes.push(volume);
  const devicePath = await connectVolume(build.parts, volume);
  build.disks.push({ devicePath, mountpoint: device.startsWith('/') ? device : `/dev/${device}` });
}
