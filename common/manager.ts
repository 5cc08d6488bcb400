import type { Context } from './context.js';
import type { MethodTable, RpcHandlers, RpcInterface } from './rpc/types.js';

/** The work of one daemon: what it answers on the bus, and what it does by itself. Run by common/service.ts. */
export interface Manager<I extends RpcInterface<I>> {
  readonly methods: MethodTable<I>;
  readonly handlers: RpcHandlers<I>;
  /** Takes every message whose method is not in the table (the scheduler's generic path). Undefined: they are refused. */
  readonly fallback?: (
    context: Context,
    method: string,
    args: Record<string, unknown>,
    delivery: import('./rpc/types.js').Delivery,
  ) => Promise<unknown>;
  /** Takes up what a predecessor left half-done. Errors of one resource must not stop the daemon. */
  initHost(context: Context): Promise<void>;
  /** nova-compute's compute_nodes row; nothing elsewhere. Runs after the services row is there. */
  updateAvailableResource?(context: Context): Promise<void>;
  /** One round of the periodic tasks; each is on its own, so that the error of one does not keep the others from running. */
  readonly periodicTasks: readonly PeriodicTask[];
  /** Lets go of what it holds; called when the daemon stops, after running work is done. */
  close?(): Promise<void>;
}

export interface PeriodicTask {
  readonly name: string;
  run(context: Context): Promise<void>;
}
