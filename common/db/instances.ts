import { InstanceNotFound } from '../errors.js';
import { placeholders, type Db, type Queryable, type SqlValue, type Tx, type Values } from './db.js';
import type { InstanceRow } from './rows.js';

/** An instance as it may be named in a message: its integer, that in decimal, or its uuid. */
export type InstanceKey = number | string;

const uuidForm = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;

/** The column and value by which a key finds its row; null for a key which can be none. */
function lookup(key: InstanceKey): { column: 'id' | 'uuid'; value: SqlValue } | null {
  if (typeof key === 'string' && uuidForm.test(key)) return { column: 'uuid', value: key.toLowerCase() };
  const id = typeof key === 'number' ? key : /^\d{1,10}$/.test(key) ? Number(key) : NaN;
  return Number.isInteger(id) && id >= 0 && id <= 2 ** 31 - 1 ? { column: 'id', value: id } : null;
}

/** The row of a live instance; a deleted one too when `deleted` is 'any'. Undefined when there is none. */
export async function findInstance(
  db: Queryable,
  key: InstanceKey,
  options: { deleted?: 'no' | 'any' } = {},
): Promise<InstanceRow | undefined> {
  const by = lookup(key);
  if (by === null) return undefined;
  const live = options.deleted === 'any' ? '' : ' AND deleted = ?';
  return db.first<InstanceRow>(
    `SELECT * FROM instances WHERE ${by.column} = ?${live} ORDER BY id LIMIT 1`,
    live === '' ? [by.value] : [by.value, false],
  );
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
  return tx.first<InstanceRow>(`SELECT * FROM instances WHERE id = ? AND deleted = ?${tx.forUpdate}`, [id, false]);
}

/** Live instances on a host, by ascending id. */
export async function instancesOfHost(db: Queryable, host: string): Promise<InstanceRow[]> {
  return db.all<InstanceRow>('SELECT * FROM instances WHERE host = ? AND deleted = ? ORDER BY id', [host, false]);
}

/** Live instances of a project (of all when null), by ascending id. */
export async function instancesOfProject(db: Queryable, projectId: string | null): Promise<InstanceRow[]> {
  return projectId === null
    ? db.all<InstanceRow>('SELECT * FROM instances WHERE deleted = ? ORDER BY id', [false])
    : db.all<InstanceRow>('SELECT * FROM instances WHERE project_id = ? AND deleted = ? ORDER BY id', [
        projectId,
        false,
      ]);
}

/** What a live row must be for a change to happen. A property which is absent is not looked at. */
export interface ExpectedInstance {
  /** One of these. */
  vmState?: readonly (string | null)[];
  /** One of these; null is no task. */
  taskState?: readonly (string | null)[];
  host?: string | null;
}

/** `column IN (…)` where the list may hold null. */
function oneOf(column: string, list: readonly (string | null)[]): { sql: string; params: SqlValue[] } {
  const values = list.filter((value) => value !== null);
  const parts = [
    ...(values.length > 0 ? [`${column} IN ${placeholders(values)}`] : []),
    ...(values.length < list.length ? [`${column} IS NULL`] : []),
  ];
  return { sql: parts.length > 0 ? `(${parts.join(' OR ')})` : '1 = 0', params: values };
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
  const conditions = ['id = ?', 'deleted = ?'];
  const params: SqlValue[] = [id, false];
  for (const [column, list] of [
    ['vm_state', expected.vmState],
    ['task_state', expected.taskState],
    ['host', expected.host === undefined ? undefined : [expected.host]],
  ] as const) {
    if (list === undefined) continue;
    const { sql, params: more } = oneOf(column, list);
    conditions.push(sql);
    params.push(...more);
  }
  return (await db.update('instances', values, conditions.join(' AND '), params)) > 0;
}

/**
 * Marks live instances and what hangs on them (group memberships, metadata) as deleted; updated_at stays, as in nova
 * 2011.3 instance_destroy. Addresses, volumes and block device mappings are not touched. Answers how many instances it
 * was that marked; a second caller gets 0.
 */
export async function softDeleteInstances(tx: Tx, ids: readonly number[]): Promise<number> {
  if (ids.length === 0) return 0;
  const values = { deleted: true, deleted_at: tx.now() };
  const keepUpdatedAt = { updatedAt: false };
  const changed = await tx.update(
    'instances',
    values,
    `id IN ${placeholders(ids)} AND deleted = ?`,
    [...ids, false],
    keepUpdatedAt,
  );
  for (const table of ['security_group_instance_association', 'instance_metadata'] as const) {
    const where = `instance_id IN ${placeholders(ids)} AND deleted = ?`;
    await tx.update(table, values, where, [...ids, false], keepUpdatedAt);
  }
  return changed;
}

/** What {@link requestTermination} found and did. */
export type Termination =
  /** The host must be told; the row is `deleting`. `before` is the row as it was. */
  | { kind: 'host'; host: string; before: InstanceRow }
  /** It was on no host: deleted at once, and its block device mappings with it. */
  | { kind: 'gone'; before: InstanceRow; volumesToDelete: number[]; holdsAddresses: boolean }
  | { kind: 'missing' };

/**
 * Begins the end of a live instance. With a host: task_state becomes `deleting` (and stays so when it was; the caller
 * tells the host again). Without one it is soft-deleted here. The row is locked while this is decided, so that a
 * scheduler or compute daemon which claims the instance at the same moment either comes first (and its host is told) or
 * finds a deleted row.
 */
export async function requestTermination(db: Db, id: number): Promise<Termination> {
  return db.transaction(async (tx) => {
    const before = await lockInstance(tx, id);
    if (before === undefined) return { kind: 'missing' };
    if (before.task_state !== 'deleting') await changeInstance(tx, id, { task_state: 'deleting' });
    if (before.host !== null) return { kind: 'host', host: before.host, before };
    const volumes = await tx.all<{ volume_id: number }>(
      'SELECT volume_id FROM block_device_mapping WHERE instance_id = ? AND deleted = ? ' +
        'AND delete_on_termination = ? AND volume_id IS NOT NULL ORDER BY id',
      [id, false, true],
    );
    const address = await tx.first<{ id: number }>('SELECT id FROM fixed_ips WHERE instance_id = ? LIMIT 1', [id]);
    await tx.update(
      'block_device_mapping',
      { deleted: true, deleted_at: tx.now() },
      'instance_id = ? AND deleted = ?',
      [id, false],
      { updatedAt: false },
    );
    await softDeleteInstances(tx, [id]);
    return {
      kind: 'gone',
      before,
      volumesToDelete: volumes.map((row) => row.volume_id),
      holdsAddresses: address !== undefined,
    };
  });
}

/** Sets or clears the lock flag; true when the instance lives. */
export async function setInstanceLocked(db: Queryable, id: number, locked: boolean): Promise<boolean> {
  return changeInstance(db, id, { locked });
}
