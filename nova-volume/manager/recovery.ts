import type { Context } from '../../common/context.js';
import { listUnfinishedSnapshots } from '../../common/db/snapshots.js';
import { listUnfinishedVolumes, listVolumesOfHost } from '../../common/db/volumes.js';
import { errorText } from '../../common/errors.js';
import { snapshotName, volumeName } from '../../common/volumes/names.js';
import { createVolume } from './createVolume.js';
import { deleteVolume } from './deleteVolume.js';
import { ensureExport } from './exports.js';
import { createSnapshot, deleteSnapshot } from './snapshots.js';
import { isDatabaseAway, type VolumeWork } from './work.js';

/**
 * Takes up what a predecessor left: volumes and snapshots which are `creating` or `deleting` are brought to an end, the
 * others are exported. The failure of one is logged, and its row says so; that of the database is thrown.
 */
export async function recover(work: VolumeWork, context: Context): Promise<void> {
  for (const volume of await listVolumesOfHost(work.db, work.runtime.host)) {
    if (volume.status === 'available' || volume.status === 'in-use') {
      await guarded(work, volumeName(work.runtime.flags, volume.id), () => ensureExport(work, volume));
    }
  }
  await finishUnfinished(work, context);
}

/** The part of {@link recover} which is also done from time to time, for what a failing database interrupted. */
export async function finishUnfinished(work: VolumeWork, context: Context): Promise<void> {
  const { flags, host } = work.runtime;
  for (const volume of await listUnfinishedVolumes(work.db, host)) {
    const finish = volume.status === 'creating' ? createVolume : deleteVolume;
    await guarded(work, volumeName(flags, volume.id), () => finish(work, volume.id));
  }
  for (const snapshot of await listUnfinishedSnapshots(work.db, host)) {
    const finish = snapshot.status === 'creating' ? createSnapshot : deleteSnapshot;
    await guarded(work, snapshotName(flags, snapshot.id), () => finish(work, context, snapshot.id));
  }
}

async function guarded(work: VolumeWork, name: string, step: () => Promise<void>): Promise<void> {
  try {
    await step();
  } catch (error) {
    if (isDatabaseAway(error)) throw error;
    work.log.error(`${name}: could not be taken up: ${errorText(error)}`, error);
  }
}
