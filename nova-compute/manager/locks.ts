import type { Context } from '../../common/context.js';
import { changeInstance, findInstance, getInstance, setInstanceLocked } from '../../common/db/instances.js';
import type { InstanceRow } from '../../common/db/rows.js';
import { InstanceNotFound } from '../../common/errors.js';
import type { InstanceId } from '../../common/rpc/compute.js';
import type { Delivery } from '../../common/rpc/types.js';
import type { ComputeParts } from './parts.js';

/** Runs work on an instance in its lane, in the order in which messages came; `work` reads the row itself. */
export async function inLane<R>(
  parts: ComputeParts,
  key: InstanceId,
  work: (id: number) => Promise<R>,
): Promise<R | undefined> {
  // Ids enter their lane without a query before, or two messages could overtake each other while one is looked up.
  const id = integerId(key) ?? (await findInstance(parts.db, key, { deleted: 'any' }))?.id;
  return id === undefined ? undefined : parts.lanes.run(id, () => work(id));
}

/** An id which is an integer or its decimal text. */
export function integerId(key: InstanceId): number | undefined {
  if (typeof key === 'number') return Number.isInteger(key) ? key : undefined;
  return typeof key === 'string' && /^\d{1,10}$/.test(key) ? Number(key) : undefined;
}

/**
 * Work on a live instance, in its lane, which a lock forbids to all but administrators (nova 2011.3, decorator
 * check_instance_lock): refused work is answered with false and leaves the instance as it is, except that the task which
 * the API wrote for it (`task`) is taken back, or the instance would stay in it. Throws InstanceNotFound.
 */
export async function unlessLocked(
  parts: ComputeParts,
  context: Context,
  call: {
    method: string;
    instanceId: InstanceId;
    delivery: Delivery;
    task?: string;
    /** What else is taken back of what the API wrote. */
    refused?: (instance: InstanceRow) => Promise<void>;
  },
  work: (instance: InstanceRow) => Promise<void>,
): Promise<null | false> {
  const result = await inLane(parts, call.instanceId, async (id) => {
    const instance = await findInstance(parts.db, id);
    if (instance === undefined) return undefined;
    if (!instance.locked || context.isAdmin) {
      await work(instance);
      return null;
    }
    parts.logger.error(`Instance ${id} is locked: ${call.method} is not executed`);
    if (call.task !== undefined) {
      await changeInstance(parts.db, id, { task_state: null }, { host: parts.runtime.host, taskState: [call.task] });
    }
    await call.refused?.(instance);
    call.delivery.accept();
    return false;
  });
  if (result === undefined) throw new InstanceNotFound(call.instanceId);
  return result;
}

/** Locks or unlocks an instance. Throws InstanceNotFound. */
export async function setLock(parts: ComputeParts, instanceId: InstanceId, locked: boolean): Promise<null> {
  const { id } = await getInstance(parts.db, instanceId);
  await setInstanceLocked(parts.db, id, locked);
  return null;
}

/** Whether an instance is locked. Throws InstanceNotFound. */
export async function getLock(parts: ComputeParts, instanceId: InstanceId): Promise<boolean> {
  return (await getInstance(parts.db, instanceId)).locked ?? false;
}
