import type { InstanceRow } from '../../common/db/rows.js';
import { powerState, type RescueImage } from '../virt/driver.js';
import type { ChangeOfState } from './changeState.js';
import { networkInfoOf } from './building/machineSpec.js';
import type { ComputeParts } from './parts.js';

const { running, paused, suspended } = powerState;

/** Every change of state which is one step of the hypervisor, by its method (nova 2011.3, nova/compute/manager.py). */
export const powerChanges = {
  pause_instance: {
    method: 'pause_instance',
    task: 'pausing',
    from: 'active',
    to: 'paused',
    fromPower: running,
    toPower: paused,
    failed: 'The instance could not be paused',
    run: ({ parts, name }) => parts.driver.pause(name),
  },
  unpause_instance: {
    method: 'unpause_instance',
    task: 'unpausing',
    from: 'paused',
    to: 'active',
    fromPower: paused,
    toPower: running,
    failed: 'The instance could not be unpaused',
    run: ({ parts, name }) => parts.driver.unpause(name),
  },
  suspend_instance: {
    method: 'suspend_instance',
    task: 'suspending',
    from: 'active',
    to: 'suspended',
    fromPower: running,
    toPower: suspended,
    failed: 'The instance could not be suspended',
    run: ({ parts, name }) => parts.driver.suspend(name),
  },
  resume_instance: {
    method: 'resume_instance',
    task: 'resuming',
    from: 'suspended',
    to: 'active',
    fromPower: suspended,
    toPower: running,
    failed: 'The instance could not be resumed',
    // 2011.3 asks nova-network nothing here: the saved machine has its interfaces.
    run: ({ parts, name }) => parts.driver.resume(name, []),
  },
  rescue_instance: {
    method: 'rescue_instance',
    task: 'rescuing',
    from: 'active',
    to: 'rescued',
    fromPower: running,
    toPower: running,
    failed: 'The instance could not be rescued',
    run: async ({ parts, context, instance, name }) =>
      parts.driver.rescue(name, rescueImage(parts, instance), await networkInfoOf(parts, context, instance)),
  },
  unrescue_instance: {
    method: 'unrescue_instance',
    task: 'unrescuing',
    from: 'rescued',
    to: 'active',
    fromPower: running,
    toPower: running,
    failed: 'The instance could not be brought back from its rescue',
    run: async ({ parts, context, instance, name }) =>
      parts.driver.unrescue(name, await networkInfoOf(parts, context, instance)),
  },
} as const satisfies Record<string, ChangeOfState>;

/** The change whose task this is. */
export function changeOfTask(task: string | null): ChangeOfState | undefined {
  return Object.values(powerChanges).find((change) => change.task === task);
}

/** What the flags rescue_* say; where they don't, the instance's own image, kernel and ramdisk. */
function rescueImage(parts: ComputeParts, instance: InstanceRow): RescueImage {
  const { rescue_image_id: image, rescue_kernel_id: kernel, rescue_ramdisk_id: ramdisk } = parts.runtime.flags;
  return {
    imageRef: image ?? instance.image_ref ?? '',
    kernelId: kernel ?? (instance.kernel_id || null),
    ramdiskId: ramdisk ?? (instance.ramdisk_id || null),
  };
}
