import { MigrationNotFound } from '../errors.js';
import { recordInstanceError } from './instanceActions.js';
import { changeInstance, lockInstance } from './instances.js';
import { placeholders, type Db, type Queryable, type Tx, type Values } from './db.js';
import type { InstanceRow, InstanceTypeRow, MigrationRow } from './rows.js';
import { changeWhere, firstWhere } from './where.js';

/**
 * Resizes and migrations (table `migrations`). A row goes pre-migrating, migrating, post-migrating, finished; and then
 * confirmed or reverted (nova 2011.3, nova/compute/manager.py). `error` is ours: it ended without the machine having
 * moved. All the while the instance's `host` is the source; it becomes the destination when the resize is confirmed.
 */
export const openStatuses = ['pre-migrating', 'migrating', 'post-migrating'] as const;

/** The state of an instance whose resize is under way. */
export const resizing = { vmState: ['resizing'], taskState: ['resize_prep'] };

/** What of an instance's row depends on its type. */
export function typeColumns(
  type: Pick<InstanceTypeRow, 'id' | 'memory_mb' | 'vcpus' | 'local_gb'>,
): Values<'instances'> {
  return { instance_type_id: type.id, memory_mb: type.memory_mb, vcpus: type.vcpus, local_gb: type.local_gb };
}

async function findMigration(db: Queryable, id: number): Promise<MigrationRow | undefined> {
  return firstWhere(db, 'migrations', { id, deleted: false });
}

/** Throws MigrationNotFound. */
export async function getMigration(db: Queryable, id: number): Promise<MigrationRow> {
  const row = Number.isInteger(id) ? await findMigration(db, id) : undefined;
  if (row === undefined) throw new MigrationNotFound(id);
  return row;
}

/** The newest migration of an instance; undefined when it was never migrated. */
export async function newestMigration(db: Queryable, instanceUuid: string | null): Promise<MigrationRow | undefined> {
  return db.first<MigrationRow>(
    'SELECT * FROM migrations WHERE instance_uuid = ? AND deleted = ? ORDER BY id DESC LIMIT 1',
    [instanceUuid, false],
  );
}

/** The newest migrations of these instances, by uuid, where they have one. */
export async function newestMigrations(
  db: Queryable,
  instanceUuids: readonly string[],
): Promise<ReadonlyMap<string, MigrationRow>> {
  if (instanceUuids.length === 0) return new Map();
  const rows = await db.all<MigrationRow>(
    'SELECT * FROM migrations WHERE id IN (SELECT MAX(id) FROM migrations ' +
      `WHERE deleted = ? AND instance_uuid IN ${placeholders(instanceUuids)} GROUP BY instance_uuid)`,
    [false, ...instanceUuids],
  );
  return new Map(rows.map((row) => [row.instance_uuid ?? '', row]));
}

/**
 * Notes that an instance moves from its host to `dest_compute`, if its resize waits for that; of several destinations one
 * gets the instance. One whose note is there already (the message came twice) gets it again. Undefined when the resize
 * doesn't wait any longer.
 */
export async function openMigration(
  db: Db,
  instanceId: number,
  values: { dest_compute: string; dest_host: string; new_instance_type_id: number },
): Promise<MigrationRow | undefined> {
  return db.transaction(async (tx) => {
    const instance = await lockInstance(tx, instanceId);
    if (instance === undefined || !isResizing(instance)) return undefined;
    const newest = await newestMigration(tx, instance.uuid);
    if (newest !== undefined && openStatuses.some((status) => status === newest.status)) {
      const again = newest.dest_compute === values.dest_compute && newest.status === 'pre-migrating';
      return again ? newest : undefined;
    }
    const id = await tx.insert('migrations', {
      source_compute: instance.host,
      ...values,
      status: 'pre-migrating',
      instance_uuid: instance.uuid,
      old_instance_type_id: instance.instance_type_id,
    });
    return findMigration(tx, id);
  });
}

/** Whether an instance waits for, or is in, the move to another host. */
export function isResizing(instance: Pick<InstanceRow, 'vm_state' | 'task_state'>): boolean {
  return instance.vm_state === 'resizing' && instance.task_state === 'resize_prep';
}

/** Changes a migration's status if it is one of `from`; of several callers who leave a status one gets true. */
export async function changeMigration(
  db: Queryable,
  id: number,
  from: readonly string[],
  to: string,
): Promise<boolean> {
  return changeWhere(db, 'migrations', { status: to }, { id, deleted: false, status: from });
}

/** Notes that somebody has looked after a migration now. */
export async function touchMigration(db: Queryable, id: number): Promise<void> {
  await db.run('UPDATE migrations SET updated_at = ? WHERE id = ?', [db.now(), id]);
}

/**
 * The machine runs at the destination: the instance is active and waits for its owner's word, the migration finished; in
 * one transaction. False, and nothing written, when the resize was ended meanwhile.
 */
export async function finishMigration(
  db: Db,
  migration: MigrationRow,
  instanceId: number,
  values: Values<'instances'>,
): Promise<boolean> {
  return db.transaction(async (tx) => {
    const done = { ...values, vm_state: 'active', task_state: 'resize_verify' };
    if (!(await changeInstance(tx, instanceId, done, { ...resizing, host: migration.source_compute }))) return false;
    await changeMigration(tx, migration.id, ['post-migrating'], 'finished');
    return true;
  });
}

