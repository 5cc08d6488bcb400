import type { Context } from '../../../common/context.js';
import { newestMigration } from '../../../common/db/migrations.js';
import { listVolumesOfInstance } from '../../../common/db/volumes.js';
import type { MigrationArgs } from '../../../common/rpc/compute.js';
import type { Delivery } from '../../../common/rpc/types.js';
import { disconnectVolume } from '../../../common/volumes/connector.js';
import { logNothingToDo } from '../claimedWork.js';
import { networkInfoOf } from '../building/machineSpec.js';
import { onMigration, type Migrating } from './migrating.js';
import { notifyUsage } from '../notifications.js';
import type { ComputeParts } from '../parts.js';

/**
 * At the source: removes the machine which was kept for the case that the owner changes their mind (nova 2011.3,
 * confirm_resize). The rows say already that it is over. There is no claim, the message is acknowledged at the end: every
 * part may be repeated, and a machine which isn't a kept one is left alone.
 */
export async function confirmResize(
  parts: ComputeParts,
  context: Context,
  args: MigrationArgs,
  delivery: Delivery,
): Promise<null> {
  return onMigration(parts, context, args, 'source_compute', async (state) => {
    const { instance, migration } = state;
    // Nova 2011.3's API confirms the rows only after it has sent the message.
    const confirmed = migration.status === 'confirmed' || migration.status === 'finished';
    const newest = await newestMigration(parts.db, instance.uuid);
    const verifying = instance.task_state === 'resize_verify' && !instance.deleted;
    if (!confirmed || verifying || newest?.id !== migration.id) {
      logNothingToDo(parts, instance, 'confirm_resize', `migration ${migration.status}`);
      return;
    }
    if (!instance.deleted) await networkInfoOf(parts, state.context, { ...instance, host: parts.runtime.host });
    await removeKept(state);
    delivery.accept();
    await notifyUsage(parts, 'resize.confirm', instance);
  });
}

/** Removes the machine which was kept at the source, and its connections to volumes. */
export async function removeKept({
  parts,
  instance,
  name,
}: Pick<Migrating, 'parts' | 'instance' | 'name'>): Promise<void> {
  if ((await parts.driver.info(name))?.role !== 'outgoing') return;
  await parts.driver.confirmMigration(name);
  for (const volume of await listVolumesOfInstance(parts.db, instance.id)) await disconnectVolume(parts, volume);
}
