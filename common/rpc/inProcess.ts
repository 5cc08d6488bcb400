import { HostAlreadyServed, MessageNotDelivered, RpcTimeout } from '../errors.js';
import type { Runtime, Timer } from '../runtime/runtime.js';
import { jsonContentType, utf8Encoding } from './envelope.js';
import { ReplyGatherer } from './replies.js';
import type { Consumer, ConsumeOptions, IncomingMessage, Reply, Transport } from './transport.js';

/** A message as the bus carried it, for those who record: what a broker would have shown. */
export interface CarriedMessage {
  readonly exchange: string;
  readonly routingKey: string;
  /** Empty: nobody got it. */
  readonly routedQueues: readonly string[];
  readonly body: string;
}

interface Stored {
  readonly body: string;
  redelivered: boolean;
}
interface QueueConsumer {
  readonly owner: InProcessTransport;
  readonly prefetch: number;
  readonly unacked: Set<Stored>;
  readonly onMessage: (message: IncomingMessage) => void;
}
interface Queue {
  readonly name: string;
  messages: Stored[];
  readonly consumers: QueueConsumer[];
  /** Which consumer gets the next message, for turns. */
  turn: number;
  scheduled: boolean;
}

/**
 * When a delivery happens. `queue` is the name of the queue, or the message id of a reply: what has the same name must
 * happen in the order of the calls.
 */
export type DeliverySchedule = (queue: string, deliver: () => void) => void;

/** Delivers as a microtask: after what runs now, before any timer, in the order of the calls. */
const soon: DeliverySchedule = (_queue, deliver) => void Promise.resolve().then(deliver);

/**
 * A broker inside the process: the queues, acknowledgements, turns and redelivery of a real one, for nova-all, tests
 * and the simulation. It carries the texts which would be on the wire. Deliveries happen as microtasks in the order
 * of publication (unless a schedule is given), so that it needs no clock and runs the same way each time. A transport whose runtime was halted is
 * found out at the next use of the bus, and what it had not acknowledged is delivered again.
 */
export class InProcessBus {
  readonly #queues = new Map<string, Queue>();
  readonly #fanouts = new Map<string, Set<string>>();
  readonly #replies = new Map<string, (body: string) => void>();
  readonly #transports = new Set<InProcessTransport>();
  #fanoutCount = 0;

  /**
   * @param record is told of each message when it is published
   * @param schedule decides when what was published is delivered; at once when absent
   */
  constructor(
    private readonly record: (message: CarriedMessage) => void = () => undefined,
    private readonly schedule: DeliverySchedule = soon,
  ) {}

  /** The connection of one daemon. */
  transport(runtime: Runtime): Transport {
    const transport = new InProcessTransport(this, runtime);
    this.#transports.add(transport);
    return transport;
  }

  /** How many messages wait in a queue and how many are being worked on; null when there is no such queue. */
  depth(name: string): { ready: number; unacked: number; consumers: number } | null {
    this.#buryDead();
    const queue = this.#queues.get(name);
    if (queue === undefined) return null;
    const unacked = queue.consumers.reduce((sum, consumer) => sum + consumer.unacked.size, 0);
    return { ready: queue.messages.length, unacked, consumers: queue.consumers.length };
  }

