import type { Context } from '../../common/context.js';
import { changedColumns } from '../../common/db/changed.js';
import { changeClaimed, failClaimed, stillClaimed } from '../../common/db/instanceClaims.js';
import { changeInstance } from '../../common/db/instances.js';
import type { InstanceRow } from '../../common/db/rows.js';
import type { InstanceId } from '../../common/rpc/compute.js';
import type { Delivery } from '../../common/rpc/types.js';
import type { PowerState } from '../virt/driver.js';
import { withClaim } from './claimedWork.js';
import { reasonOf } from './failures.js';
import { unlessLocked } from './locks.js';
import { machineName, powerStateOf, type ComputeParts } from './parts.js';

/** What the work of a change of state is done with. */
export interface Changing {
  readonly parts: ComputeParts;
  /** The caller's context with administrator's rights. */
  readonly context: Context;
  readonly instance: InstanceRow;
  readonly name: string;
}

/** One step by the hypervisor which takes a machine from one state to another. Repeated it does nothing. */
export interface ChangeOfState {
  readonly method: string;
  /** The task in which the API leaves the instance. */
  readonly task: string;
  /** The instance's states before and after. */
  readonly from: string;
  readonly to: string;
  /** The machine's. */
  readonly fromPower: PowerState;
  readonly toPower: PowerState;
  /** What a failure is called to the owner. */
  readonly failed: string;
  run(changing: Changing): Promise<void>;
}

/**
 * Handles the message of a change of state. The API has written the task; a message without that (an operator's own call)
 * is done for an instance which is in the state and has no task. Throws InstanceNotFound.
 */
export async function changeOfState(
  parts: ComputeParts,
  context: Context,
  change: ChangeOfState,
  args: { instance_id: InstanceId },
  delivery: Delivery,
): Promise<null | false> {
  const { method, task } = change;
  return unlessLocked(parts, context, { method, instanceId: args.instance_id, delivery, task }, (instance) =>
    changeState(parts, context, change, instance, delivery),
  );
}

/** The work itself, in the instance's lane. */
export async function changeState(
  parts: ComputeParts,
  caller: Context,
  change: ChangeOfState,
  instance: InstanceRow,
  delivery: Delivery,
): Promise<void> {
  const { method, task, from, to } = change;
  const { db, logger, runtime } = parts;
  const name = machineName(parts, instance);
  const claim = { instanceId: instance.id, host: runtime.host, taskState: task };
  await withClaim(parts, instance, {
    method,
    delivery,
    doing: task,
    claim: async () => (await stillClaimed(db, claim)) || claimUnasked(parts, change, instance, delivery),
    run: async () => {
      await change.run({ parts, context: caller.elevated(), instance, name });
      const values = changedColumns(instance, { ...(await powerStateOf(parts, name)), vm_state: to });
      const kept = await changeClaimed(db, claim, { ...values, task_state: null });
      if (!kept) logger.info(`${name}: ${task} ended; somebody has other plans with it now`);
    },
    fail: async (error) => {
      const { power_state: power } = await powerStateOf(parts, name);
      const vmState = power === change.fromPower ? from : power === change.toPower ? to : 'error';
      const reason = reasonOf(error, change.failed);
      await failClaimed(db, claim, { action: method, reason, vmState, powerState: power });
    },
  });
}

async function claimUnasked(
  parts: ComputeParts,
  change: ChangeOfState,
  instance: InstanceRow,
  delivery: Delivery,
): Promise<boolean> {
  // A message which comes again may be of a change which is long done, and undone by the next.
  if (delivery.redelivered || instance.task_state !== null || instance.vm_state !== change.from) return false;
  const expected = { host: parts.runtime.host, vmState: [change.from], taskState: [null] };
  return changeInstance(parts.db, instance.id, { task_state: change.task }, expected);
}
