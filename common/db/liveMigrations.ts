import type { Db, Queryable } from './db.js';
import { recordInstanceError } from './instanceActions.js';
import { changeInstance } from './instances.js';

/**
 * Live migrations. All the while the instance is `migrating`, its volumes too, and its host the source. No column holds
 * the destination: it is in the name of the row in `instance_actions` which says that the machine is being moved.
 */
const actionPrefix = 'live_migration to ';

/**
 * A running instance begins to move: it and its volumes are `migrating`; in one transaction. Of racing callers one gets
 * true; false also when it is not active on `host`, or in a task.
 */
export async function beginLiveMigration(db: Db, instanceId: number, host: string): Promise<boolean> {
  return db.transaction(async (tx) => {
    const idle = { vmState: ['active'], taskState: [null], host };
    if (!(await changeInstance(tx, instanceId, { vm_state: 'migrating' }, idle))) return false;
    await tx.update('volumes', { status: 'migrating' }, 'instance_id = ? AND deleted = ?', [instanceId, false]);
    return true;
  });
}

/** Notes where an instance is being moved to. */
export async function recordDestination(db: Queryable, instanceId: number, destination: string): Promise<void> {
  await db.insert('instance_actions', {
    instance_id: instanceId,
    action: `${actionPrefix}${destination}`.slice(0, 255),
    error: null,
  });
}

/** Where an instance was last moved to, or was to be; undefined when it never was. */
export async function recordedDestination(db: Queryable, instanceId: number): Promise<string | undefined> {
  const row = await db.first<{ action: string }>(
    'SELECT action FROM instance_actions WHERE instance_id = ? AND action LIKE ? ORDER BY id DESC LIMIT 1',
    [instanceId, `${actionPrefix}%`],
  );
  return row?.action.slice(actionPrefix.length);
}

/**
 * The machine has come to `to`: the instance is active there, its floating addresses are that host's, its volumes in use;
 * in one transaction. False, and nothing written, when it was not migrating from `from` any longer.
 */
export async function finishLiveMigration(
  db: Db,
  instanceId: number,
  from: string,
  to: string,
  values: { power_state?: number },
): Promise<boolean> {
  return db.transaction(async (tx) => {
    const moving = { vmState: ['migrating'], host: from };
    const done = { ...values, host: to, vm_state: 'active', task_state: null };
    if (!(await changeInstance(tx, instanceId, done, moving))) return false;
    await tx.update(
      'floating_ips',
      { host: to },
      'deleted = ? AND fixed_ip_id IN (SELECT id FROM fixed_ips WHERE instance_id = ?)',
      [false, instanceId],
    );
    await volumesInUse(tx, instanceId);
    return true;
  });
}

/** The machine stays where it is: the instance is active again, with the reason, and its volumes in use; else as above. */
export async function rollBackLiveMigration(
  db: Db,
  instanceId: number,
  host: string,
  reason: string,
  values: { vm_state: 'active' | 'error'; power_state?: number },
): Promise<boolean> {
  return db.transaction(async (tx) => {
    const moving = { vmState: ['migrating'], host };
    if (!(await changeInstance(tx, instanceId, { ...values, task_state: null }, moving))) return false;
    await volumesInUse(tx, instanceId);
    await recordInstanceError(tx, instanceId, 'live_migration', reason);
    return true;
  });
}

async function volumesInUse(db: Queryable, instanceId: number): Promise<void> {
  const where = 'instance_id = ? AND status = ? AND deleted = ?';
  await db.update('volumes', { status: 'in-use' }, where, [instanceId, 'migrating', false]);
}

/** Ids of a host's instances which have been migrating since before `cutoff` (a row's time), by id. */
export async function overdueLiveMigrations(db: Queryable, host: string, cutoff: string): Promise<number[]> {
  const rows = await db.all<{ id: number }>(
    'SELECT id FROM instances WHERE host = ? AND vm_state = ? AND deleted = ? ' +
      'AND COALESCE(updated_at, created_at) < ? ORDER BY id',
    [host, 'migrating', false, cutoff],
  );
  return rows.map((row) => row.id);
}
