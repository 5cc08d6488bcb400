import type { Context } from '../../../common/context.js';
import { instancesByIds } from '../../../common/db/instanceClaims.js';
import { findInstance } from '../../../common/db/instances.js';
import { isResizing, newestMigration, newestMigrations, touchMigration } from '../../../common/db/migrations.js';
import type { InstanceRow, MigrationRow } from '../../../common/db/rows.js';
import { findService, serviceIsUp } from '../../../common/db/services.js';
import { errorText } from '../../../common/errors.js';
import { idFromName } from '../../../common/names.js';
import type { MachineInfo } from '../../virt/driver.js';
import { nobodysMessage } from '../claimedWork.js';
import { forgottenBefore } from './forgottenTasks.js';
import { migrationArgs, type Migrating } from '../migrations/migrating.js';
import type { ComputeParts } from '../parts.js';
import { removeRemains } from './recoverMigrations.js';
import { sendOn, takeBack } from '../migrations/resizeInstance.js';
import { takeUpAgain } from '../migrations/revertResize.js';

/**
 * Ends resizes out of this host of whose destination nothing was heard for scheduling_timeout. While its nova-compute is
 * alive it is asked again, for a message may be lost; when that is down the machine which was kept here is started again,
 * and whatever the destination has of it goes when it comes back. What a confirmed resize left here is removed.
 */
export async function endForgottenResizes(parts: ComputeParts, context: Context): Promise<void> {
  const kept = (await parts.driver.list()).filter(({ role }) => role === 'outgoing');
  if (kept.length === 0) return;
  const template = parts.runtime.flags.instance_name_template;
  const machines = new Map(kept.map((machine) => [idFromName(template, machine.name), machine]));
  const ids = [...machines.keys()].filter((id) => id !== undefined && !parts.lanes.has(id)) as number[];
  const rows = (await instancesByIds(parts.db, ids)).filter((row) => !row.deleted && row.uuid !== null);
  const migrations = await newestMigrations(
    parts.db,
    rows.map((row) => row.uuid ?? ''),
  );
  for (const row of rows) {
    const machine = machines.get(row.id);
    const migration = migrations.get(row.uuid ?? '');
    if (machine === undefined || migration === undefined || !isForgotten(parts, migration)) continue;
    try {
      await parts.lanes.run(row.id, () => end(parts, context, row.id, machine));
    } catch (error) {
      parts.logger.error(`${machine.name}: its resize could not be ended (yet): ${errorText(error)}`);
    }
  }
}

function isForgotten(parts: ComputeParts, migration: MigrationRow): boolean {
  const since = migration.updated_at ?? migration.created_at ?? '';
  return migration.source_compute === parts.runtime.host && since < forgottenBefore(parts);
}

/** In the instance's lane: by the rows as they are now. */
async function end(parts: ComputeParts, context: Context, id: number, machine: MachineInfo): Promise<void> {
  const { db, runtime, logger } = parts;
  const { name } = machine;
  const instance = await findInstance(db, id);
  const migration = instance && (await newestMigration(db, instance.uuid));
  if (instance === undefined || migration === undefined || !isForgotten(parts, migration)) return;
  if (instance.host !== runtime.host) {
    if (await removeRemains(parts, instance, machine, migration)) logger.warn(`${name}: removed; it was confirmed`);
    return;
  }
  const leaving = isResizing(instance) && migration.status === 'post-migrating';
  if (!leaving && !(isComingBack(instance) && migration.status === 'reverted')) return;
  const state: Migrating = { parts, context: context.elevated(), instance, migration, name };
  const destination = migration.dest_compute ?? '';
  if (await isAlive(parts, destination)) {
    logger.warn(`${name}: asking ${destination} again`);
    await touchMigration(db, migration.id);
    if (leaving) await sendOn(state);
    else await parts.rpc.computeOn(destination).cast.revert_resize(state.context, migrationArgs(state));
    return;
  }
  logger.warn(`${name}: ${destination} is down; taking it up again here`);
  if (leaving)
    await takeBack(state, `The compute service on ${destination} went down while the instance was sent there`);
  else await takeUpAgain(state, nobodysMessage);
}

/** Whether the owner's word, or a failure at the destination, has an instance come back. */
function isComingBack(instance: InstanceRow): boolean {
  return instance.task_state === 'resize_reverting' || (instance.vm_state === 'active' && instance.task_state === null);
}

async function isAlive({ db, runtime }: ComputeParts, host: string): Promise<boolean> {
  const service = await findService(db, host, 'nova-compute');
  return service !== undefined && serviceIsUp(service, runtime.clock.now(), runtime.flags.service_down_time);
}
