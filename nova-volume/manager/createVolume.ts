import { allocateTarget, findTarget, releaseTarget } from '../../common/db/iscsiTargets.js';
import type { VolumeRow } from '../../common/db/rows.js';
import { getSnapshot } from '../../common/db/snapshots.js';
import {
  changeVolumeStatus,
  claimVolumeForCreate,
  finishVolumeCreate,
  storeProviderColumns,
} from '../../common/db/volumes.js';
import { volumeName } from '../../common/volumes/names.js';
import { attempt, isDatabaseAway, type VolumeWork } from './work.js';

/**
 * Makes a volume which is `creating`, exports it and makes it `available`. Every step can be repeated: a daemon which
 * died after any of them begins again at its next start. A failure undoes them and leaves the row in `error`; that of
 * the database leaves the row in `creating`, to be taken up again. `onClaimed` is called when the claim is committed,
 * and when there is nothing to do: the volume is made, given up, deleted or another host's.
 */
export async function createVolume(
  work: VolumeWork,
  volumeId: number,
  onClaimed: () => void = () => {},
): Promise<void> {
  return work.lanes.run(volumeId, async () => {
    const { db, runtime, log } = work;
    const volume = await claimVolumeForCreate(db, volumeId, runtime.host);
    onClaimed();
    if (volume === undefined) {
      log.info(`${volumeName(runtime.flags, volumeId)}: not to be made here`);
      return;
    }
    log.info(`${volumeName(runtime.flags, volumeId)}: creating`);
    try {
      await make(work, volume);
      if (await finishVolumeCreate(db, volumeId, runtime.host)) {
        log.info(`${volumeName(runtime.flags, volumeId)}: created successfully`);
        return;
      }
    } catch (error) {
      if (isDatabaseAway(error)) throw error;
      await unmake(work, volume);
      await changeVolumeStatus(db, volumeId, ['creating'], 'error', runtime.host);
      throw error;
    }
    log.warn(`${volumeName(runtime.flags, volumeId)}: given up while it was made; removing it`);
    await unmake(work, volume);
  });
}

async function make(work: VolumeWork, volume: VolumeRow): Promise<void> {
  const { db, driver, runtime } = work;
  const made =
    volume.snapshot_id === null
      ? await driver.createVolume(volume)
      : await driver.createVolumeFromSnapshot(volume, await getSnapshot(db, volume.snapshot_id));
  await storeProviderColumns(db, volume.id, runtime.host, made);
  const target = await allocateTarget(db, volume.id, runtime.host, runtime.flags.iscsi_num_targets);
  const exported = await driver.createExport({ ...volume, ...made }, target);
  await storeProviderColumns(db, volume.id, runtime.host, exported);
}

/** The undo of {@link make}, whatever part of it was done. */
async function unmake(work: VolumeWork, volume: VolumeRow): Promise<void> {
  const { db, driver, runtime } = work;
  const name = volumeName(runtime.flags, volume.id);
  await attempt(work, `remove the export of ${name}`, async () => {
    const target = await findTarget(db, volume.id, runtime.host);
    if (target !== undefined) await driver.removeExport(volume, target);
  });
  await attempt(work, `remove ${name}`, () => driver.deleteVolume(volume));
  await attempt(work, `free the target of ${name}`, () => releaseTarget(db, volume.id, runtime.host));
}
