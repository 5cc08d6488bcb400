import { MessageNotDelivered } from '../../common/errors.js';
import { InProcessBus } from '../../common/rpc/inProcess.js';
import type { Consumer, ConsumeOptions, Reply, Transport } from '../../common/rpc/transport.js';
import type { Random } from '../../common/runtime/runtime.js';
import type { SimulatedRuntime } from '../simulatedRuntime.js';
import type { World } from '../world.js';

/** Milliseconds which a message takes when nothing is wrong, at most. */
const usualDelay = 15;

/** The broker: messages of one queue come in order, those of different queues overtake each other. */
export class SimulatedBroker {
  /** Milliseconds which a message takes at most. */
  slowness = usualDelay;
  bus: InProcessBus;
  /** When the last delivery of a queue happens, so that none overtakes it. */
  readonly #lastDelivery = new Map<string, number>();
  readonly #transports = new Set<SimulatedTransport>();
  #awayUntil = 0;

  constructor(
    private readonly world: World,
    private readonly random: Random,
  ) {
    this.bus = this.#newBus();
  }

  transport(runtime: SimulatedRuntime): SimulatedTransport {
    const transport = new SimulatedTransport(this, this.world, runtime);
    this.#transports.add(transport);
    return transport;
  }

  forget(transport: SimulatedTransport): void {
    this.#transports.delete(transport);
  }

  /** The broker is restarted: its queues and messages are gone, as those which are not durable, and connections break. */
  restart(awayMs: number): void {
    this.bus = this.#newBus();
    this.#awayUntil = Math.max(this.#awayUntil, this.world.now() + awayMs);
    for (const transport of this.#transports) transport.disconnect(awayMs);
  }

  /** Resolves when it can be reached: also who starts, or lost its connection for another reason, waits for it. */
  async back(): Promise<void> {
    while (this.world.now() < this.#awayUntil) await this.world.sleep(this.#awayUntil - this.world.now());
  }

  calm(): void {
    this.slowness = usualDelay;
  }

  #newBus(): InProcessBus {
    return new InProcessBus(undefined, (queue, deliver) => this.#schedule(queue, deliver));
  }

  #schedule(queue: string, deliver: () => void): void {
    const now = this.world.now();
    const at = Math.max(now + this.random.below(this.slowness + 1), this.#lastDelivery.get(queue) ?? 0);
    this.#lastDelivery.set(queue, at);
    this.world.after(at - now, () => {
      if (this.#lastDelivery.get(queue) === at) this.#lastDelivery.delete(queue);
      deliver();
    });
  }
}

/**
 * A daemon's connection to the broker, which may break and comes back by itself, as common/rpc/amqp.ts does it: consumers
 * are declared again, what was not acknowledged is delivered again while its first delivery is still being worked on,
 * calls fail at once, and who wants to send waits for as long as rpc_response_timeout says.
 */
export class SimulatedTransport implements Transport {
  #inner: Transport | undefined;
  #back: Promise<void> = Promise.resolve();
  #closed = false;
  readonly #consumers = new Set<{ options: ConsumeOptions; current: Consumer | undefined }>();
  #unconfirmed: { delivered: boolean; awayMs: number } | undefined;

  constructor(
    private readonly broker: SimulatedBroker,
    private readonly world: World,
    private readonly runtime: SimulatedRuntime,
  ) {}

  get connected(): boolean {
    return this.#inner !== undefined;
  }

  async connect(): Promise<void> {
    await this.#back;
    await this.broker.back();
    await this.runtime.outside(async () => this.#open());
  }

  /** The connection breaks, and is back after so many milliseconds. */
  disconnect(awayMs: number): void {
    if (this.#inner === undefined || this.#closed) return;
    void this.#inner.close();
    this.#inner = undefined;
    for (const consumer of this.#consumers) consumer.current = undefined;
    this.#back = this.world.sleep(awayMs).then(async () => {
      await this.broker.back();
      await this.#reconnect();
    });
  }

  /** The connection breaks at the next message which is sent, before anybody heard whether it is in a queue. */
  loseConfirmation(delivered: boolean, awayMs: number): void {
    this.#unconfirmed = { delivered, awayMs };
  }

  calm(): void {
    this.#unconfirmed = undefined;
  }

  publish(routingKey: string, body: string, options: { confirm: boolean }): Promise<void> {
    return this.#send((inner) => inner.publish(routingKey, body, options), options.confirm);
  }

  publishFanout(topic: string, body: string): Promise<void> {
    return this.#send((inner) => inner.publishFanout(topic, body), true);
  }

  async call(
    routingKey: string,
    body: (messageId: string) => string,
    options: { timeoutMs: number; method: string },
  ): Promise<Reply> {
    await this.#ready();
    let answer: Promise<Reply> | undefined;
    await this.#sending((inner) => {
      answer = inner.call(routingKey, body, options);
      answer.catch(() => undefined);
      return Promise.resolve();
    }, true);
    return new Promise((resolve, reject) => {
      answer!.then(
        (reply) => this.runtime.whenAwake(() => resolve(reply)),
        (error: Error) => this.runtime.whenAwake(() => reject(error)),
      );
    });
  }

  reply(messageId: string, bodies: readonly string[]): Promise<void> {
    return this.#sending((inner) => inner.reply(messageId, bodies), false);
  }

  async consume(options: ConsumeOptions): Promise<Consumer> {
    await this.#ready();
    const consumer: { options: ConsumeOptions; current: Consumer | undefined } = {
      options: { ...options, onMessage: (message) => this.runtime.whenAwake(() => options.onMessage(message)) },
      current: undefined,
    };
    await this.#operation(async (inner) => {
      consumer.current = await inner.consume(consumer.options);
      this.#consumers.add(consumer);
    });
    return {
      cancel: async () => {
        this.#consumers.delete(consumer);
        await consumer.current?.cancel();
      },
    };
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.broker.forget(this);
    await this.#inner?.close();
  }

