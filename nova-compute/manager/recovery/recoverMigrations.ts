import type { Context } from '../../../common/context.js';
import { findInstance } from '../../../common/db/instances.js';
import { overdueLiveMigrations } from '../../../common/db/liveMigrations.js';
import { isResizing, migrationsInto, newestMigration, newestMigrations } from '../../../common/db/migrations.js';
import type { InstanceRow, MigrationRow } from '../../../common/db/rows.js';
import type { MachineInfo } from '../../virt/driver.js';
import { removeKept } from '../migrations/confirmResize.js';
import { forgottenBefore } from './forgottenTasks.js';
import { migrationArgs } from '../migrations/migrating.js';
import { reasonOfCutOff, type CutOff } from '../cutOff.js';
import { machineName, type ComputeParts } from '../parts.js';
import { sendOn, takeBack } from '../migrations/resizeInstance.js';
import { giveBack } from '../migrations/revertResize.js';

/**
 * A resize out of this host which was cut off, in the instance's lane. Before the disk had gone the machine is started
 * again; afterwards the destination is asked (again) to go on, or to give it back. False when there is none.
 */
export async function recoverResize(
  parts: ComputeParts,
  context: Context,
  instance: InstanceRow,
  cutOff: CutOff,
): Promise<boolean> {
  const name = machineName(parts, instance);
  const reverting = instance.task_state === 'resize_reverting';
  const idle = instance.vm_state === 'active' && instance.task_state === null;
  const kept = idle && (await parts.driver.info(name))?.role === 'outgoing';
  if (!reverting && !kept && !isResizing(instance)) return false;
  const migration = await newestMigration(parts.db, instance.uuid);
  if (migration?.source_compute !== parts.runtime.host) return isResizing(instance);
  const state = { parts, context, instance, migration, name };
  if (reverting || (kept && migration.status === 'reverted')) {
    await parts.rpc.computeOn(migration.dest_compute ?? '').cast.revert_resize(context, migrationArgs(state));
  } else if (migration.status === 'migrating') {
    await takeBack(state, reasonOfCutOff(parts.runtime.host, cutOff, 'the instance was being resized'));
  } else if (migration.status === 'post-migrating') {
    await sendOn(state);
  }
  return true;
}

/** Takes up a machine which came, alive, while nobody here could. Any other is left alone. */
export async function recoverArrived(parts: ComputeParts, instance: InstanceRow): Promise<void> {
  const name = machineName(parts, instance);
  if (instance.vm_state === 'migrating' || (await parts.driver.info(name))?.role !== 'incoming') return;
  await parts.driver.completeIncoming(name);
}

/** Resizes into this host which were cut off: the source is asked again to send the machine, or to take it back. */
export async function recoverArrivals(
  parts: ComputeParts,
  context: Context,
  quietly: (what: string, work: () => Promise<void>) => Promise<void>,
): Promise<void> {
  for (const migration of await migrationsInto(parts.db, parts.runtime.host)) {
    await quietly(`migration ${migration.id}`, () =>
      parts.lanes.run(migration.instance_id, async () => {
        const instance = await findInstance(parts.db, migration.instance_id);
        if (instance === undefined) return;
        const state = { parts, context, instance, migration, name: machineName(parts, instance) };
        if (instance.task_state === 'resize_reverting') return giveBack(state);
        if (!isResizing(instance) || !['pre-migrating', 'post-migrating'].includes(migration.status ?? '')) return;
        const source = parts.rpc.computeOn(migration.source_compute ?? '');
        await source.cast.resize_instance(context, migrationArgs(state));
      }),
    );
  }
}

/** The newest migration of each of these instances which is on another host, by the instance's id. */
export async function migrationsOfStrangers(
  parts: ComputeParts,
  rows: readonly InstanceRow[],
): Promise<ReadonlyMap<number, MigrationRow>> {
  const strangers = rows.filter((row) => row.host !== parts.runtime.host && !row.deleted && row.uuid !== null);
  const byUuid = await newestMigrations(
    parts.db,
    strangers.map((row) => row.uuid ?? ''),
  );
  return new Map(
    strangers.flatMap((row) => {
      const migration = byUuid.get(row.uuid ?? '');
      return migration === undefined ? [] : [[row.id, migration] as const];
    }),
  );
}

/**
 * Removes a machine which a migration left here although its instance is on another host: kept at the source of a
 * confirmed resize, made at the destination of one which was taken back, or ready for a live migration which is over.
 * False for any other machine.
 */
export async function removeRemains(
  parts: ComputeParts,
  row: InstanceRow,
  machine: MachineInfo,
  migration: MigrationRow | undefined,
): Promise<boolean> {
  const { host } = parts.runtime;
  const idle = row.task_state === null;
  const kept = machine.role === 'outgoing' && migration?.source_compute === host && migration.status === 'confirmed';
  const takenBack = idle && migration?.dest_compute === host && ['reverted', 'error'].includes(migration.status ?? '');
  const notComing = machine.role === 'incoming' && row.vm_state !== 'migrating';
  if (kept) await removeKept({ parts, instance: row, name: machine.name });
  else if (takenBack || notComing) await parts.driver.destroy(machine.name);
  return kept || takenBack || notComing;
}

/** Live migrations out of this host at which nobody has worked for a long time, as their message was lost. */
export async function forgottenMoves(parts: ComputeParts): Promise<number[]> {
  const ids = await overdueLiveMigrations(parts.db, parts.runtime.host, forgottenBefore(parts));
  return ids.filter((id) => !parts.moving.has(id));
}
