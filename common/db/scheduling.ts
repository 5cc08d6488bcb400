import type { DbTime } from '../time.js';
import { placeholders, type Db, type Queryable, type SqlValue } from './db.js';
import { recordInstanceError } from './instanceActions.js';
import { changeInstance, lockInstance } from './instances.js';
import { inOneStatement } from './inOneStatement.js';
import type { InstanceRow, VolumeRow } from './rows.js';
import { changeSnapshotStatus } from './snapshots.js';
import { changeWhere, where } from './where.js';

/** The state in which an instance waits for a host. */
export interface Waiting {
  readonly vmState: string;
  readonly taskState: string;
}
/** A new instance. */
export const waitingForRun: Waiting = { vmState: 'building', taskState: 'scheduling' };
/** A stopped one which is to be started. */
export const waitingForStart: Waiting = { vmState: 'stopped', taskState: 'starting' };

/** What came of an attempt to give something to a host. */
export type Reservation =
  | 'reserved'
  /** The host can't take it. */
  | 'full'
  /** It doesn't wait for a host any longer. */
  | 'gone';

/**
 * Gives a waiting instance to a host: writes `host` and `scheduled_at` (nova 2011.3, nova/scheduler/simple.py), unless the
 * virtual CPUs of the host's instances would be more than `maxCores` (null: no limit). Schedulers which race for one host
 * wait for each other, so that together they don't exceed the limit.
 */
export async function reserveInstanceHost(
  db: Db,
  instance: Pick<InstanceRow, 'id' | 'vcpus'>,
  waiting: Waiting,
  host: string,
  maxCores: number | null,
): Promise<Reservation> {
  return inOneStatement<Reservation>(db, {
    lock: async (tx) => {
      if (maxCores !== null) await tx.lock(`cores:${host}`);
    },
    once: async (on) => ((await reserveIfRoom(on, instance, waiting, host, maxCores)) ? 'reserved' : undefined),
    otherwise: async (tx) => {
      const state = await lockInstance(tx, instance.id);
      const isWaiting = state?.vm_state === waiting.vmState && state.task_state === waiting.taskState;
      return isWaiting ? 'full' : 'gone';
    },
  });
}

/** One statement, false when it changes nothing: the instance doesn't wait, or the host is full. */
async function reserveIfRoom(
  db: Queryable,
  instance: Pick<InstanceRow, 'id' | 'vcpus'>,
  waiting: Waiting,
  host: string,
  maxCores: number | null,
): Promise<boolean> {
  // a derived table: MySQL can't look at a table which it changes, but at what it has made of it before
  const used =
    '(SELECT held.vcpus FROM (SELECT COALESCE(SUM(o.vcpus), 0) AS vcpus FROM instances o ' +
    'WHERE o.host = ? AND o.deleted = ? AND o.id <> ?) held)';
  const [room, roomParams]: [string, SqlValue[]] =
    maxCores === null ? ['', []] : [` AND ${used} <= ?`, [host, false, instance.id, maxCores - (instance.vcpus ?? 0)]];
  const expected = where<InstanceRow>({
    id: instance.id,
    deleted: false,
    vm_state: waiting.vmState,
    task_state: waiting.taskState,
  });
  const given = { host, scheduled_at: db.now() };
  return (await db.update('instances', given, expected.sql + room, [...expected.params, ...roomParams])) > 0;
}

/** As {@link reserveInstanceHost} for a volume which is `creating`, with the gigabytes of the host's volumes. */
export async function reserveVolumeHost(
  db: Db,
  volume: Pick<VolumeRow, 'id' | 'size'>,
  host: string,
  maxGigabytes: number | null,
): Promise<Reservation> {
  return db.transaction(async (tx) => {
    if (maxGigabytes !== null) {
      await tx.lock(`gigabytes:${host}`);
      const used = await tx.first<{ used: number | null }>(
        'SELECT SUM(size) AS used FROM volumes WHERE host = ? AND deleted = ? AND id <> ?',
        [host, false, volume.id],
      );
      if ((used?.used ?? 0) + (volume.size ?? 0) > maxGigabytes) return 'full';
    }
    const given = { host, scheduled_at: tx.now() };
    const where = 'id = ? AND status = ? AND deleted = ?';
    return (await tx.update('volumes', given, where, [volume.id, 'creating', false])) > 0 ? 'reserved' : 'gone';
  });
}

/**
 * Puts an instance which still waits for a host into `error`, with the reason, in one transaction; false when it doesn't
 * wait any longer. No host has claimed it then, nor can one afterwards, so a new instance is on none.
 */
export async function failWaitingInstance(
  db: Db,
  instanceId: number,
  waiting: Waiting,
  action: string,
  reason: string,
): Promise<boolean> {
  return db.transaction(async (tx) => {
    const onNoHost = waiting === waitingForRun ? { host: null } : {};
    const failed = { vm_state: 'error', task_state: null, ...onNoHost };
    const expected = { vmState: [waiting.vmState], taskState: [waiting.taskState] };
    if (!(await changeInstance(tx, instanceId, failed, expected))) return false;
    await recordInstanceError(tx, instanceId, action, reason);
    return true;
  });
}

const instanceOverdue =
  `((vm_state = 'building' AND (task_state = 'scheduling' OR (task_state IS NULL AND host IS NULL)))` +
  ` OR (vm_state = 'stopped' AND task_state = 'starting'))` +
  ' AND deleted = ? AND COALESCE(updated_at, created_at) < ?';

/**
 * Puts instances which have waited for a host since before `cutoff` (a row's time) into `error` with the reason, and
 * answers their ids. Each is one transaction; of racing schedulers one does it.
 */