  /** Whether no message waits in any queue and none is being worked on. */
  get idle(): boolean {
    return [...this.#queues.keys()].every((name) => {
      const depth = this.depth(name);
      return depth === null || depth.ready + depth.unacked === 0;
    });
  }

  /** The names of all queues which were declared and are there. */
  get queueNames(): string[] {
    return [...this.#queues.keys()];
  }

  /** How many calls wait for their answer. */
  get openCalls(): number {
    return this.#replies.size;
  }

  /** @internal Puts a message into the queue of the routing key; false when there is none. */
  publish(exchange: string, routingKey: string, body: string): boolean {
    this.#buryDead();
    const queue = this.#queues.get(routingKey);
    this.record({ exchange, routingKey, routedQueues: queue ? [queue.name] : [], body });
    if (queue === undefined) return false;
    queue.messages.push({ body, redelivered: false });
    this.#schedule(queue);
    return true;
  }

  /** @internal */
  publishFanout(topic: string, body: string): void {
    this.#buryDead();
    const names = [...(this.#fanouts.get(topic) ?? [])];
    this.record({ exchange: `${topic}_fanout`, routingKey: '', routedQueues: names, body });
    for (const name of names) {
      const queue = this.#queues.get(name)!;
      queue.messages.push({ body, redelivered: false });
      this.#schedule(queue);
    }
  }

  /** @internal Opens the reply queue of one call; the function it gives closes it. */
  expectReplies(messageId: string, onReply: (body: string) => void): () => void {
    this.#replies.set(messageId, onReply);
    return () => this.#replies.delete(messageId);
  }

  /** @internal */
  reply(messageId: string, body: string): void {
    const routed = this.#replies.has(messageId);
    this.record({ exchange: messageId, routingKey: messageId, routedQueues: routed ? [messageId] : [], body });
    // a caller who went away between publication and delivery is no error
    if (routed) this.schedule(messageId, () => this.#replies.get(messageId)?.(body));
  }

  /** @internal Declares the three queues of a daemon and consumes them. */
  consume(owner: InProcessTransport, options: ConsumeOptions): Consumer {
    this.#buryDead();
    const hostQueue = this.#declare(`${options.topic}.${options.host}`);
    if (hostQueue.consumers.length > 0) throw new HostAlreadyServed(options.topic, options.host);
    this.#fanoutCount += 1;
    const fanoutQueue = this.#declare(`${options.topic}_fanout_${this.#fanoutCount.toString(16).padStart(32, '0')}`);
    const listeners = this.#fanouts.get(options.topic) ?? new Set();
    this.#fanouts.set(options.topic, listeners.add(fanoutQueue.name));
    const queues = [this.#declare(options.topic), hostQueue, fanoutQueue];
    const consumers = queues.map((queue): [Queue, QueueConsumer] => {
      const consumer = { owner, prefetch: options.prefetch, unacked: new Set<Stored>(), onMessage: options.onMessage };
      queue.consumers.push(consumer);
      this.#schedule(queue);
      return [queue, consumer];
    });
    const dropFanout = (): void => {
      listeners.delete(fanoutQueue.name);
      this.#queues.delete(fanoutQueue.name);
    };
    owner.onClose(() => {
      for (const [queue, consumer] of consumers) this.#remove(queue, consumer);
      dropFanout();
    });
    return {
      cancel: () => {
        // like a broker's cancel: no more deliveries, what is unacknowledged stays so until the connection closes
        for (const [queue, consumer] of consumers) {
          const index = queue.consumers.indexOf(consumer);
          if (index >= 0) queue.consumers.splice(index, 1);
        }
        dropFanout();
        return Promise.resolve();
      },
    };
  }

  /** @internal */
  forget(transport: InProcessTransport): void {
    this.#transports.delete(transport);
  }

  #declare(name: string): Queue {
    const known = this.#queues.get(name);
    if (known !== undefined) return known;
    const queue: Queue = { name, messages: [], consumers: [], turn: 0, scheduled: false };
    this.#queues.set(name, queue);
    return queue;
  }

  /** Takes a consumer off and puts what it had not acknowledged back to the head of the queue, in the old order. */
  #remove(queue: Queue, consumer: QueueConsumer): void {
    const index = queue.consumers.indexOf(consumer);
    if (index >= 0) queue.consumers.splice(index, 1);
    const back = [...consumer.unacked];
    consumer.unacked.clear();
    for (const message of back) message.redelivered = true;
    queue.messages = [...back, ...queue.messages];
    this.#schedule(queue);
  }

  #buryDead(): void {
    for (const transport of this.#transports) {
      if (transport.runtime.halted) transport.disconnect();
    }
  }

  #schedule(queue: Queue): void {
    if (queue.scheduled || queue.messages.length === 0) return;
    queue.scheduled = true;
    this.schedule(queue.name, () => {
      queue.scheduled = false;
      this.#deliver(queue);
    });
  }

  #deliver(queue: Queue): void {
    this.#buryDead();
    while (queue.messages.length > 0) {
      const consumer = this.#nextConsumer(queue);
      if (consumer === null) return;
      const message = queue.messages.shift()!;
      consumer.unacked.add(message);
      consumer.onMessage({
        body: message.body,
        contentType: jsonContentType,
        contentEncoding: utf8Encoding,
        redelivered: message.redelivered,
        ack: () => {
          if (!consumer.owner.runtime.halted && consumer.unacked.delete(message)) this.#schedule(queue);
        },
      });
    }
  }

  /** The next in turn who has room for another message. */
  #nextConsumer(queue: Queue): QueueConsumer | null {
    for (let step = 0; step < queue.consumers.length; step += 1) {
      const consumer = queue.consumers[(queue.turn + step) % queue.consumers.length]!;
      if (consumer.unacked.size >= consumer.prefetch) continue;
      queue.turn = (queue.turn + step + 1) % queue.consumers.length;
      return consumer;
    }
    return null;
  }
}

