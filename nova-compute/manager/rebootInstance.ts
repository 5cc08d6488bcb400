import type { Context } from '../../common/context.js';
import { changeClaimed, failClaimed, stillClaimed } from '../../common/db/instanceClaims.js';
import type { InstanceRow } from '../../common/db/rows.js';
import type { InstanceId } from '../../common/rpc/compute.js';
import type { Delivery } from '../../common/rpc/types.js';
import { powerState } from '../virt/driver.js';
import { withClaim } from './claimedWork.js';
import { reasonOf } from './failures.js';
import { unlessLocked } from './locks.js';
import { networkInfoOf } from './building/machineSpec.js';
import { machineName, powerStateOf, type ComputeParts } from './parts.js';

/**
 * Reboots an instance whose reboot was asked for (task `rebooting`). A failure leaves it `active` when its machine runs,
 * else in `error`; with the reason. Throws InstanceNotFound.
 */
export async function rebootInstance(
  parts: ComputeParts,
  context: Context,
  args: { instance_id: InstanceId },
  delivery: Delivery,
): Promise<null | false> {
  const call = { method: 'reboot_instance', instanceId: args.instance_id, delivery, task: 'rebooting' };
  return unlessLocked(parts, context, call, (instance) => reboot(parts, context, instance, delivery));
}

/** The work itself, in the instance's lane. */
export async function reboot(
  parts: ComputeParts,
  caller: Context,
  instance: InstanceRow,
  delivery: Delivery,
): Promise<void> {
  const name = machineName(parts, instance);
  const claim = { instanceId: instance.id, host: parts.runtime.host, taskState: 'rebooting' };
  await withClaim(parts, instance, {
    method: 'reboot_instance',
    delivery,
    doing: 'rebooting',
    claim: () => stillClaimed(parts.db, claim),
    run: async () => {
      if (instance.power_state !== powerState.running) {
        parts.logger.warn(`${name}: rebooting although its power state is ${instance.power_state}`);
      }
      await parts.driver.reboot(name, await networkInfoOf(parts, caller.elevated(), instance));
      const state = await powerStateOf(parts, name);
      await changeClaimed(parts.db, claim, { ...state, vm_state: 'active', task_state: null });
    },
    fail: async (error) => {
      const running = (await powerStateOf(parts, name)).power_state === powerState.running;
      const reason = reasonOf(error, 'The instance could not be rebooted');
      await failClaimed(parts.db, claim, { action: 'reboot_instance', reason, vmState: running ? 'active' : 'error' });
    },
  });
}
