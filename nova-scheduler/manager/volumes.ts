import { changeSnapshotStatus, findSnapshot } from '../../common/db/snapshots.js';
import { changeVolumeStatus, findVolume } from '../../common/db/volumes.js';
import { NoValidHost } from '../../common/errors.js';
import { isRefusal, passOn, type Errand, type SchedulerWork } from './work.js';

/**
 * Finds a host for a volume and passes create_volume on to it; a volume of a snapshot goes where the snapshot is. One
 * which isn't `creating` any longer is left alone; one for which there is no host goes to `error`, and the refusal is
 * thrown. A message which comes again after the host was written goes to that host.
 */
export async function scheduleVolume(work: SchedulerWork, errand: Errand): Promise<void> {
  const { db, driver } = work;
  const { context, topic } = errand;
  const id = errand.args['volume_id'];
  const volume = typeof id === 'number' ? await findVolume(db, id) : undefined;
  if (volume === undefined || volume.status !== 'creating') {
    work.log.warn(`Volume ${String(id)} does not wait for a host; ${errand.method} is dropped`);
    return;
  }
  try {
    const onlyHost = volume.snapshot_id === null ? null : await hostOfSnapshot(work, volume.snapshot_id);
    await passOn(work, errand, async (tried) =>
      volume.host !== null && !tried.has(volume.host)
        ? volume.host
        : driver.placeVolume(context, { volume, topic, tried, onlyHost }),
    );
  } catch (error) {
    if (isRefusal(error)) await changeVolumeStatus(db, volume.id, ['creating'], 'error');
    throw error;
  }
}

/**
 * Passes create_snapshot or delete_snapshot on to the host of the snapshot's volume (2011.3 took any). When that could
 * not be told the snapshot goes to `error` or `error_deleting`, and NoValidHost is thrown.
 */
export async function scheduleSnapshot(work: SchedulerWork, errand: Errand): Promise<void> {
  const { db, driver } = work;
  const { context, topic, method } = errand;
  const id = errand.args['snapshot_id'];
  const snapshot = typeof id === 'number' ? await findSnapshot(db, id) : undefined;
  const [before, failed] = method === 'create_snapshot' ? ['creating', 'error'] : ['deleting', 'error_deleting'];
  if (snapshot === undefined || snapshot.status !== before) {
    work.log.warn(`Snapshot ${String(id)} is not ${before}; ${method} is dropped`);
    return;
  }
  try {
    const own = (await findVolume(db, snapshot.volume_id))?.host ?? null;
    await passOn(work, errand, async (tried) => {
      if (own === null) return driver.place(context, topic, tried);
      if (tried.has(own)) throw new NoValidHost(`The host of the snapshot's volume cannot be reached.`);
      return own;
    });
  } catch (error) {
    if (isRefusal(error)) await changeSnapshotStatus(db, snapshot.id, [before], { status: failed });
    throw error;
  }
}

/** The host which has a snapshot; null when its volume is on none, so that any host will find that out. */
async function hostOfSnapshot(work: SchedulerWork, snapshotId: number): Promise<string | null> {
  const snapshot = await findSnapshot(work.db, snapshotId);
  const volume = snapshot === undefined ? undefined : await findVolume(work.db, snapshot.volume_id);
  return volume?.host ?? null;
}
