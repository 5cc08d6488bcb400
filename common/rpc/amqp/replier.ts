import type { ChannelModel, ConfirmChannel } from 'amqplib';
import { errorText, MessageNotDelivered } from '../../errors.js';
import type { Runtime } from '../../runtime/runtime.js';
import type { BrokerConnection, ConnectionUser } from './connection.js';
import { messageProperties, replyCode } from './declare.js';

/** Most channels for replies, which is how many are being confirmed at a time. */
const mostChannels = 32;

interface ReplyChannel {
  readonly channel: ConfirmChannel;
  /** Why the broker closed it. */
  error: unknown;
}

/**
 * Sends replies to the exchange which the caller has declared, and declares nothing itself: an exchange declared after
 * the caller has gone would stay for ever (rpc contract 7). When the caller has gone the broker closes the channel with
 * 404; so that no other reply is lost with it, a channel carries one caller's replies at a time and is used for the
 * next when they are confirmed.
 */
export class Replier implements ConnectionUser {
  #idle: ReplyChannel[] = [];
  #count = 0;
  #pending = 0;
  readonly #waiting: (() => void)[] = [];

  constructor(
    private readonly runtime: Runtime,
    private readonly broker: BrokerConnection,
  ) {}

  /** True when every reply is confirmed. */
  get idle(): boolean {
    return this.#pending === 0;
  }

  attach(): void {}

  detach(): void {
    this.#count -= this.#idle.length;
    this.#idle = [];
  }

  /**
   * Resolves when the broker has the replies, or the caller has gone. Throws MessageNotDelivered when the broker is away
   * for rpc_response_timeout (the caller has given up by then), or too many replies wait, or the connection breaks.
   */
  async reply(messageId: string, bodies: readonly string[]): Promise<void> {
    const { rpc_publish_buffer: most, rpc_response_timeout: seconds } = this.runtime.flags;
    if (this.broker.current === null && this.#pending >= most) {
      throw new MessageNotDelivered(`The AMQP server is away and ${this.#pending} replies wait for it already`);
    }
    this.#pending += 1;
    try {
      const connection = await this.broker.whenConnected(seconds * 1000);
      const own = await this.#take(connection);
      try {
        await this.#send(own, messageId, bodies);
        if (this.broker.current === connection) this.#idle.push(own);
        else this.#count -= 1;
      } catch (error) {
        this.#count -= 1;
        if (replyCode(own.error) === 404) return;
        throw new MessageNotDelivered(`The AMQP server did not confirm a reply: ${errorText(own.error ?? error)}`);
      } finally {
        this.#waiting.shift()?.();
      }
    } finally {
      this.#pending -= 1;
    }
  }

  async #take(connection: ChannelModel): Promise<ReplyChannel> {
    while (this.#idle.length === 0 && this.#count >= mostChannels) {
      await new Promise<void>((resolve) => this.#waiting.push(resolve));
    }
    const idle = this.#idle.pop();
    if (idle !== undefined) return idle;
    this.#count += 1;
    try {
      const own: ReplyChannel = { channel: await connection.createConfirmChannel(), error: null };
      own.channel.on('error', (error: Error) => {
        own.error = error;
      });
      own.channel.on('close', () => {
        if (!this.#idle.includes(own)) return;
        this.#idle = this.#idle.filter((other) => other !== own);
        this.#count -= 1;
      });
      return own;
    } catch (error) {
      this.#count -= 1;
      this.#waiting.shift()?.();
      throw new MessageNotDelivered(`No channel for replies: ${errorText(error)}`);
    }
  }

  async #send(own: ReplyChannel, messageId: string, bodies: readonly string[]): Promise<void> {
    const confirmations = bodies.map(
      (body) =>
        new Promise<void>((resolve, reject) => {
          own.channel.publish(
            messageId,
            messageId,
            Buffer.from(body, 'latin1'),
            { ...messageProperties },
            (error: unknown) => {
              if (error === null || error === undefined) resolve();
              else reject(error instanceof Error ? error : new Error(String(error)));
            },
          );
        }),
    );
    await Promise.all(confirmations);
  }
}
