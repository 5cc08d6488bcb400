import { findInstance } from '../../common/db/instances.js';
import type { InstanceRow } from '../../common/db/rows.js';
import { failWaitingInstance, waitingForRun, type Waiting } from '../../common/db/scheduling.js';
import { isRefusal, passOn, type Errand, type SchedulerWork } from './work.js';

/**
 * Finds a host for an instance and passes run_instance or start_instance on to it. An instance which doesn't wait any
 * longer (the message came twice, it was terminated) is left alone; one for which there is no host goes to `error` with
 * the reason, and the refusal is thrown. A run_instance which comes again after its host was written goes to that host.
 */
export async function scheduleInstance(work: SchedulerWork, errand: Errand, waiting: Waiting): Promise<void> {
  const key = errand.args['instance_id'];
  const instance = typeof key === 'number' || typeof key === 'string' ? await findInstance(work.db, key) : undefined;
  if (instance === undefined || !waits(instance, waiting)) {
    work.log.warn(`Instance ${String(key)} does not wait for a host; ${errand.method} is dropped`);
    return;
  }
  const given = waiting === waitingForRun ? instance.host : null;
  const { context, topic, args } = errand;
  const zone = args['availability_zone'];
  const request = {
    instance,
    waiting,
    topic,
    requestSpec: args['request_spec'] ?? null,
    availabilityZone: typeof zone === 'string' ? zone : null,
  };
  try {
    await passOn(work, errand, async (tried) =>
      given !== null && !tried.has(given) ? given : work.driver.placeInstance(context, { ...request, tried }),
    );
  } catch (error) {
    if (isRefusal(error)) await failWaitingInstance(work.db, instance.id, waiting, errand.method, error.message);
    throw error;
  }
}

function waits(instance: InstanceRow, waiting: Waiting): boolean {
  return instance.vm_state === waiting.vmState && instance.task_state === waiting.taskState;
}
