import type { Context } from '../../../common/context.js';
import { changeInstance, findInstance, instancesOfHost } from '../../../common/db/instances.js';
import { errorText } from '../../../common/errors.js';
import { dbTime } from '../../../common/time.js';
import { changeState } from '../changeState.js';
import { nobodysMessage } from '../claimedWork.js';
import type { ComputeParts } from '../parts.js';
import { powerChanges } from '../powerChanges.js';

/**
 * Brings instances back which have been rescued for longer than rescue_timeout seconds (nova 2011.3,
 * poll_rescued_instances, which only XenServer's driver did anything for). An unchanged row tells since when.
 */
export async function endOldRescues(parts: ComputeParts, context: Context): Promise<void> {
  const { db, logger, runtime } = parts;
  const { rescue_timeout: seconds } = runtime.flags;
  if (seconds <= 0) return;
  const since = dbTime(runtime.clock.now() - seconds * 1000);
  const rescued = { host: runtime.host, vmState: ['rescued'], taskState: [null] };
  for (const row of await instancesOfHost(db, runtime.host)) {
    if (row.vm_state !== 'rescued' || row.task_state !== null || (row.updated_at ?? '') >= since) continue;
    const ending = parts.lanes.run(row.id, async () => {
      if (!(await changeInstance(db, row.id, { task_state: 'unrescuing' }, rescued))) return;
      const instance = await findInstance(db, row.id);
      if (instance === undefined) return;
      logger.audit(`Instance ${row.id} has been rescued for more than ${seconds} s`);
      await changeState(parts, context, powerChanges.unrescue_instance, instance, nobodysMessage);
    });
    // one which fails is in a state of its own, with the reason, and keeps no other from being brought back
    await ending.catch((error: unknown) => logger.error(`Instance ${row.id}: ${errorText(error)}`));
  }
}
