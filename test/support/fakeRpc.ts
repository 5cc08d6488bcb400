import type { Context } from '../../common/context.js';
import type { Rpc } from '../../common/rpc/rpc.js';
import type { Delivery } from '../../common/rpc/types.js';

/** How a message goes out. */
export type Sending = 'call' | 'cast' | 'fanout' | 'notify';

type Send = (
  kind: Sending,
  routingKey: string,
  method: string,
  args: Record<string, unknown>,
  context: Context | null,
) => Promise<unknown>;

/** The sending side of a daemon whose messages, of whatever method, go to `send`. A notification has no context. */
export function fakeRpc(send: Send): Rpc {
  const side = (kind: 'call' | 'cast', key: string): unknown =>
    new Proxy(
      {},
      { get: (_, method) => (context: Context, args: object) => send(kind, key, String(method), { ...args }, context) },
    );
  const target = (key: string): never => ({ call: side('call', key), cast: side('cast', key) }) as never;
  return {
    scheduler: target('scheduler'),
    network: target('network'),
    computeOn: (host) => target(`compute.${host}`),
    networkOn: (host) => target(`network.${host}`),
    volumeOn: (host) => target(`volume.${host}`),
    target: (key) => target(key),
    fanout: async (context, topic, method, args) =>
      void (await send('fanout', `${topic}_fanout`, method, { ...args }, context)),
    notify: async (priority, given) => {
      const body = typeof given === 'function' ? await given() : given;
      await send('notify', `notifications.${priority.toLowerCase()}`, String(body['event_type']), body, null);
    },
  };
}

/** A delivery which remembers whether it was acknowledged. */
export function delivery(): Delivery & { accepted: boolean } {
  return {
    accepted: false,
    redelivered: false,
    accept() {
      this.accepted = true;
    },
  };
}

/** What work comes to: its answer, or `Class text` of what it throws. */
export function outcome(work: Promise<unknown>): Promise<unknown> {
  return work.catch((error: Error) => `${error.name} ${error.message}`);
}
