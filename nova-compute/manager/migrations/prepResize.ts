import type { Context } from '../../../common/context.js';
import { failWaitingResize, isResizing, openMigration } from '../../../common/db/migrations.js';
import { changeInstance } from '../../../common/db/instances.js';
import type { InstanceRow } from '../../../common/db/rows.js';
import { MigrationError } from '../../../common/errors.js';
import type { InstanceId } from '../../../common/rpc/compute.js';
import type { Delivery } from '../../../common/rpc/types.js';
import { logNothingToDo } from '../claimedWork.js';
import { reasonOf } from '../failures.js';
import { unlessLocked } from '../locks.js';
import { migrationArgs } from './migrating.js';
import { notifyUsage, typeName } from '../notifications.js';
import { machineName, type ComputeParts } from '../parts.js';

/**
 * At the host which is to get a resized instance: notes the migration, then asks the instance's own host to let go of it
 * (nova 2011.3, prep_resize). Its own host can't be the destination: the instance is active again then (2011.3 leaves it
 * in `error`), and MigrationError thrown. Throws InstanceNotFound, and what keeps the other host from being told.
 */
export async function prepResize(
  parts: ComputeParts,
  context: Context,
  args: { instance_id: InstanceId; instance_type_id: number },
  delivery: Delivery,
): Promise<null | false> {
  const call = {
    method: 'prep_resize',
    instanceId: args.instance_id,
    delivery,
    refused: async (instance: InstanceRow) => {
      const waits = { vmState: ['resizing'], taskState: ['resize_prep'] };
      await changeInstance(parts.db, instance.id, { vm_state: 'active', task_state: null }, waits);
    },
  };
  return unlessLocked(parts, context, call, (instance) =>
    prepare(parts, context, instance, Number(args.instance_type_id), delivery),
  );
}

async function prepare(
  parts: ComputeParts,
  caller: Context,
  instance: InstanceRow,
  typeId: number,
  delivery: Delivery,
): Promise<void> {
  const { db, logger, runtime } = parts;
  const name = machineName(parts, instance);
  if (!isResizing(instance) || instance.host === null) {
    logNothingToDo(parts, instance, 'prep_resize');
    return;
  }
  const context = caller.elevated();
  try {
    if (instance.host === runtime.host) throw new MigrationError('destination same as source!');
    const newType = await typeName(parts, typeId);
    const migration = await openMigration(db, instance.id, {
      dest_compute: runtime.host,
      dest_host: runtime.flags.my_ip,
      new_instance_type_id: typeId,
    });
    if (migration === undefined) return void logger.info(`${name}: another host has its resize`);
    delivery.accept();
    logger.audit(`${name}: migrating from ${instance.host}`);
    await parts.rpc.computeOn(instance.host).cast.resize_instance(context, migrationArgs({ instance, migration }));
    await notifyUsage(parts, 'resize.prep', instance, { new_instance_type: newType, new_instance_type_id: typeId });
  } catch (error) {
    await giveUp(parts, instance, error);
    throw error;
  }
}

/** Nothing has happened to the machine: the instance is active, as it was. */
async function giveUp(parts: ComputeParts, instance: InstanceRow, error: unknown): Promise<void> {
  const reason = reasonOf(error, 'The instance could not be resized');
  await failWaitingResize(parts.db, instance.id, reason, (destination) => destination === parts.runtime.host);
}
