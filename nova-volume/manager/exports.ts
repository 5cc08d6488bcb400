import { findTarget } from '../../common/db/iscsiTargets.js';
import type { VolumeRow } from '../../common/db/rows.js';
import { listVolumesOfInstance } from '../../common/db/volumes.js';
import { NovaError } from '../../common/errors.js';
import { volumeName } from '../../common/volumes/names.js';
import type { VolumeWork } from './work.js';

/** Exports a volume again after a start of the host. One without a target is left as it is. */
export async function ensureExport(work: VolumeWork, volume: VolumeRow): Promise<void> {
  const { db, driver, runtime, log } = work;
  const target = await findTarget(db, volume.id, runtime.host);
  if (target === undefined) {
    log.info(`Skipping ensure_export. No iscsi_target provisioned for volume: ${volume.id}`);
    return;
  }
  await driver.ensureExport(volume, target);
}

/** Throws when a volume of this host which is attached to the instance is not exported. */
export async function checkForExport(work: VolumeWork, instanceId: number): Promise<void> {
  const { db, driver, runtime } = work;
  for (const volume of await listVolumesOfInstance(db, instanceId)) {
    if (volume.host !== runtime.host) continue;
    const target = await findTarget(db, volume.id, runtime.host);
    if (target === undefined) throw new NovaError(`${volumeName(runtime.flags, volume.id)} is not exported`);
    await driver.checkForExport(volume, target);
  }
}
