import type { Context } from '../../common/context.js';
import type { SnapshotRow, VolumeRow } from '../../common/db/rows.js';
import { changeSnapshotStatus, findSnapshot, finishSnapshotDelete } from '../../common/db/snapshots.js';
import { findVolume } from '../../common/db/volumes.js';
import { SnapshotNotFound, VolumeNotFound } from '../../common/errors.js';
import { snapshotName } from '../../common/volumes/names.js';
import { attempt, isDatabaseAway, type VolumeWork } from './work.js';

/**
 * Makes a snapshot which is `creating`; in the end it is `available` or `error`. Can be repeated. Does nothing for one
 * in another state. `onClaimed` as for createVolume; it is passed on to the volume's own host when a scheduler of 2011.3
 * has sent it to another.
 */
export async function createSnapshot(
  work: VolumeWork,
  context: Context,
  snapshotId: number,
  onClaimed: () => void = () => {},
): Promise<void> {
  const { db, driver, runtime, log, rpc } = work;
  await withSnapshot(work, snapshotId, 'creating', onClaimed, async (snapshot, volume) => {
    if (volume !== undefined && volume.host !== null && volume.host !== runtime.host) {
      await rpc.volumeOn(volume.host).cast.create_snapshot(context, { volume_id: volume.id, snapshot_id: snapshotId });
      return;
    }
    try {
      if (volume === undefined) throw new VolumeNotFound(snapshot.volume_id);
      await driver.createSnapshot(snapshot);
    } catch (error) {
      if (isDatabaseAway(error)) throw error;
      await attempt(work, `remove ${snapshotName(runtime.flags, snapshotId)}`, () => driver.deleteSnapshot(snapshot));
      await changeSnapshotStatus(db, snapshotId, ['creating'], { status: 'error' });
      throw error;
    }
    const made = { status: 'available', progress: '100%' };
    if (await changeSnapshotStatus(db, snapshotId, ['creating'], made)) {
      log.info(`${snapshotName(runtime.flags, snapshotId)}: created successfully`);
    } else {
      await driver.deleteSnapshot(snapshot);
    }
  });
}

/** Removes a snapshot which is `deleting`; a failure leaves it in `error_deleting`. Otherwise as {@link createSnapshot}. */
export async function deleteSnapshot(
  work: VolumeWork,
  context: Context,
  snapshotId: number,
  onClaimed: () => void = () => {},
): Promise<void> {
  const { db, driver, runtime, log, rpc } = work;
  await withSnapshot(work, snapshotId, 'deleting', onClaimed, async (snapshot, volume) => {
    if (volume !== undefined && volume.host !== null && volume.host !== runtime.host) {
      await rpc.volumeOn(volume.host).cast.delete_snapshot(context, { snapshot_id: snapshotId });
      return;
    }
    try {
      await driver.deleteSnapshot(snapshot);
    } catch (error) {
      if (isDatabaseAway(error)) throw error;
      await changeSnapshotStatus(db, snapshotId, ['deleting'], { status: 'error_deleting' });
      throw error;
    }
    await finishSnapshotDelete(db, snapshotId);
    log.info(`${snapshotName(runtime.flags, snapshotId)}: deleted successfully`);
  });
}

/**
 * Runs `then` in the volume's lane with a snapshot which is in the given state, and its volume when that lives. Throws
 * SnapshotNotFound.
 */
async function withSnapshot(
  work: VolumeWork,
  snapshotId: number,
  status: string,
  onClaimed: () => void,
  then: (snapshot: SnapshotRow, volume: VolumeRow | undefined) => Promise<void>,
): Promise<void> {
  const found = await findSnapshot(work.db, snapshotId);
  if (found === undefined) {
    onClaimed();
    throw new SnapshotNotFound(snapshotId);
  }
  await work.lanes.run(found.volume_id, async () => {
    const snapshot = await findSnapshot(work.db, snapshotId);
    const volume = await findVolume(work.db, found.volume_id);
    onClaimed();
    if (snapshot?.status !== status) {
      work.log.info(`${snapshotName(work.runtime.flags, snapshotId)}: is not ${status}; nothing to do`);
      return;
    }
    await then(snapshot, volume);
  });
}
