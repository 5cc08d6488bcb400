import type { DbTime } from '../time.js';
import { placeholders, type Db, type Queryable, type Values } from './db.js';
import { recordInstanceError } from './instanceActions.js';
import { changeInstance, softDeleteInstances, type ExpectedInstance } from './instances.js';
import type { InstanceRow } from './rows.js';
import { anything, changeWhere, firstWhere, rowsWhere } from './where.js';

/**
 * The conditional updates by which nova-compute takes work and carries it on. Every one of them repeats what the worker
 * believes (its host, the task, a live row), so that a daemon which slept while others acted changes nothing.
 */

/** What a worker believes of an instance it works on. */
export interface InstanceClaim {
  instanceId: number;
  host: string;
  vmState?: string;
  /** null is no task. */
  taskState: string | null;
}

/**
 * Takes a scheduled instance for a host: networking, host and launched_on are written. False when it is not waiting for
 * a host any more, or the scheduler gave it to another one. Of several callers one gets true.
 */
export async function claimForRun(db: Queryable, instanceId: number, host: string): Promise<boolean> {
  const claimed = { host, launched_on: host, task_state: 'networking' };
  const waits = { id: instanceId, deleted: false, vm_state: 'building', task_state: 'scheduling', host: [null, host] };
  return changeWhere(db, 'instances', claimed, waits);
}

/** Takes a stopped instance whose start was asked for, whatever host it was on. Of several callers one gets true. */
export async function claimForStart(db: Queryable, instanceId: number, host: string): Promise<boolean> {
  return changeInstance(
    db,
    instanceId,
    { host, launched_on: host, vm_state: 'building', task_state: 'networking' },
    { vmState: ['stopped'], taskState: ['starting'] },
  );
}

/**
 * Takes the end of an instance of this host: its task becomes `deleting`, whatever it was. False when the instance is
 * gone or on another host.
 */
export async function claimForTerminate(db: Queryable, instance: InstanceRow, host: string): Promise<boolean> {
  const claim = { instanceId: instance.id, host, taskState: 'deleting' };
  if (instance.task_state === 'deleting' && (await stillClaimed(db, claim))) return true;
  return changeInstance(db, instance.id, { task_state: 'deleting' }, { host });
}

/** Whether the worker's belief still holds. */
export async function stillClaimed(db: Queryable, claim: InstanceClaim): Promise<boolean> {
  const { instanceId: id, host, vmState = anything, taskState } = claim;
  const wanted = { id, deleted: false, host, vm_state: vmState, task_state: taskState };
  return (await firstWhere(db, 'instances', wanted)) !== undefined;
}

/** Writes columns of a claimed instance; false, and nothing written, when the claim is lost. */
export async function changeClaimed(
  db: Queryable,
  claim: InstanceClaim,
  values: Values<'instances'>,
): Promise<boolean> {
  return changeInstance(db, claim.instanceId, values, expected(claim));
}

/**
 * Ends the work on a claimed instance without success: the given states, no task, and the reason, in one transaction.
 * `neverLaunched` makes it one which was never launched, whatever it was. False, and nothing written, when the claim is
 * lost.
 */
export async function failClaimed(
  db: Db,
  claim: InstanceClaim,
  failure: { action: string; reason: string; vmState: string; powerState?: number; neverLaunched?: boolean },
): Promise<boolean> {
  return db.transaction(async (tx) => {
    const values: Values<'instances'> = { task_state: null };
    if (failure.neverLaunched === true) values.launched_at = null;
    if (failure.vmState !== claim.vmState) values.vm_state = failure.vmState;
    if (failure.powerState !== undefined) values.power_state = failure.powerState;
    if (!(await changeClaimed(tx, claim, values))) return false;
    await recordInstanceError(tx, claim.instanceId, failure.action, failure.reason);
    return true;
  });
}

/**
 * Ends a terminated instance: state `deleted`, then the row, its group memberships and its metadata soft-deleted; in one
 * transaction, so that no half-deleted instance is left. False when the claim is lost; a second caller gets false.
 */
export async function finishTerminate(db: Db, claim: InstanceClaim): Promise<boolean> {
  return db.transaction(async (tx) => {
    const values: Values<'instances'> = { vm_state: 'deleted', task_state: null, terminated_at: tx.now() };
    if (!(await changeClaimed(tx, claim, values))) return false;
    await softDeleteInstances(tx, [claim.instanceId]);
    return true;
  });
}

/**
 * Writes the power state which the hypervisor reports, for instances of this host which no task works on. Answers how
 * many rows changed.
 */
export async function writePowerState(
  db: Queryable,
  host: string,
  instanceIds: readonly number[],
  powerState: number,
): Promise<number> {
  if (instanceIds.length === 0) return 0;
  return db.update(
    'instances',
    { power_state: powerState },
    `id IN ${placeholders(instanceIds)} AND host = ? AND deleted = ? AND task_state IS NULL ` +
      'AND (power_state IS NULL OR power_state <> ?)',
    [...instanceIds, host, false, powerState],
  );
}

/** Id and power state of the host's live instances without a task, by id. */
export async function idleInstancesOfHost(
  db: Queryable,
  host: string,
): Promise<Pick<InstanceRow, 'id' | 'power_state'>[]> {
  return db.all(
    'SELECT id, power_state FROM instances WHERE host = ? AND deleted = ? AND task_state IS NULL ORDER BY id',
    [host, false],
  );
}

/** Ids of a host's instances which have been in one of these tasks, unchanged, since before `cutoff` (a row's time), by id. */
export async function overdueTasks(
  db: Queryable,
  host: string,
  tasks: readonly string[],
  cutoff: DbTime,
): Promise<number[]> {
  const rows = await db.all<{ id: number }>(
    `SELECT id FROM instances WHERE host = ? AND deleted = ? AND task_state IN ${placeholders(tasks)} ` +
      'AND COALESCE(updated_at, created_at) < ? ORDER BY id LIMIT 500',
    [host, false, ...tasks, cutoff],
  );
  return rows.map((row) => row.id);
}

/** The rows of these instances, deleted ones too. */
export async function instancesByIds(db: Queryable, ids: readonly number[]): Promise<InstanceRow[]> {
  return rowsWhere(db, 'instances', { id: ids });
}

function expected(claim: InstanceClaim): ExpectedInstance {
  return {
    host: claim.host,
    taskState: [claim.taskState],
    ...(claim.vmState === undefined ? {} : { vmState: [claim.vmState] }),
  };
}

/** The metadata of one instance. */
export async function metadataOfInstance(db: Queryable, instanceId: number): Promise<Record<string, string>> {
  const rows = await db.all<{ key: string; value: string }>(
    'SELECT "key", "value" FROM instance_metadata WHERE instance_id = ? AND deleted = ? ' +
      'AND "key" IS NOT NULL AND "value" IS NOT NULL ORDER BY id',
    [instanceId, false],
  );
  return Object.fromEntries(rows.map((row) => [row.key, row.value]));
}
