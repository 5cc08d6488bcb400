import type { Context } from '../context.js';

/** A JSON value as it travels. */
export type Json = string | number | boolean | null | readonly Json[] | { readonly [key: string]: Json | undefined };

/** An rpc interface: methods by wire name, each taking one object of named arguments. */
// eslint-disable-next-line @typescript-eslint/no-explicit-any -- the bound of every rpc interface
export type RpcInterface<I> = { [M in keyof I]: (args: any) => Promise<any> };

export interface CastOptions {
  /**
   * Waits for the broker's confirmation and throws MessageNotDelivered when the message reached no queue or the
   * broker is away. True unless set to false.
   */
  confirm?: boolean;
}
export interface CallOptions {
  /** Seconds until RpcTimeout; the flag rpc_response_timeout when absent. */
  timeout?: number;
}

/** Somebody who answers the interface `I`, addressed by a routing key such as `compute.node1`. */
export interface RpcTarget<I extends RpcInterface<I>> {
  /** Sends and waits for the answer. Throws RemoteError, RpcTimeout or MessageNotDelivered. */
  readonly call: {
    [M in keyof I]: (context: Context, args: Parameters<I[M]>[0], options?: CallOptions) => ReturnType<I[M]>;
  };
  /** Sends and waits only until the broker has it. */
  readonly cast: {
    [M in keyof I]: (context: Context, args: Parameters<I[M]>[0], options?: CastOptions) => Promise<void>;
  };
}

/** How the dispatcher treats a method which arrives. */
export interface MethodSpec {
  /** Arguments which must be there; a message without one is answered with a TypeError. */
  readonly required: readonly string[];
  readonly optional?: readonly string[];
  /** Further arguments are ignored instead of refused (Python's `**kwargs`). */
  readonly open?: boolean;
  /**
   * When the message is acknowledged: at receipt (the default), or by the handler through {@link Delivery.accept} once
   * its claim is committed.
   */
  readonly ack?: 'receipt' | 'claim';
}
/** Every method of an interface; the dispatcher's allow-list. */
export type MethodTable<I> = { readonly [M in keyof I]: MethodSpec };

/** One message as its handler sees it. */
export interface Delivery {
  /** Acknowledges the message: its claim is committed, or there is nothing left to do. Repeated calls do nothing. */
  accept(): void;
  /** True when the broker has delivered the message before. */
  readonly redelivered: boolean;
}

/** The worker's side of an interface. */
export type RpcHandlers<I extends RpcInterface<I>> = {
  [M in keyof I]: (context: Context, args: Parameters<I[M]>[0], delivery: Delivery) => ReturnType<I[M]>;
};
