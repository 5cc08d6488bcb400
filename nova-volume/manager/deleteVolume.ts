import { findTarget } from '../../common/db/iscsiTargets.js';
import type { VolumeRow } from '../../common/db/rows.js';
import { volumeHasSnapshots } from '../../common/db/snapshots.js';
import { changeVolumeStatus, claimVolumeForDelete, finishVolumeDelete } from '../../common/db/volumes.js';
import { NovaPlainError, VolumeIsBusy } from '../../common/errors.js';
import { volumeName } from '../../common/volumes/names.js';
import { isDatabaseAway, type VolumeWork } from './work.js';

/**
 * Removes a volume of this host: its export, then itself, then its row. Every step can be repeated. A volume which a
 * snapshot needs goes back to `available`, exported as before; a failure of the driver leaves it in `error_deleting`,
 * from which it can be deleted again; a failure of the database in `deleting`, to be taken up again. Throws `Error` for a volume which
 * is attached (its row is put right) or of another host. `onClaimed` as for createVolume.
 */
export async function deleteVolume(
  work: VolumeWork,
  volumeId: number,
  onClaimed: () => void = () => {},
): Promise<void> {
  return work.lanes.run(volumeId, async () => {
    const { db, runtime, log } = work;
    const volume = await claimVolumeForDelete(db, volumeId, runtime.host);
    onClaimed();
    const name = volumeName(runtime.flags, volumeId);
    if (volume === undefined) {
      log.info(`${name}: deleted already`);
      return;
    }
    await refuse(work, volume);
    if (volume.status !== 'deleting') {
      log.warn(`${name}: is ${volume.status} and stays`);
      return;
    }
    log.info(`${name}: deleting`);
    if (await volumeHasSnapshots(db, volumeId)) {
      await keep(work, volume);
      return;
    }
    try {
      await remove(work, volume);
    } catch (error) {
      if (isDatabaseAway(error)) throw error;
      if (error instanceof VolumeIsBusy) {
        await keep(work, volume);
        return;
      }
      await changeVolumeStatus(db, volumeId, ['deleting'], 'error_deleting', runtime.host);
      throw error;
    }
    await finishVolumeDelete(db, volumeId, runtime.host);
    log.info(`${name}: deleted successfully`);
  });
}

/** Throws when the volume may not be deleted here. One which is attached must not be shown as `deleting` for ever. */
async function refuse(work: VolumeWork, volume: VolumeRow): Promise<void> {
  if (volume.attach_status === 'attached') {
    await changeVolumeStatus(work.db, volume.id, ['deleting'], 'in-use', work.runtime.host);
    throw new NovaPlainError('Volume is still attached');
  }
  if (volume.host !== work.runtime.host) throw new NovaPlainError('Volume is not local to this node');
}

async function remove(work: VolumeWork, volume: VolumeRow): Promise<void> {
  const target = await findTarget(work.db, volume.id, work.runtime.host);
  if (target !== undefined) await work.driver.removeExport(volume, target);
  await work.driver.deleteVolume(volume);
}

/** A snapshot needs the volume: it is exported (again) and available. */
async function keep(work: VolumeWork, volume: VolumeRow): Promise<void> {
  const { db, driver, runtime, log } = work;
  log.info(`${volumeName(runtime.flags, volume.id)}: has a snapshot and stays`);
  const target = await findTarget(db, volume.id, runtime.host);
  if (target !== undefined) await driver.ensureExport(volume, target);
  await changeVolumeStatus(db, volume.id, ['deleting'], 'available', runtime.host);
}
