import type { Channel, ChannelModel } from 'amqplib';
import { errorText, MessageNotDelivered } from '../../errors.js';
import type { Runtime } from '../../runtime/runtime.js';
import type { BrokerConnection, ConnectionUser } from './connection.js';
import { messageProperties } from './declare.js';

/** Most channels for replies, each kept for one caller. */
const mostChannels = 128;

interface ReplyChannel {
  readonly channel: Channel;
  /** Whose replies it carries; empty when nobody's. */
  messageId: string;
  /** How many times something was sent on it, and how many of them the broker has surely worked off. */
  sent: number;
  done: number;
}

/**
 * Sends replies to the exchange which the caller has declared, and declares nothing itself: an exchange declared after
 * the caller has gone would stay for ever (rpc contract 7). When the caller has gone the broker closes the channel with
 * 404; so that no other reply is lost with it, a channel carries one caller's replies. It passes to another caller when
 * the broker has answered a question on it, and so has worked off what came before: at once after the first replies to
 * a caller, who may be one who never comes again, and later when channels run short.
 */
export class Replier implements ConnectionUser {
  #channels: ReplyChannels | null = null;
  #pending = 0;

  constructor(
    private readonly runtime: Runtime,
    private readonly broker: BrokerConnection,
  ) {}

  /** True when the broker has every reply. */
  get idle(): boolean {
    return this.#pending === 0 && this.#channels?.settled !== false;
  }

  attach(connection: ChannelModel): void {
    this.#channels = new ReplyChannels(connection);
  }

  detach(reason: string): void {
    this.#channels?.end(reason);
    this.#channels = null;
  }

  /** Has the broker tell that it has what was sent; {@link idle} becomes true then. */
  settle(): void {
    this.#channels?.settle();
  }

  /**
   * Resolves when the replies are on their way. A caller who has gone is no error. Throws MessageNotDelivered when the
   * broker is away for rpc_response_timeout (the caller has given up by then), or too many replies wait.
   */
  async reply(messageId: string, bodies: readonly string[]): Promise<void> {
    const { rpc_publish_buffer: most, rpc_response_timeout: seconds } = this.runtime.flags;
    if (this.broker.current === null && this.#pending >= most) {
      throw new MessageNotDelivered(`The AMQP server is away and ${this.#pending} replies wait for it already`);
    }
    this.#pending += 1;
    try {
      if (this.broker.current === null) await this.broker.whenConnected(seconds * 1000);
      if (this.#channels === null) throw new MessageNotDelivered('The connection to the AMQP server was lost');
      await this.#channels.send(messageId, bodies);
    } finally {
      this.#pending -= 1;
    }
  }
}

/** The channels for replies on one connection. */
class ReplyChannels {
  /** By the caller, who was answered longest ago first. */
  readonly #ofCaller = new Map<string, ReplyChannel>();
  #free: ReplyChannel[] = [];
  #count = 0;
  #waiting: { resolve(): void; reject(error: Error): void }[] = [];

  constructor(private readonly connection: ChannelModel) {}

  get settled(): boolean {
    return [...this.#ofCaller.values()].every(({ sent, done }) => sent === done);
  }

  settle(): void {
    for (const own of this.#ofCaller.values()) void this.#stands(own);
  }

  end(reason: string): void {
    for (const { reject } of this.#waiting.splice(0)) reject(new MessageNotDelivered(reason));
  }

  async send(messageId: string, bodies: readonly string[]): Promise<void> {
    const known = this.#ofCaller.get(messageId);
    const own = known ?? (await this.#take(messageId));
    this.#ofCaller.delete(messageId);
    this.#ofCaller.set(messageId, own);
    own.sent += 1;
    // the bodies are ASCII
    for (const body of bodies) {
      own.channel.publish(messageId, messageId, Buffer.from(body, 'latin1'), messageProperties);
    }
    if (known === undefined) {
      this.#waiting.shift()?.resolve();
      void this.#stands(own);
    }
  }

  /** A channel for a caller who has none. */
  async #take(messageId: string): Promise<ReplyChannel> {
    for (;;) {
      const own = this.#free.pop() ?? (await this.#another());
      const other = this.#ofCaller.get(messageId);
      if (other !== undefined) {
        if (own !== null) this.#free.push(own);
        this.#waiting.shift()?.resolve();
        return other;
      }
      if (own === null) continue;
      own.messageId = messageId;
      return own;
    }
  }

  /** A new channel, or that of the caller who was answered longest ago. Null: look again. */
  async #another(): Promise<ReplyChannel | null> {
    if (this.#count < mostChannels) return this.#open();
    const [oldest] = this.#ofCaller.values();
    if (oldest === undefined) {
      await new Promise<void>((resolve, reject) => this.#waiting.push({ resolve, reject }));
      return null;
    }
    this.#ofCaller.delete(oldest.messageId);
    return (await this.#stands(oldest)) ? oldest : null;
  }

  async #open(): Promise<ReplyChannel> {
    this.#count += 1;
    try {
      const own: ReplyChannel = { channel: await this.connection.createChannel(), messageId: '', sent: 0, done: 0 };
      own.channel.on('error', () => undefined);
      own.channel.on('close', () => this.#forget(own));
      return own;
    } catch (error) {
      this.#count -= 1;
      this.#waiting.shift()?.resolve();
      throw new MessageNotDelivered(`No channel for replies: ${errorText(error)}`);
    }
  }

  #forget(own: ReplyChannel): void {
    if (this.#ofCaller.get(own.messageId) === own) this.#ofCaller.delete(own.messageId);
    this.#free = this.#free.filter((other) => other !== own);
    this.#count -= 1;
    this.#waiting.shift()?.resolve();
  }

  /** Whether the broker has worked off what was sent on a channel without closing it. */
  async #stands(own: ReplyChannel): Promise<boolean> {
    const { sent } = own;
    if (own.done === sent) return true;
    try {
      // any question will do: a channel is answered in order
      await own.channel.prefetch(0);
      own.done = sent;
      return true;
    } catch {
      return false;
    }
  }
}
