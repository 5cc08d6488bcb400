import type { Channel, ChannelModel, ConsumeMessage } from 'amqplib';
import { errorText, HostAlreadyServed, StartupError } from '../../errors.js';
import type { Logger } from '../../log.js';
import type { Runtime } from '../../runtime/runtime.js';
import type { Consumer, ConsumeOptions } from '../transport.js';
import type { BrokerConnection, ConnectionUser } from './connection.js';
import { declareFanoutQueue, declareTopicExchange, declareTopicQueue, durabilityError } from './declare.js';

/** How often, and how far apart, the host's queue is looked at before another daemon is taken to serve it. */
const looks = 6;
const lookEveryMs = 400;

/**
 * The three consumers of a daemon on one channel. Declared again, with a fresh fanout queue, on every new connection,
 * when the broker closes the channel, and when somebody deletes one of the queues.
 */
export class TopicConsumer implements ConnectionUser, Consumer {
  readonly #log: Logger;
  #connection: ChannelModel | null = null;
  #channel: Channel | null = null;
  #cancelled = false;
  /** Set until the first time that everything is declared. */
  #first: { resolve(): void; reject(error: Error): void } | null = null;

  constructor(
    private readonly runtime: Runtime,
    private readonly broker: BrokerConnection,
    private readonly options: ConsumeOptions,
  ) {
    this.#log = runtime.log.logger('nova.rpc');
  }

  /** Begins; resolves when all three queues are consumed. Throws HostAlreadyServed, or StartupError for the wrong durability. */
  start(): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#first = { resolve, reject };
      this.broker.use(this);
    });
  }

  attach(connection: ChannelModel): void {
    if (this.#cancelled) return;
    this.#connection = connection;
    void this.#consume(connection);
  }

  detach(): void {
    this.#connection = null;
    this.#channel = null;
  }

  async cancel(): Promise<void> {
    this.#cancelled = true;
    const channel = this.#channel;
    if (channel === null) return;
    // the channel stays open for what is still to be acknowledged
    await Promise.all(['1', '2', '3'].map((tag) => channel.cancel(tag))).catch(() => undefined);
  }

  async #consume(connection: ChannelModel): Promise<void> {
    let channel: Channel | null = null;
    try {
      channel = await connection.createChannel();
      const mine = channel;
      channel.on('error', (error: Error) => {
        // at start whoever waits tells the operator
        if (this.#first !== null) return;
        this.#log.error(`The AMQP server closed the consumers' channel: ${error.message}`);
      });
      channel.on('close', () => this.#onChannelClosed(connection, mine));
      await this.#declareAndConsume(channel);
      if (this.#connection !== connection) return;
      this.#channel = channel;
      this.#first?.resolve();
      this.#first = null;
    } catch (error) {
      if (this.#connection !== connection) return;
      const fatal = error instanceof StartupError ? error : durabilityError(error, this.runtime.flags);
      if (fatal !== null && this.#first !== null) {
        this.#cancelled = true;
        this.#first.reject(fatal);
        this.#first = null;
        channel?.close().catch(() => undefined);
        return;
      }
      this.#log.error(`Could not consume ${this.options.topic}: ${fatal?.message ?? errorText(error)}`);
      this.#again(connection);
    }
  }

  async #declareAndConsume(channel: Channel): Promise<void> {
    const { runtime, options } = this;
    const { flags } = runtime;
    const hostQueue = `${options.topic}.${options.host}`;
    await channel.prefetch(options.prefetch);
    await declareTopicExchange(channel, flags);
    await declareTopicQueue(channel, flags, options.topic);
    let others = await declareTopicQueue(channel, flags, hostQueue);
    // the consumer of a predecessor who was killed a moment ago is still there until the broker has noticed
    for (let look = 1; this.#first !== null && others > 0 && look < looks; look += 1) {
      await runtime.sleep(lookEveryMs);
      others = (await channel.checkQueue(hostQueue)).consumerCount;
    }
    if (this.#first !== null && others > 0) throw new HostAlreadyServed(options.topic, options.host);
    const fanoutQueue = await declareFanoutQueue(channel, options.topic, runtime.random.uuid().replaceAll('-', ''));
    for (const [index, queue] of [options.topic, hostQueue, fanoutQueue].entries()) {
      await channel.consume(queue, (message) => this.#onMessage(channel, queue, message), {
        consumerTag: String(index + 1),
        noAck: false,
        exclusive: false,
      });
    }
  }

  #onMessage(channel: Channel, queue: string, message: ConsumeMessage | null): void {
    if (this.runtime.halted) {
      this.broker.destroy();
      return;
    }
    if (message === null) {
      this.#log.error(`The queue ${queue} was deleted; declaring it again`);
      channel.close().catch(() => undefined);
      return;
    }
    let acknowledged = false;
    this.options.onMessage({
      body: message.content.toString('utf8'),
      contentType: message.properties.contentType as string | undefined,
      contentEncoding: message.properties.contentEncoding as string | undefined,
      redelivered: message.fields.redelivered,
      ack: () => {
        if (acknowledged || this.runtime.halted) return;
        acknowledged = true;
        try {
          channel.ack(message);
        } catch {
          // the channel is closed: the broker delivers the message again, and says so
        }
      },
    });
  }

  #onChannelClosed(connection: ChannelModel, channel: Channel): void {
    if (this.#channel !== channel) return;
    this.#channel = null;
    this.#again(connection);
  }

  /** Tries again on the same connection, if it lasts. */
  #again(connection: ChannelModel): void {
    this.runtime.after(1000, () => {
      if (this.#connection === connection && this.#channel === null && !this.#cancelled) void this.#consume(connection);
    });
  }
}
