import type { Context } from '../context.js';
import { RemoteError } from '../errors.js';
import type { Runtime } from '../runtime/runtime.js';
import type { ComputeRpc } from './compute.js';
import { requestBody } from './envelope.js';
import type { NetworkRpc } from './network.js';
import { createNotifier } from './notifier.js';
import type { Rpc } from './rpc.js';
import type { SchedulerRpc } from './scheduler.js';
import type { Transport } from './transport.js';
import type { CallOptions, CastOptions, RpcInterface, RpcTarget } from './types.js';
import type { VolumeRpc } from './volume.js';

/** An object whose every property is a method sent by `send`. Not a thenable, so that it can be returned from async code. */
function proxyOf<Methods extends object>(send: (method: string) => unknown): Methods {
  return new Proxy({} as Methods, {
    get: (_target, method) => (typeof method === 'symbol' || method === 'then' ? undefined : send(method)),
  });
}

/**
 * The sending side of the bus for one daemon. Throws StartupError when the flag notification_driver (or
 * list_notifier_drivers) names no driver.
 */
export function createRpc(runtime: Runtime, transport: Transport): Rpc {
  const log = runtime.log.logger('nova.rpc');
  const { flags } = runtime;
  const notifier = createNotifier(runtime, transport);

  async function call(
    routingKey: string,
    method: string,
    context: Context,
    args: object,
    options: CallOptions = {},
  ): Promise<unknown> {
    const seconds = options.timeout ?? flags.rpc_response_timeout;
    const reply = await transport.call(
      routingKey,
      (messageId) => {
        log.debug(`Making asynchronous call on ${routingKey} ...: ${method}, MSG_ID is ${messageId}`);
        return requestBody(context, method, args, messageId);
      },
      { timeoutMs: seconds * 1000, method },
    );
    if (reply.failure !== null) throw new RemoteError(...reply.failure);
    return reply.result;
  }

  async function cast(
    routingKey: string,
    method: string,
    context: Context,
    args: object,
    options: CastOptions = {},
  ): Promise<void> {
    log.debug(`Making asynchronous cast on ${routingKey}...: ${method}`);
    await transport.publish(routingKey, requestBody(context, method, args), { confirm: options.confirm ?? true });
  }

  function target<I extends RpcInterface<I>>(routingKey: string): RpcTarget<I> {
    return {
      call: proxyOf<RpcTarget<I>['call']>(
        (method) => (context: Context, args: object, options?: CallOptions) =>
          call(routingKey, method, context, args, options),
      ),
      cast: proxyOf<RpcTarget<I>['cast']>(
        (method) => (context: Context, args: object, options?: CastOptions) =>
          cast(routingKey, method, context, args, options),
      ),
    };
  }

  return {
    scheduler: target<SchedulerRpc>(flags.scheduler_topic),
    network: target<NetworkRpc>(flags.network_topic),
    computeOn: (host) => target<ComputeRpc>(`${flags.compute_topic}.${host}`),
    networkOn: (host) => target<NetworkRpc>(`${flags.network_topic}.${host}`),
    volumeOn: (host) => target<VolumeRpc>(`${flags.volume_topic}.${host}`),
    target,
    async fanout(context, topic, method, args) {
      log.debug(`Making asynchronous fanout cast on ${topic}...: ${method}`);
      await transport.publishFanout(topic, requestBody(context, method, args));
    },
    notify: notifier,
  };
}
