import type { Context } from '../context.js';
import type { ComputeRpc } from './compute.js';
import type { NetworkRpc } from './network.js';
import type { SchedulerRpc } from './scheduler.js';
import type { RpcInterface, RpcTarget } from './types.js';
import type { VolumeRpc } from './volume.js';

/** The sending side of the bus, typed per topic. */
export interface Rpc {
  /** Whoever of the topic is free. */
  readonly scheduler: RpcTarget<SchedulerRpc>;
  readonly network: RpcTarget<NetworkRpc>;
  /** The daemon of one host. */
  computeOn(host: string): RpcTarget<ComputeRpc>;
  networkOn(host: string): RpcTarget<NetworkRpc>;
  volumeOn(host: string): RpcTarget<VolumeRpc>;
  /** Any routing key; the scheduler passes messages on by it. */
  target<I extends RpcInterface<I>>(routingKey: string): RpcTarget<I>;
  /** To every daemon of a topic. */
  fanout(context: Context, topic: string, method: string, args: Record<string, unknown>): Promise<void>;
  /**
   * A notification on `<notification_topic>.<priority>`; the body is the notification and the context. What makes one is
   * only called when somebody listens. Never throws.
   */
  notify(
    priority: string,
    notification: Record<string, unknown> | (() => Promise<Record<string, unknown>>),
  ): Promise<void>;
}
