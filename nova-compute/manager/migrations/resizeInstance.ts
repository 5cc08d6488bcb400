import type { Context } from '../../../common/context.js';
import { changedColumns } from '../../../common/db/changed.js';
import { getInstanceType } from '../../../common/db/instanceTypes.js';
import { changeMigration, failMigration, isResizing, typeColumns } from '../../../common/db/migrations.js';
import { errorText } from '../../../common/errors.js';
import type { MigrationArgs } from '../../../common/rpc/compute.js';
import type { Delivery } from '../../../common/rpc/types.js';
import { powerState } from '../../virt/driver.js';
import { recordFailure, withClaim } from '../claimedWork.js';
import { reasonOf } from '../failures.js';
import { networkInfoOf } from '../building/machineSpec.js';
import { migrationArgs, onMigration, type Migrating } from './migrating.js';
import { powerStateOf, type ComputeParts } from '../parts.js';

/**
 * At the source: powers the machine off, brings its disk to the destination, and asks that to go on (nova 2011.3,
 * resize_instance). The migration's status is the claim; where it is post-migrating already only the destination is asked
 * again. A failure starts the machine again, and the instance is active as it was.
 */
export async function resizeInstance(
  parts: ComputeParts,
  context: Context,
  args: MigrationArgs,
  delivery: Delivery,
): Promise<null> {
  return onMigration(parts, context, args, 'source_compute', (state) => letGo(state, delivery));
}

async function letGo(state: Migrating, delivery: Delivery): Promise<void> {
  const { parts, instance, migration } = state;
  const again = migration.status === 'post-migrating';
  const mine = !instance.deleted && isResizing(instance) && instance.host === parts.runtime.host;
  await withClaim(parts, instance, {
    method: 'resize_instance',
    delivery,
    doing: `going to ${migration.dest_compute}`,
    found: `migration ${migration.status}`,
    claim: async () =>
      mine && (again || (await changeMigration(parts.db, migration.id, ['pre-migrating'], 'migrating'))),
    run: () => sendOn(state),
    fail: (error) => takeBack(state, reasonOf(error, 'The instance could not be resized')),
  });
}

/** The disk goes to the destination, which is asked to go on. Every part may be repeated. */
export async function sendOn(state: Migrating): Promise<void> {
  const { parts, context, migration, name } = state;
  const diskInfo = await parts.driver.migrateOut(name, migration.dest_host ?? '');
  await changeMigration(parts.db, migration.id, ['migrating'], 'post-migrating');
  await parts.rpc.computeOn(migration.dest_compute ?? '').cast.finish_resize(context, {
    migration_id: migration.id,
    disk_info: diskInfo,
    instance_id: migrationArgs(state).instance_id,
  });
}

/** Starts the machine again where it was; the resize is over. */
export async function takeBack(state: Migrating, reason: string): Promise<void> {
  const { parts, context, instance, migration, name } = state;
  try {
    await parts.driver.revertMigration(name, await networkInfoOf(parts, context, instance));
  } catch (error) {
    parts.logger.error(`${name}: its machine could not be started again: ${errorText(error)}`);
  }
  await recordFailure(parts, instance, reason, async () => {
    const power = await powerStateOf(parts, name);
    const vmState = power.power_state === powerState.running ? 'active' : 'error';
    const old = migration.old_instance_type_id;
    // the destination may have written its new size already
    const size = old === null ? {} : changedColumns(instance, typeColumns(await getInstanceType(parts.db, old)));
    const values = { ...size, ...power, vm_state: vmState, task_state: null };
    await failMigration(parts.db, migration, instance.id, {
      action: 'resize_instance',
      reason,
      values,
      status: 'error',
    });
  });
}