/**
 * The owner keeps the resized instance: it has no task, its host is the destination, the migration confirmed; in one
 * transaction. False, and nothing written, when it doesn't wait for that: of several callers, and of one who confirms and
 * one who reverts, one gets true.
 */
export async function confirmMigration(db: Db, migration: MigrationRow, instanceId: number): Promise<boolean> {
  return db.transaction(async (tx) => {
    if (!(await awaitsWord(tx, migration, instanceId))) return false;
    await changeInstance(tx, instanceId, { task_state: null });
    await changeMigration(tx, migration.id, ['finished'], 'confirmed');
    await changeInstance(tx, instanceId, { host: migration.dest_compute });
    return true;
  });
}

/** The owner takes the resize back: as {@link confirmMigration}, with the migration reverted and the host as it was. */
export async function revertMigration(db: Db, migration: MigrationRow, instanceId: number): Promise<boolean> {
  return db.transaction(async (tx) => {
    if (!(await awaitsWord(tx, migration, instanceId))) return false;
    await changeInstance(tx, instanceId, { task_state: null });
    await changeMigration(tx, migration.id, ['finished'], 'reverted');
    return true;
  });
}

/** Whether a finished resize waits for its owner's word; the instance's row is locked from then on. */
async function awaitsWord(tx: Tx, migration: MigrationRow, instanceId: number): Promise<boolean> {
  const instance = await lockInstance(tx, instanceId);
  const current = await findMigration(tx, migration.id);
  return (
    instance?.vm_state === 'active' &&
    instance.task_state === 'resize_verify' &&
    instance.host === migration.source_compute &&
    current?.status === 'finished'
  );
}

/**
 * Ends a resize without success: the migration is `status`, the instance gets `values` if it is still in the resize, and
 * the reason is noted; in one transaction. False, and nothing written, when the instance is not in it any longer.
 */
export async function failMigration(
  db: Db,
  migration: Pick<MigrationRow, 'id' | 'source_compute'>,
  instanceId: number,
  failure: { action: string; reason: string; values: Values<'instances'>; status: 'error' | 'reverted' },
): Promise<boolean> {
  return db.transaction(async (tx) => {
    const expected = { ...resizing, host: migration.source_compute };
    if (!(await changeInstance(tx, instanceId, failure.values, expected))) return false;
    await changeMigration(tx, migration.id, openStatuses, failure.status);
    await recordInstanceError(tx, instanceId, failure.action, failure.reason);
    return true;
  });
}

/**
 * Ends the wait of an instance for a host to move to: it is active again as it was, with the reason; in one transaction.
 * False when it waits no longer, its source has begun to let go, or a host has noted that it takes it (unless `closes`
 * says that this host's note may be closed).
 */
export async function failWaitingResize(
  db: Db,
  instanceId: number,
  reason: string,
  closes: (destination: string | null) => boolean = () => false,
): Promise<boolean> {
  return db.transaction(async (tx) => {
    const instance = await lockInstance(tx, instanceId);
    if (instance === undefined || !isResizing(instance)) return false;
    const newest = await newestMigration(tx, instance.uuid);
    if (newest !== undefined && openStatuses.some((status) => status === newest.status)) {
      if (!closes(newest.dest_compute)) return false;
      if (!(await changeMigration(tx, newest.id, ['pre-migrating'], 'error'))) return false;
    }
    await changeInstance(tx, instanceId, { vm_state: 'active', task_state: null });
    await recordInstanceError(tx, instanceId, 'prep_resize', reason);
    return true;
  });
}

/**
 * Ids of instances which have waited for a host to move to, or for their own to hear of it, since before `cutoff` (a row's
 * time), by id.
 */
export async function overdueResizes(db: Queryable, cutoff: string): Promise<number[]> {
  const rows = await db.all<{ id: number }>(
    'SELECT i.id FROM instances i WHERE i.vm_state = ? AND i.task_state = ? AND i.deleted = ? ' +
      'AND COALESCE(i.updated_at, i.created_at) < ? AND NOT EXISTS (SELECT m.id FROM migrations m ' +
      'WHERE m.instance_uuid = i.uuid AND m.deleted = ? AND (m.status IN (?, ?) OR (m.status = ? AND m.created_at >= ?))) ' +
      'ORDER BY i.id LIMIT 500',
    ['resizing', 'resize_prep', false, cutoff, false, 'migrating', 'post-migrating', 'pre-migrating', cutoff],
  );
  return rows.map((row) => row.id);
}

/** The newest migrations of live instances, to this destination, which somebody works on: a resize or its undoing. */
export async function migrationsInto(
  db: Queryable,
  host: string,
): Promise<(MigrationRow & { instance_id: number; task_state: string })[]> {
  return db.all(
    'SELECT m.*, i.id AS instance_id, i.task_state AS task_state FROM migrations m ' +
      'JOIN instances i ON i.uuid = m.instance_uuid ' +
      'WHERE m.dest_compute = ? AND m.deleted = ? AND i.deleted = ? AND i.task_state IN (?, ?) ' +
      'AND m.id = (SELECT MAX(n.id) FROM migrations n WHERE n.instance_uuid = m.instance_uuid) ORDER BY m.id',
    [host, false, false, 'resize_prep', 'resize_reverting'],
  );
}
