import type { ChannelModel } from 'amqplib';
import { errorText } from '../../errors.js';
import type { Logger } from '../../log.js';
import type { Runtime } from '../../runtime/runtime.js';
import type { ConnectionUser } from './connection.js';
import { declareTopicExchange, declareTopicQueue } from './declare.js';

/**
 * Declares the queues `notifications.<level>` before the first notification of each level goes out, or the broker would
 * drop those which nobody listens to yet, as in 2011.3. Their durability is that of rabbit_durable_queues. A queue which a
 * listener has declared otherwise is left as it is.
 */
export class NotificationQueues implements ConnectionUser {
  readonly #log: Logger;
  #connection: ChannelModel | null = null;
  #declared = new Map<string, Promise<void>>();

  constructor(private readonly runtime: Runtime) {
    this.#log = runtime.log.logger('nova.rpc');
  }

  attach(connection: ChannelModel): void {
    this.#connection = connection;
    this.#declared = new Map();
  }

  detach(): void {
    this.#connection = null;
  }

  /** Resolves when the queue is there, or cannot be had; at once while the broker is away. Never rejects. */
  async declare(name: string): Promise<void> {
    const connection = this.#connection;
    if (connection === null) return;
    const declared = this.#declared.get(name) ?? this.#declare(connection, name);
    this.#declared.set(name, declared);
    await declared;
  }

  async #declare(connection: ChannelModel, name: string): Promise<void> {
    try {
      // a channel of its own: the broker closes it where the queue is of another kind
      const channel = await connection.createChannel();
      channel.on('error', () => undefined);
      await declareTopicExchange(channel, this.runtime.flags);
      await declareTopicQueue(channel, this.runtime.flags, name);
      await channel.close();
    } catch (error) {
      this.#log.warn(`The queue ${name} is used as it is: ${errorText(error)}`);
    }
  }
}
