import type { Context } from '../context.js';
import { changedColumns } from '../db/changed.js';
import type { Values } from '../db/db.js';
import { changeInstance, findInstance, type ExpectedInstance } from '../db/instances.js';
import type { InstanceRow } from '../db/rows.js';
import { ApiError, InstanceNotFound } from '../errors.js';
import type { Runtime } from '../runtime/runtime.js';
import { dbTime, type DbTime } from '../time.js';
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
  /** The states in which it is possible. */
  readonly expected: ExpectedInstance;
  /** States in which there is nothing to do. */
  readonly done?: (row: InstanceRow) => boolean;
  /** What is written beside the task. */
  readonly values: () => Values<'instances'>;
  readonly tell: (row: InstanceRow, host: string) => Promise<void>;
}

/**
 * One change of state: writes it if the instance is in a state which allows it, tells the host, and takes the change
 * back when nobody could be told. Throws InstanceNotFound, and ApiError (IncorrectInstanceState) in any other state.
 */
export async function operate(
  parts: Pick<CloudParts, 'db'>,
  context: Context,
  id: number,
  operation: Operation,
): Promise<StateChange> {
  const { db } = parts;
  const before = await ownInstance(parts, context, id);
  refuseLocked(context, before);
  if (operation.done?.(before) === true) return { before, after: before };
  if (before.host === null) throw incorrectState(before);
  const values = { ...operation.values(), task_state: operation.taskState };
  const differing = changedColumns(before, values);
  const written = Object.keys(differing).length > 0 ? differing : values;
  if (!(await changeInstance(db, id, written, { ...operation.expected, host: before.host }))) {
    throw incorrectState((await findInstance(db, id)) ?? before);
  }
  try {
    await operation.tell(before, before.host);
  } catch (error) {
    const old = Object.fromEntries(Object.keys(written).map((column) => [column, before[column as keyof InstanceRow]]));
    const expected = { host: before.host, taskState: [operation.taskState] };
    await changeInstance(db, id, { ...(old as Values<'instances'>), task_state: null }, expected);
    throw error;
  }
  return { before, after: { ...before, ...values } as InstanceRow };
}

/** The caller's live instance. A foreign one is as if it didn't exist. Throws InstanceNotFound. */
export async function ownInstance(
  parts: Pick<CloudParts, 'db'>,
  context: Context,
  id: number | string,
): Promise<InstanceRow> {
  const row = await findInstance(parts.db, id);
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
