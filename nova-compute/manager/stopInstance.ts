import type { Context } from '../../common/context.js';
import { changeClaimed, failClaimed, stillClaimed, type InstanceClaim } from '../../common/db/instanceClaims.js';
import type { InstanceRow } from '../../common/db/rows.js';
import { errorText } from '../../common/errors.js';
import type { InstanceId } from '../../common/rpc/compute.js';
import type { Delivery } from '../../common/rpc/types.js';
import { stepOptions, withClaim } from './claimedWork.js';
import { ClaimLost, reasonOf } from './failures.js';
import { unlessLocked } from './locks.js';
import { machineName, type ComputeParts } from './parts.js';
import { awaitNetworkReleased, detachAllVolumes, releaseNetwork } from './release.js';
import { runSteps, type Step } from './steps.js';

/** An instance on its way to `stopped`. */
interface Stopping {
  readonly parts: ComputeParts;
  readonly context: Context;
  readonly instance: InstanceRow;
  readonly claim: InstanceClaim;
  /** Something of the running instance is gone already. */
  begun: boolean;
}

/** As in 2011.3 a stopped instance has no machine, no local disk and no address; the volumes' mappings stay for its start. */
const steps: readonly Step<Stopping>[] = [
  {
    name: 'detach volumes',
    run: async (stopping) => {
      stopping.begun = true;
      await detachAllVolumes(stopping.parts, stopping.instance);
    },
  },
  { name: 'destroy machine', run: ({ parts, instance }) => parts.driver.destroy(machineName(parts, instance)) },
  { name: 'release network', run: releaseAddresses },
  { name: 'wait for network', run: ({ parts, instance }) => awaitNetworkReleased(parts, instance) },
  { name: 'finish', run: finish },
];

/**
 * Stops an instance whose stop was asked for (task `stopping`). A failure leaves it in `error` with the reason, or `active`
 * when nothing was done yet. Throws InstanceNotFound.
 */
export async function stopInstance(
  parts: ComputeParts,
  context: Context,
  args: { instance_id: InstanceId },
  delivery: Delivery,
): Promise<null | false> {
  const call = { method: 'stop_instance', instanceId: args.instance_id, delivery, task: 'stopping' };
  return unlessLocked(parts, context, call, (instance) => stop(parts, context, instance, delivery));
}

/** The work itself, in the instance's lane. */
export async function stop(
  parts: ComputeParts,
  caller: Context,
  instance: InstanceRow,
  delivery: Delivery,
): Promise<void> {
  const claim = { instanceId: instance.id, host: parts.runtime.host, taskState: 'stopping' };
  const stopping: Stopping = { parts, context: caller.elevated(), instance, claim, begun: false };
  await withClaim(parts, instance, {
    method: 'stop_instance',
    delivery,
    doing: 'stopping...',
    claim: () => stillClaimed(parts.db, claim),
    run: () => runSteps(steps, stopping, stepOptions(parts, instance, 'stop_instance')),
    fail: (error) => {
      const reason = reasonOf(error, 'The instance could not be stopped');
      const vmState = stopping.begun ? 'error' : 'active';
      return failClaimed(parts.db, claim, { action: 'stop_instance', reason, vmState });
    },
  });
}

/**
 * Not before the machine is gone: one which cannot be destroyed uses its addresses still. When nova-network can't be told
 * the instance has stopped all the same, and the recovery tells it.
 */
async function releaseAddresses({ parts, context, instance }: Stopping): Promise<void> {
  try {
    await releaseNetwork(parts, context, instance);
  } catch (error) {
    parts.unfinished.add(instance.id, error);
    parts.logger.error(
      `${machineName(parts, instance)}: its addresses could not be given back (yet): ${errorText(error)}`,
    );
  }
}

async function finish({ parts, instance, claim }: Stopping): Promise<void> {
  const stopped = await changeClaimed(parts.db, claim, { vm_state: 'stopped', task_state: null });
  if (!stopped) throw new ClaimLost(machineName(parts, instance));
}
