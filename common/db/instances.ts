import { InstanceNotFound } from '../errors.js';
import type { Db, Queryable, Tx, Values } from './db.js';
import type { InstanceRow } from './rows.js';
import { anything, changeWhere, checked, firstWhere, lockAllWhere, lockWhere, rowsWhere, softDelete } from './where.js';

/** An instance as it may be named in a message: its integer, that in decimal, or its uuid. */
export type InstanceKey = number | string;

const uuidForm = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;

/** The column by which a key finds its row, and its value; null for a key which can be none. */
function lookup(key: InstanceKey): { id: number } | { uuid: string } | null {
  if (typeof key === 'string' && uuidForm.test(key)) return { uuid: key.toLowerCase() };
  const id = typeof key === 'number' ? key : /^\d{1,10}$/.test(key) ? Number(key) : NaN;
  return Number.isInteger(id) && id >= 0 && id <= 2 ** 31 - 1 ? { id } : null;
}

/** The row of a live instance; a deleted one too when `deleted` is 'any'. Undefined when there is none. */
export async function findInstance(
  db: Queryable,
  key: InstanceKey,
  options: { deleted?: 'no' | 'any' } = {},
): Promise<InstanceRow | undefined> {
  const by = lookup(key);
  if (by === null) return undefined;
  return firstWhere(db, 'instances', { ...by, deleted: options.deleted === 'any' ? anything : false });
}

/** As {@link findInstance} for a live instance, but throws InstanceNotFound. */
export async function getInstance(db: Queryable, key: InstanceKey): Promise<InstanceRow> {
  const row = await findInstance(db, key);
  if (row === undefined) throw new InstanceNotFound(key);
  return row;
}

/**
 * The row of a live instance, locked until the transaction ends: whoever changes the row meanwhile waits. Undefined when
 * there is none.
 */
export async function lockInstance(tx: Tx, id: number): Promise<InstanceRow | undefined> {
  return lockWhere(tx, 'instances', { id, deleted: false });
}

/** Live instances on a host, by ascending id. */
export async function instancesOfHost(db: Queryable, host: string): Promise<InstanceRow[]> {
  return rowsWhere(db, 'instances', { host, deleted: false });
}

/** Live instances of a project (of all when null), by ascending id. */
export async function instancesOfProject(db: Queryable, projectId: string | null): Promise<InstanceRow[]> {
  return rowsWhere(db, 'instances', { project_id: projectId ?? anything, deleted: false });
}

/** What a live row must be for a change to happen. A property which is absent is not looked at. */
export interface ExpectedInstance {
  /** One of these. */
  vmState?: readonly (string | null)[];
  /** One of these; null is no task. */
  taskState?: readonly (string | null)[];
  host?: string | null;
}

/** In which state a live instance is, for who needs no more of its sixty columns. */
export async function findInstanceState(
  db: Queryable,
  id: number,
): Promise<Pick<InstanceRow, 'id' | 'vm_state' | 'task_state'> | undefined> {
  if (lookup(id) === null) return undefined;
  return db.first(`SELECT id, vm_state, task_state FROM instances WHERE id = ? AND ${checked('deleted = ?')}`, [
    id,
    false,
  ]);
}

/**
 * Changes a live instance if it is as expected, and answers whether it was. One conditional UPDATE: of several callers
 * who expect a state and leave it, exactly one gets true.
 */
export async function changeInstance(
  db: Queryable,
  id: number,
  values: Values<'instances'>,
  expected: ExpectedInstance = {},
): Promise<boolean> {
  const { vmState = anything, taskState = anything, host = anything } = expected;
  return changeWhere(db, 'instances', values, { id, deleted: false, vm_state: vmState, task_state: taskState, host });
}

/**
 * Marks live instances and what hangs on them (group memberships, metadata) as deleted; updated_at stays, as in nova
 * 2011.3 instance_destroy. Addresses, volumes and block device mappings are not touched. Answers how many instances it
 * was that marked; a second caller gets 0.
 */
export async function softDeleteInstances(tx: Tx, ids: readonly number[]): Promise<number> {
  const changed = await softDelete(tx, 'instances', { id: ids });
  await softDelete(tx, 'security_group_instance_association', { instance_id: ids });
  await softDelete(tx, 'instance_metadata', { instance_id: ids });
  return changed;
}

/** The rows of those of these instances which are alive, by ascending id, locked as by {@link lockInstance}. */
export async function lockInstances(tx: Tx, ids: readonly number[]): Promise<InstanceRow[]> {
  return lockAllWhere(tx, 'instances', { id: ids, deleted: false });
}

/** What {@link requestTerminations} found and did. */
export type Termination =
  /** The host must be told; the row is `deleting`. `before` is the row as it was. */
  | { kind: 'host'; host: string; before: InstanceRow }
  /** It was on no host: deleted at once, and its block device mappings with it. */
  | { kind: 'gone'; before: InstanceRow; volumesToDelete: number[]; holdsAddresses: boolean };

/**
 * Begins the end of live instances; answers what became of each by its id, of one which is gone nothing. With a host:
 * task_state becomes `deleting` (and stays so when it was; the caller tells the host again). Without one it is soft-deleted
 * here. The rows are locked while this is decided, so that a scheduler or compute daemon which claims an instance at the
 * same moment either comes first (and its host is told) or finds a deleted row. As many statements for many as for one.
 */
export async function requestTerminations(db: Db, ids: readonly number[]): Promise<Map<number, Termination>> {
  return db.transaction(async (tx) => {
    const rows = await lockInstances(tx, ids);
    const begun = rows.filter((row) => row.task_state !== 'deleting').map((row) => row.id);
    if (begun.length > 0) await changeWhere(tx, 'instances', { task_state: 'deleting' }, { id: begun, deleted: false });
    const gone = await deleteUnplaced(
      tx,
      rows.filter((row) => row.host === null),
    );
    return new Map(
      rows.map((before): [number, Termination] => [
        before.id,
        gone.get(before.id) ?? { kind: 'host', host: before.host!, before },
      ]),
    );
  });
}

/** Soft-deletes instances which are on no host, with their mappings. */
async function deleteUnplaced(tx: Tx, rows: readonly InstanceRow[]): Promise<Map<number, Termination>> {
  if (rows.length === 0) return new Map();
  const ids = rows.map((row) => row.id);
  const mappings = await rowsWhere(tx, 'block_device_mapping', { instance_id: ids, deleted: false });
  const volumes = mappings.filter((mapping) => mapping.delete_on_termination && mapping.volume_id !== null);
  const addresses = await rowsWhere(tx, 'fixed_ips', { instance_id: ids });
  await softDelete(tx, 'block_device_mapping', { instance_id: ids });
  await softDeleteInstances(tx, ids);
  return new Map(
    rows.map((before) => [
      before.id,
      {
        kind: 'gone',
        before,
        volumesToDelete: volumes.filter((row) => row.instance_id === before.id).map((row) => row.volume_id!),
        holdsAddresses: addresses.some((row) => row.instance_id === before.id),
      },
    ]),
  );
}

/** Sets or clears the lock flag; true when the instance lives. */
export async function setInstanceLocked(db: Queryable, id: number, locked: boolean): Promise<boolean> {
  return changeInstance(db, id, { locked });
}
