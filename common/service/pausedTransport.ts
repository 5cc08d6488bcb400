import type { ConsumeOptions, IncomingMessage, Transport } from '../rpc/transport.js';

/**
 * A transport whose consumers take messages from the broker at once but hand them on only after {@link open}. A daemon
 * thus has its queues (and the broker's word that nobody else serves its host) before it recovers, while no message is
 * worked on, or acknowledged, before it has recovered. What waits is bounded by the consumer's prefetch.
 */
export class PausedTransport implements Transport {
  readonly #inner: Transport;
  #waiting: (() => void)[] | null = [];

  constructor(inner: Transport) {
    this.#inner = inner;
  }

  /** Hands on what has come in, in order, and everything from now on. */
  open(): void {
    const waiting = this.#waiting ?? [];
    this.#waiting = null;
    for (const handOn of waiting) handOn();
  }

  consume(options: ConsumeOptions): ReturnType<Transport['consume']> {
    const onMessage = (message: IncomingMessage): void => {
      if (this.#waiting === null) options.onMessage(message);
      else this.#waiting.push(() => options.onMessage(message));
    };
    return this.#inner.consume({ ...options, onMessage });
  }

  get connected(): boolean {
    return this.#inner.connected;
  }
  connect(): Promise<void> {
    return this.#inner.connect();
  }
  publish(...args: Parameters<Transport['publish']>): Promise<void> {
    return this.#inner.publish(...args);
  }
  publishFanout(...args: Parameters<Transport['publishFanout']>): Promise<void> {
    return this.#inner.publishFanout(...args);
  }
  call(...args: Parameters<Transport['call']>): ReturnType<Transport['call']> {
    return this.#inner.call(...args);
  }
  reply(...args: Parameters<Transport['reply']>): Promise<void> {
    return this.#inner.reply(...args);
  }
  close(graceMs?: number): Promise<void> {
    return this.#inner.close(graceMs);
  }
}
