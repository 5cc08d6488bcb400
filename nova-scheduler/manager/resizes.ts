import { findInstance } from '../../common/db/instances.js';
import { failWaitingResize, isResizing } from '../../common/db/migrations.js';
import { isRefusal, passOn, type Errand, type SchedulerWork } from './work.js';

/**
 * Finds another host for an instance which is to be resized, and passes prep_resize on to it. Its own host is out (2011.3
 * may choose it, which then fails). An instance which doesn't wait any longer is left alone; one for which there is no
 * host is active again as it was, with the reason, and the refusal is thrown.
 */
export async function scheduleResize(work: SchedulerWork, errand: Errand): Promise<void> {
  const key = errand.args['instance_id'];
  const instance = typeof key === 'number' || typeof key === 'string' ? await findInstance(work.db, key) : undefined;
  if (instance === undefined || !isResizing(instance)) {
    work.log.warn(`Instance ${String(key)} does not wait for another host; ${errand.method} is dropped`);
    return;
  }
  const own = instance.host === null ? [] : [instance.host];
  try {
    await passOn(work, errand, (tried) =>
      work.driver.place(errand.context, errand.topic, new Set([...tried, ...own]), errand.method),
    );
  } catch (error) {
    if (isRefusal(error)) {
      await failWaitingResize(work.db, instance.id, `The instance could not be resized: ${error.message}`);
    }
    throw error;
  }
}
