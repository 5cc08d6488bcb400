import { failClaimed, overdueTasks } from '../../../common/db/instanceClaims.js';
import { findInstance } from '../../../common/db/instances.js';
import { errorText } from '../../../common/errors.js';
import { dbTime, type DbTime } from '../../../common/time.js';
import { machineName, type ComputeParts } from '../parts.js';
import { powerChanges } from '../powerChanges.js';

/** The tasks which the API writes, and which can be done without what came with the message. */
const repeatable = ['deleting', 'stopping', 'rebooting', ...Object.values(powerChanges).map(({ task }) => task)];

/** What nobody has worked on since then, nobody will: the flag scheduling_timeout before now. */
export function forgottenBefore(parts: ComputeParts): DbTime {
  const { clock, flags } = parts.runtime;
  return dbTime(clock.now() - flags.scheduling_timeout * 1000);
}

/** Instances of this host in a task of which it was not told for so long that the message must be lost. */
export async function forgottenTasks(parts: ComputeParts): Promise<number[]> {
  const ids = await overdueTasks(parts.db, parts.runtime.host, repeatable, forgottenBefore(parts));
  return ids.filter((id) => !parts.lanes.has(id));
}

/**
 * Rebuilds whose message must be lost: with it password and files are, so that they can't be done. The instance, whose row
 * names the new image already, goes to `error`, from where its owner can rebuild it again; its old machine stays till then.
 */
export async function giveUpForgottenRebuilds(parts: ComputeParts): Promise<void> {
  const { db, logger, runtime } = parts;
  const cutoff = forgottenBefore(parts);
  for (const id of await overdueTasks(db, runtime.host, ['rebuilding'], cutoff)) {
    if (parts.lanes.has(id)) continue;
    const claim = { instanceId: id, host: runtime.host, taskState: 'rebuilding' };
    const reason = 'The request to rebuild the instance was lost on its way to nova-compute; ask again';
    try {
      await parts.lanes.run(id, async () => {
        const since = (await findInstance(db, id))?.updated_at ?? null;
        if (since === null || since >= cutoff) return;
        if (await failClaimed(db, claim, { action: 'rebuild_instance', reason, vmState: 'error' })) {
          logger.warn(`${machineName(parts, { id })}: ${reason}`);
        }
      });
    } catch (error) {
      logger.error(`${machineName(parts, { id })}: its lost rebuild could not be ended (yet): ${errorText(error)}`);
    }
  }
}
