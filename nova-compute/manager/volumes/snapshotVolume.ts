import { setMappingVolume } from '../../../common/db/blockDeviceMappings.js';
import type { BlockDeviceMappingRow, VolumeRow } from '../../../common/db/rows.js';
import { getVolume } from '../../../common/db/volumes.js';
import { ApiError } from '../../../common/errors.js';
import type { Build } from '../building/buildState.js';

const pollMs = 1000;
const longestWaitMs = 15 * 60 * 1000;

/**
 * Makes the volume which a mapping wants from a snapshot, for the caller's project, notes it in the mapping and waits
 * until it is made. Throws what volumes' rules throw, and ApiError when it isn't made in time.
 */
export async function createVolumeFromSnapshot(build: Build, mapping: BlockDeviceMappingRow): Promise<VolumeRow> {
  const { db, runtime, volumes } = build.parts;
  const created = await volumes.create(build.caller, {
    snapshotId: mapping.snapshot_id ?? undefined,
    size: mapping.volume_size ?? undefined,
    name: '',
    description: '',
  });
  await setMappingVolume(db, mapping.id, created.id);
  const until = runtime.clock.now() + longestWaitMs;
  for (let volume = created; ; volume = await getVolume(db, created.id)) {
    if (volume.status === 'available') return volume;
    if (volume.status !== 'creating' || runtime.clock.now() >= until) {
      throw new ApiError(
        `Volume ${volume.id} could not be made from snapshot ${mapping.snapshot_id}: it is ${volume.status}`,
      );
    }
    await runtime.sleep(pollMs, build.signal);
  }
}
