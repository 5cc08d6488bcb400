import type { Context } from '../context.js';
import type { ComputeRpc } from '../rpc/compute.js';
import type { CloudParts } from './parts.js';
import { operate, type StateChange } from './instanceOperation.js';

type Method =
  | 'pause_instance'
  | 'unpause_instance'
  | 'suspend_instance'
  | 'resume_instance'
  | 'rescue_instance'
  | 'unrescue_instance';

/**
 * What an instance is put into while it stays on its host: paused, suspended, rescued, and back. Each writes what nova
 * 2011.3 writes (nova/compute/api.py), but only in the state which the operation begins with, and tells the host. A
 * repeated request tells the host again. Every method throws InstanceNotFound, ApiError (IncorrectInstanceState,
 * OperationNotPermitted when it is locked) and MessageNotDelivered; then nothing has changed.
 */
export class Power {
  constructor(private readonly parts: CloudParts) {}

  /** Stops the CPUs of a running instance. */
  pause(context: Context, id: number): Promise<StateChange> {
    return this.#change(context, id, 'pause_instance', 'active', 'pausing');
  }

  unpause(context: Context, id: number): Promise<StateChange> {
    return this.#change(context, id, 'unpause_instance', 'paused', 'unpausing');
  }

  /** Saves a running instance's memory to disk, and stops it. */
  suspend(context: Context, id: number): Promise<StateChange> {
    return this.#change(context, id, 'suspend_instance', 'active', 'suspending');
  }

  resume(context: Context, id: number): Promise<StateChange> {
    return this.#change(context, id, 'resume_instance', 'suspended', 'resuming');
  }

  /** Boots an instance from another image, its own disk beside, so that it can be mended. */
  rescue(context: Context, id: number): Promise<StateChange> {
    return this.#change(context, id, 'rescue_instance', 'active', 'rescuing');
  }

  unrescue(context: Context, id: number): Promise<StateChange> {
    return this.#change(context, id, 'unrescue_instance', 'rescued', 'unrescuing');
  }

  #change(
    context: Context,
    id: number,
    method: Method & keyof ComputeRpc,
    vmState: string,
    taskState: string,
  ): Promise<StateChange> {
    return operate(this.parts, context, id, {
      taskState,
      expected: { vmState: [vmState], taskState: [null, taskState] },
      values: () => ({ vm_state: vmState }),
      tell: (row, host) => this.parts.rpc.computeOn(host).cast[method](context, { instance_id: row.id }),
    });
  }
}
