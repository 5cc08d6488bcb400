import type { Context } from '../context.js';
import type { Values } from '../db/db.js';
import { changeInstance, findInstance, lockInstances, type ExpectedInstance } from '../db/instances.js';
import type { InstanceRow } from '../db/rows.js';
import { changeWhere } from '../db/where.js';
import { ApiError, InstanceNotFound } from '../errors.js';
import type { Runtime } from '../runtime/runtime.js';
import { dbTime, type DbTime } from '../time.js';
import { together } from '../together.js';
import type { CloudParts } from './parts.js';

/** Which of an instance's columns tell its state. */
export type InstanceState = Pick<InstanceRow, 'id' | 'vm_state' | 'task_state' | 'power_state' | 'deleted'>;

/** What a request did to an instance; equal where there was nothing to do. */
export interface StateChange {
  readonly before: InstanceState;
  readonly after: InstanceState;
}

/** What a request does to an instance before its host is told. */
export interface Operation {
  /** The task which begins. */
  readonly taskState: string;
  /** The states in which it is possible, for an instance which is on a host. */
  readonly expected: Omit<ExpectedInstance, 'host'>;
  /** States in which there is nothing to do. */
  readonly done?: (row: InstanceRow) => boolean;
  /** What is written beside the task. */
  readonly values: () => Values<'instances'>;
  readonly tell: (row: InstanceRow, host: string) => Promise<void>;
}

/** One change of state, as {@link operateAll}. */
export async function operate(
  parts: Pick<CloudParts, 'db'>,
  context: Context,
  id: number,
  operation: Operation,
): Promise<StateChange> {
  return (await operateAll(parts, context, [id], operation))[0]!;
}

/**
 * One change of state of several instances: writes it where the instance is in a state which allows it, tells each host,
 * and takes the change back where nobody could be told. As many statements for many as for one, and a message each. Throws
 * InstanceNotFound, and ApiError (OperationNotPermitted) for a locked one, before anything is changed; ApiError
 * (IncorrectInstanceState) for the first in any other state: those before it are changed, and those after it are not.
 */
export async function operateAll(
  parts: Pick<CloudParts, 'db'>,
  context: Context,
  ids: readonly number[],
  operation: Operation,
): Promise<StateChange[]> {
  const values = { ...operation.values(), task_state: operation.taskState };
  const { changes, refused } = await parts.db.transaction(async (tx) => {
    const rows = new Map((await lockInstances(tx, ids)).map((row) => [row.id, row]));
    const all = ids.map((id) => visibleTo(context, id, rows.get(id)));
    for (const row of all) refuseLocked(context, row);
    const isDone = (row: InstanceRow): boolean => operation.done?.(row) === true;
    const end = all.findIndex((row) => !isDone(row) && !isAsExpected(row, operation.expected));
    const taken = end < 0 ? all : all.slice(0, end);
    const begun = taken.filter((row) => !isDone(row)).map((row) => row.id);
    if (begun.length > 0) await changeWhere(tx, 'instances', values, { id: begun, deleted: false });
    return {
      changes: taken.map((before) => ({
        before,
        after: isDone(before) ? before : ({ ...before, ...values } as InstanceRow),
      })),
      refused: end < 0 ? undefined : incorrectState(all[end]!),
    };
  });
  const begun = changes.filter(({ before, after }) => before !== after);
  await together(...begun.map(({ before }) => tell(parts, before, values, operation)));
  if (refused !== undefined) throw refused;
  return changes;
}

/** Tells the host of a change; one of which nobody could be told is taken back. */
async function tell(
  { db }: Pick<CloudParts, 'db'>,
  before: InstanceRow,
  written: Values<'instances'>,
  operation: Operation,
): Promise<void> {
  try {
    await operation.tell(before, before.host!);
  } catch (error) {
    const old = Object.fromEntries(Object.keys(written).map((column) => [column, before[column as keyof InstanceRow]]));
    const expected = { host: before.host, taskState: [operation.taskState] };
    await changeInstance(db, before.id, { ...(old as Values<'instances'>), task_state: null }, expected);
    throw error;
  }
}

function isAsExpected(row: InstanceRow, { vmState, taskState }: Operation['expected']): boolean {
  if (row.host === null) return false;
  return (vmState?.includes(row.vm_state) ?? true) && (taskState?.includes(row.task_state) ?? true);
}

/** The caller's live instance. A foreign one is as if it didn't exist. Throws InstanceNotFound. */
export async function ownInstance(
  parts: Pick<CloudParts, 'db'>,
  context: Context,
  id: number | string,
): Promise<InstanceRow> {
  return visibleTo(context, id, await findInstance(parts.db, id));
}

function visibleTo(context: Context, id: number | string, row: InstanceRow | undefined): InstanceRow {
  if (row === undefined || !(context.isAdmin || row.project_id === context.requireProject())) {
    throw new InstanceNotFound(id);
  }
  return row;
}

/** The caller's instance and its host. Throws InstanceNotFound, and ApiError when it is on none. */
export async function ownPlaced(
  parts: Pick<CloudParts, 'db'>,
  context: Context,
  id: number | string,
): Promise<{ row: InstanceRow; host: string }> {
  const row = await ownInstance(parts, context, id);
  if (row.host === null) throw incorrectState(row);
  return { row, host: row.host };
}

/** Throws ApiError (OperationNotPermitted) when an administrator has locked the instance and the caller is none. */
export function refuseLocked(context: Context, row: Pick<InstanceRow, 'locked'>): void {
  if (row.locked === true && !context.isAdmin) {
    throw new ApiError('The instance is locked by an administrator', 'OperationNotPermitted');
  }
}

/** The refusal of what the instance's state doesn't allow. */
export function incorrectState(row: Pick<InstanceRow, 'vm_state' | 'task_state'>): ApiError {
  const task = row.task_state === null ? '' : `, ${row.task_state}`;
  return new ApiError(
    `The instance is not in a state in which this is possible: it is ${row.vm_state}${task}`,
    'IncorrectInstanceState',
  );
}

/** Instances which were terminated since then are still shown to those who name them (flag ec2_terminated_visible). */
export function terminatedSince({ clock, flags }: Pick<Runtime, 'clock' | 'flags'>): DbTime {
  return dbTime(clock.now() - flags.ec2_terminated_visible * 1000);
}
