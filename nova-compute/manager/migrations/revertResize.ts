import type { Context } from '../../../common/context.js';
import { changedColumns } from '../../../common/db/changed.js';
import { failInstance } from '../../../common/db/instanceActions.js';
import { changeInstance } from '../../../common/db/instances.js';
import { getInstanceType } from '../../../common/db/instanceTypes.js';
import { changeMigration, newestMigration, typeColumns } from '../../../common/db/migrations.js';
import { listVolumesOfInstance } from '../../../common/db/volumes.js';
import type { MigrationArgs } from '../../../common/rpc/compute.js';
import type { Delivery } from '../../../common/rpc/types.js';
import { disconnectVolume } from '../../../common/volumes/connector.js';
import { powerState } from '../../virt/driver.js';
import { logNothingToDo, withClaim } from '../claimedWork.js';
import { reasonOf } from '../failures.js';
import { networkInfoOf } from '../building/machineSpec.js';
import { migrationArgs, onMigration, type Migrating } from './migrating.js';
import { notifyUsage } from '../notifications.js';
import { powerStateOf, type ComputeParts } from '../parts.js';

/** Tasks in which an instance may be while its resize is taken back; the last is the word of 2011.3's own API. */
const revertable: readonly (string | null)[] = ['resize_verify', 'resize_reverting', null];

/**
 * At the destination: removes the machine, then has the source take up the one it kept (nova 2011.3, revert_resize). The
 * instance is in the task `resize_reverting` from here on, which 2011.3 has a name for but never writes: a daemon which
 * starts finds by it what is left to do. Of an instance which is deleted, or being deleted, only the machine goes.
 */
export async function revertResize(
  parts: ComputeParts,
  context: Context,
  args: MigrationArgs,
  delivery: Delivery,
): Promise<null> {
  return onMigration(parts, context, args, 'dest_compute', async (state) => {
    const { instance, migration } = state;
    const newest = await newestMigration(parts.db, instance.uuid);
    if (newest?.id !== migration.id || instance.host === parts.runtime.host) {
      logNothingToDo(parts, instance, 'revert_resize', `migration ${migration.status}`);
      return;
    }
    if (instance.deleted || instance.task_state === 'deleting') {
      delivery.accept();
      await removeHere(state);
      return;
    }
    const expected = { host: migration.source_compute, taskState: revertable };
    const reverted = migration.status === 'reverted' || migration.status === 'finished';
    if (!reverted || !(await changeInstance(parts.db, instance.id, { task_state: 'resize_reverting' }, expected))) {
      logNothingToDo(parts, instance, 'revert_resize');
      return;
    }
    delivery.accept();
    await giveBack(state);
  });
}

/** The machine is not here any more, and its source knows. May be repeated. */
export async function giveBack(state: Migrating): Promise<void> {
  const { parts, context, migration, name } = state;
  parts.logger.audit(`${name}: going back to ${migration.source_compute}`);
  await removeHere(state);
  await parts.rpc.computeOn(migration.source_compute ?? '').cast.finish_revert_resize(context, migrationArgs(state));
}

async function removeHere({ parts, context, instance, name }: Migrating): Promise<void> {
  if (!instance.deleted) await networkInfoOf(parts, context, instance).catch(() => undefined);
  await parts.driver.destroy(name);
  for (const volume of await listVolumesOfInstance(parts.db, instance.id)) await disconnectVolume(parts, volume);
}

/** At the source: starts the machine which was kept, in its old size (nova 2011.3, finish_revert_resize). */
export async function finishRevertResize(
  parts: ComputeParts,
  context: Context,
  args: MigrationArgs,
  delivery: Delivery,
): Promise<null> {
  return onMigration(parts, context, args, 'source_compute', (state) => takeUpAgain(state, delivery));
}

/** The work itself, in the instance's lane. */
export async function takeUpAgain(state: Migrating, delivery: Delivery): Promise<void> {
  const { parts, context, instance, migration, name } = state;
  const { db, runtime } = parts;
  const mine = !instance.deleted && instance.host === runtime.host && revertable.includes(instance.task_state);
  const kept = (await parts.driver.info(name))?.role === 'outgoing';
  const done = await withClaim(parts, instance, {
    method: 'finish_revert_resize',
    delivery,
    doing: `back from ${migration.dest_compute}`,
    claim: async () => mine && (kept || instance.task_state === 'resize_reverting'),
    run: async () => {
      const old = migration.old_instance_type_id;
      const columns = old === null ? {} : typeColumns(await getInstanceType(db, old));
      await parts.driver.revertMigration(name, await networkInfoOf(parts, context, instance));
      const power = await powerStateOf(parts, name);
      const vmState = power.power_state === powerState.failed ? 'error' : 'active';
      const expected = { host: runtime.host, taskState: [instance.task_state] };
      const values = changedColumns(instance, { ...columns, ...power, vm_state: vmState, task_state: null });
      await changeInstance(db, instance.id, values, expected);
      await changeMigration(db, migration.id, ['pre-migrating', 'migrating', 'post-migrating', 'finished'], 'reverted');
    },
    fail: (error) => {
      const reason = reasonOf(error, 'The resize could not be taken back');
      return failInstance(db, instance.id, 'finish_revert_resize', reason, [instance.task_state]);
    },
  });
  if (done) await notifyUsage(parts, 'resize.revert', instance);
}