  async #send(publish: (inner: Transport) => Promise<void>, confirm: boolean): Promise<void> {
    await this.#ready();
    await this.#sending(publish, confirm);
  }

  /** Hands a message to the broker; whether it arrived when the connection breaks, only who wants to know is told. */
  #sending(publish: (inner: Transport) => Promise<void>, confirm: boolean): Promise<void> {
    return this.#operation(async (inner) => {
      const unconfirmed = this.#unconfirmed;
      this.#unconfirmed = undefined;
      if (unconfirmed === undefined) return publish(inner);
      if (unconfirmed.delivered) await publish(inner);
      this.disconnect(unconfirmed.awayMs);
      if (confirm) throw new MessageNotDelivered('The connection was lost before the broker confirmed the message');
    });
  }

  /** Waits while the connection is away. Throws MessageNotDelivered when that takes too long. */
  async #ready(): Promise<void> {
    if (this.#inner !== undefined) return;
    const seconds = this.runtime.flags.rpc_response_timeout;
    let late = false;
    await Promise.race([this.#back, this.runtime.sleep(seconds * 1000).then(() => (late = true))]);
    if (late) throw new MessageNotDelivered(`The broker did not come back within ${seconds} seconds`);
  }

  /** Something which the broker does for a daemon that lives. */
  #operation<T>(work: (inner: Transport) => Promise<T>): Promise<T> {
    return this.runtime.outside(async () => {
      // A transport of the process doesn't answer the dead, and the world would wait for it.
      if (this.runtime.halted) return undefined as T;
      if (this.#inner === undefined) throw new MessageNotDelivered('The connection to the bus is closed');
      return work(this.#inner);
    });
  }

  #open(): void {
    if (!this.runtime.halted && !this.#closed) this.#inner ??= this.broker.bus.transport(this.runtime);
  }

  /** A predecessor's consumer may be there for a moment still; then it tries again, as over AMQP. */
  async #reconnect(): Promise<void> {
    this.#open();
    const inner = this.#inner;
    if (inner === undefined) return;
    for (const consumer of this.#consumers) {
      consumer.current = await inner.consume(consumer.options);
    }
  }
}
