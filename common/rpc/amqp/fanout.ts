import type { Channel, ChannelModel } from 'amqplib';
import { MessageNotDelivered } from '../../errors.js';
import type { ConnectionUser } from './connection.js';
import { declareFanoutExchange, messageProperties } from './declare.js';

/**
 * Publishes to `<topic>_fanout`. The exchange goes with its last listener, so that it is declared before each message,
 * and may still be gone at the message: then the broker closes the channel, which is why this one is apart, and nobody
 * was there to hear.
 */
export class FanoutPublisher implements ConnectionUser {
  #connection: ChannelModel | null = null;
  #channel: Channel | null = null;
  #last: Promise<void> = Promise.resolve();

  attach(connection: ChannelModel): void {
    this.#connection = connection;
    this.#channel = null;
  }

  detach(): void {
    this.#connection = null;
    this.#channel = null;
  }

  /** Messages go one after the other. Throws MessageNotDelivered while the broker is away. */
  publish(topic: string, body: string): Promise<void> {
    const mine = this.#last.then(() => this.#publish(topic, body));
    this.#last = mine.catch(() => undefined);
    return mine;
  }

  async #publish(topic: string, body: string): Promise<void> {
    if (this.#connection === null) throw new MessageNotDelivered(`The AMQP server is away, nobody of ${topic} hears`);
    const channel = this.#channel ?? (await this.#open(this.#connection));
    const exchange = await declareFanoutExchange(channel, topic);
    channel.publish(exchange, '', Buffer.from(body, 'latin1'), { ...messageProperties });
  }

  async #open(connection: ChannelModel): Promise<Channel> {
    const channel = await connection.createChannel();
    channel.on('error', () => undefined);
    channel.on('close', () => {
      if (this.#channel === channel) this.#channel = null;
    });
    this.#channel = channel;
    return channel;
  }
}