export async function failOverdueInstances(db: Db, cutoff: string, reason: string): Promise<number[]> {
  type Overdue = Pick<InstanceRow, 'id' | 'vm_state'>;
  const rows = await db.all<Overdue>(
    `SELECT id, vm_state FROM instances WHERE ${instanceOverdue} ORDER BY id LIMIT 500`,
    [false, cutoff],
  );
  const failed: number[] = [];
  for (const { id, vm_state: vmState } of rows) {
    const isNew = vmState === 'building';
    const done = await db.transaction(async (tx) => {
      const values = { vm_state: 'error', task_state: null, ...(isNew ? { host: null } : {}) };
      const matched = await tx.update('instances', values, `id = ? AND vm_state = ? AND ${instanceOverdue}`, [
        id,
        vmState,
        false,
        cutoff,
      ]);
      if (matched > 0) await recordInstanceError(tx, id, isNew ? 'run_instance' : 'start_instance', reason);
      return matched > 0;
    });
    if (done) failed.push(id);
  }
  return failed;
}

/** Tasks which a host of an instance works on. What moves between hosts has an end of its own. */
const tasksOfHost = {
  /** Nobody knows how far it has come: the instance goes to `error`. */
  lost: ['networking', 'block_device_mapping', 'spawning', 'deleting', 'stopping', 'rebuilding'],
  /** The instance is what it was. */
  dropped: [
    'rebooting',
    'pausing',
    'unpausing',
    'suspending',
    'resuming',
    'rescuing',
    'unrescuing',
    'image_snapshot',
    'image_backup',
  ],
} as const;

/**
 * Ends the tasks of instances on hosts which are not among `liveHosts`, and on which nothing has been done since before
 * `cutoff`; notes the reason, and answers their ids. A new or leaving one goes to `error`, any other is what it was. A
 * host which comes back finds its claim gone, and cleans up. Each is one transaction; of racing schedulers one does it.
 */
export async function failTasksOfLostHosts(
  db: Db,
  cutoff: DbTime,
  liveHosts: ReadonlySet<string>,
  reasonFor: (host: string) => string,
): Promise<number[]> {
  const tasks = [...tasksOfHost.lost, ...tasksOfHost.dropped];
  const overdue = await db.all<Pick<InstanceRow, 'id' | 'host' | 'task_state' | 'updated_at'>>(
    `SELECT id, host, task_state, updated_at FROM instances WHERE task_state IN ${placeholders(tasks)} ` +
      'AND host IS NOT NULL AND deleted = ? AND COALESCE(updated_at, created_at) < ? ORDER BY id LIMIT 500',
    [...tasks, false, cutoff],
  );
  const ended: number[] = [];
  for (const { id, host, task_state: task, updated_at: since } of overdue) {
    if (host === null || task === null || liveHosts.has(host)) continue;
    const lost = (tasksOfHost.lost as readonly string[]).includes(task);
    const done = await db.transaction(async (tx) => {
      const values = { task_state: null, ...(lost ? { vm_state: 'error' } : {}) };
      const found = { id, host, task_state: task, updated_at: since, deleted: false };
      if (!(await changeWhere(tx, 'instances', values, found))) return false;
      await recordInstanceError(tx, id, task, reasonFor(host));
      return true;
    });
    if (done) ended.push(id);
  }
  return ended;
}

/**
 * Puts snapshots which are stuck since before `cutoff`, and whose volume is on no host among `liveHosts`, into a state
 * from which they can be deleted; answers their ids.
 */
export async function failOverdueSnapshots(
  db: Queryable,
  cutoff: DbTime,
  liveHosts: ReadonlySet<string>,
): Promise<number[]> {
  const rows = await db.all<{ id: number; status: string; host: string | null }>(
    'SELECT s.id AS id, s.status AS status, v.host AS host FROM snapshots s ' +
      'LEFT JOIN volumes v ON v.id = s.volume_id AND v.deleted = ? ' +
      'WHERE s.deleted = ? AND s.status IN (?, ?) AND COALESCE(s.updated_at, s.created_at) < ? ORDER BY s.id LIMIT 500',
    [false, false, 'creating', 'deleting', cutoff],
  );
  const failed: number[] = [];
  for (const { id, status, host } of rows) {
    if (host !== null && liveHosts.has(host)) continue;
    const to = { status: status === 'creating' ? 'error' : 'error_deleting' };
    if (await changeSnapshotStatus(db, id, [status], to)) failed.push(id);
  }
  return failed;
}

/**
 * Puts volumes which are stuck since before `cutoff` into a state from which they can be deleted, and answers their ids:
 * `creating` without a host, or with one not among `liveHosts`, becomes `error`; `deleting` on such a host
 * `error_deleting`. Each is one conditional UPDATE; of racing schedulers one does it.
 */
export async function failOverdueVolumes(
  db: Queryable,
  cutoff: string,
  liveHosts: ReadonlySet<string>,
): Promise<number[]> {
  const overdue = 'status = ? AND deleted = ? AND COALESCE(updated_at, created_at) < ?';
  const failed: number[] = [];
  for (const [status, end] of [
    ['creating', 'error'],
    ['deleting', 'error_deleting'],
  ] as const) {
    const rows = await db.all<Pick<VolumeRow, 'id' | 'host'>>(
      `SELECT id, host FROM volumes WHERE ${overdue} ORDER BY id`,
      [status, false, cutoff],
    );
    for (const { id, host } of rows) {
      if (host !== null && liveHosts.has(host)) continue;
      const where = `id = ? AND ${host === null ? 'host IS NULL' : 'host = ?'} AND ${overdue}`;
      const params = [id, ...(host === null ? [] : [host]), status, false, cutoff];
      if ((await db.update('volumes', { status: end }, where, params)) > 0) failed.push(id);
    }
  }
  return failed;
}