/** One daemon's connection to an {@link InProcessBus}. */
class InProcessTransport implements Transport {
  #closed = false;
  readonly #closing: (() => void)[] = [];
  readonly #calls = new Set<(error: Error) => void>();

  constructor(
    private readonly bus: InProcessBus,
    readonly runtime: Runtime,
  ) {}

  get connected(): boolean {
    return !this.#closed;
  }

  connect(): Promise<void> {
    return this.#settle(() => undefined);
  }

  publish(routingKey: string, body: string, options: { confirm: boolean }): Promise<void> {
    return this.#settle(() => {
      const routed = this.bus.publish(this.runtime.flags.control_exchange, routingKey, body);
      if (!routed && options.confirm) throw new MessageNotDelivered(`Nobody has declared the queue ${routingKey}`);
    });
  }

  publishFanout(topic: string, body: string): Promise<void> {
    return this.#settle(() => this.bus.publishFanout(topic, body));
  }

  call(
    routingKey: string,
    body: (messageId: string) => string,
    options: { timeoutMs: number; method: string },
  ): Promise<Reply> {
    return new Promise((resolve, reject) => {
      if (this.runtime.halted) return;
      if (this.#closed) {
        reject(new MessageNotDelivered('The connection to the bus is closed'));
        return;
      }
      const messageId = this.runtime.random.uuid().replaceAll('-', '');
      const gatherer = new ReplyGatherer();
      let timer: Timer | null = null;
      const end = (settle: () => void): void => {
        timer?.cancel();
        stopListening();
        this.#calls.delete(fail);
        if (!this.runtime.halted) settle();
      };
      const fail = (error: Error): void => end(() => reject(error));
      const stopListening = this.bus.expectReplies(messageId, (text) => {
        const step = gatherer.accept(text);
        if (step.kind === 'end') end(() => resolve(step.reply));
      });
      this.#calls.add(fail);
      if (!this.bus.publish(this.runtime.flags.control_exchange, routingKey, body(messageId))) {
        fail(new MessageNotDelivered(`Nobody has declared the queue ${routingKey}`));
        return;
      }
      timer = this.runtime.after(options.timeoutMs, () =>
        fail(new RpcTimeout(options.method, routingKey, options.timeoutMs / 1000)),
      );
    });
  }

  reply(messageId: string, bodies: readonly string[]): Promise<void> {
    return this.#settle(() => {
      for (const body of bodies) this.bus.reply(messageId, body);
    });
  }

  consume(options: ConsumeOptions): Promise<Consumer> {
    return this.#settle(() => this.bus.consume(this, options));
  }

  close(): Promise<void> {
    return new Promise((resolve) => {
      this.disconnect();
      if (!this.runtime.halted) resolve();
    });
  }

  /** @internal Runs when the connection ends. */
  onClose(listener: () => void): void {
    this.#closing.push(listener);
  }

  /** @internal Ends the connection: consumers go, what they had not acknowledged goes back, calls fail. */
  disconnect(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.bus.forget(this);
    for (const listener of this.#closing) listener();
    for (const fail of [...this.#calls]) fail(new MessageNotDelivered('The connection to the bus was closed'));
  }

  /** Does something now and tells how it went; a halted daemon never hears. */
  #settle<T>(work: () => T): Promise<T> {
    return new Promise((resolve, reject) => {
      if (this.runtime.halted) return;
      try {
        if (this.#closed) throw new MessageNotDelivered('The connection to the bus is closed');
        resolve(work());
      } catch (error) {
        reject(error instanceof Error ? error : new Error(String(error)));
      }
    });
  }
}
