import type { StartupError } from '../errors.js';

/**
 * What carries messages. Two implementations, in-process and AMQP, move the same serialized envelopes: a body is the
 * JSON text which is on the wire (nova 2011.3, nova/rpc/impl_kombu.py).
 */
export interface Transport {
  /** Resolves when the broker answered for the first time; retries as the rabbit_* flags say. */
  connect(): Promise<void>;

  /**
   * Publishes to the topic exchange. With `confirm` it resolves once the broker has the message in a queue and throws
   * MessageNotDelivered when no queue is bound, or the broker is away and the bounded buffer full; without, it resolves
   * when the message is handed over. `keep` makes the queue of that name first, where a broker is in between, so that the
   * message waits there for whoever comes to listen.
   */
  publish(routingKey: string, body: string, options: PublishOptions): Promise<void>;

  /** Publishes to `<topic>_fanout`; nobody listening is no error. */
  publishFanout(topic: string, body: string): Promise<void>;

  /**
   * Publishes to the topic exchange and gathers the replies. `body` gets the message id of the reply queue. Resolves at
   * the first reply which ends the call: a failure, or a null result; with that reply's predecessor as the result.
   * Throws MessageNotDelivered when no queue is bound or the connection is lost, RpcTimeout after `timeoutMs`.
   */
  call(
    routingKey: string,
    body: (messageId: string) => string,
    options: { timeoutMs: number; method: string },
  ): Promise<Reply>;

  /** Sends reply bodies, in order, to the caller who waits on `messageId`. A caller who has gone is no error. */
  reply(messageId: string, bodies: readonly string[]): Promise<void>;

  /**
   * Consumes `<topic>`, `<topic>.<host>` and `<topic>_fanout` (in this order, consumer tags "1", "2", "3"), now and after
   * every reconnection. Throws HostAlreadyServed when `<topic>.<host>` has a consumer already.
   */
  consume(options: ConsumeOptions): Promise<Consumer>;

  /** Closes the connection; what is buffered is sent first, for as long as `graceMs`. */
  close(graceMs?: number): Promise<void>;

  /**
   * Calls `listener` when a transport which was connected gives up on its broker (flag rabbit_max_retries); the daemon
   * must end then. Without the method a transport never gives up.
   */
  onGivenUp?(listener: (error: StartupError) => void): void;

  /** True while the broker can be reached. */
  readonly connected: boolean;
}

export interface PublishOptions {
  readonly confirm: boolean;
  readonly keep?: boolean;
}

/** The end of a call. */
export interface Reply {
  result: unknown;
  /** Class name, text and traceback of the remote error. */
  failure: readonly [string, string, readonly string[]] | null;
}

export interface ConsumeOptions {
  topic: string;
  host: string;
  /** Most messages taken from the broker and not yet acknowledged. */
  prefetch: number;
  onMessage(message: IncomingMessage): void;
}

export interface IncomingMessage {
  readonly body: string;
  readonly contentType: string | undefined;
  readonly contentEncoding: string | undefined;
  readonly redelivered: boolean;
  /** Acknowledges. Repeated calls, and calls after the connection was lost, do nothing. */
  ack(): void;
}

export interface Consumer {
  /** Takes no more messages; those which were delivered and not acknowledged go back to their queue when the connection closes. */
  cancel(): Promise<void>;
}
