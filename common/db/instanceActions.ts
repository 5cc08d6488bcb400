import { placeholders, type Db, type Queryable } from './db.js';
import { changeInstance } from './instances.js';

/** `instance_actions.error` is a TEXT; a reason longer than this helps nobody. */
const longestReason = 1000;

/**
 * Notes why an instance failed. The newest such row is the reason which users see (EC2 stateReason) while the instance
 * is in `error`. `action` names what was tried, e.g. `run_instance`. The reason must hold no secrets.
 */
export async function recordInstanceError(
  db: Queryable,
  instanceId: number,
  action: string,
  reason: string,
): Promise<void> {
  await db.insert('instance_actions', {
    instance_id: instanceId,
    action: action.slice(0, 255),
    error: reason.slice(0, longestReason),
  });
}

/**
 * Puts a live instance into `error` with a reason, if its task is still one of `taskStates`, and answers whether it
 * did. State and reason are written in one transaction; of several callers one gets true.
 */
export async function failInstance(
  db: Db,
  instanceId: number,
  action: string,
  reason: string,
  taskStates: readonly (string | null)[],
): Promise<boolean> {
  return db.transaction(async (tx) => {
    const failed = { vm_state: 'error', task_state: null };
    if (!(await changeInstance(tx, instanceId, failed, { taskState: taskStates }))) return false;
    await recordInstanceError(tx, instanceId, action, reason);
    return true;
  });
}

/** The newest recorded reason of each of these instances, in one query. */
export async function newestInstanceErrors(
  db: Queryable,
  instanceIds: readonly number[],
): Promise<ReadonlyMap<number, string>> {
  if (instanceIds.length === 0) return new Map();
  const rows = await db.all<{ instance_id: number; error: string }>(
    'SELECT instance_id, error FROM instance_actions WHERE id IN (SELECT MAX(id) FROM instance_actions ' +
      `WHERE error IS NOT NULL AND instance_id IN ${placeholders(instanceIds)} GROUP BY instance_id)`,
    instanceIds,
  );
  return new Map(rows.map((row) => [row.instance_id, row.error]));
}
