import type { Channel, ChannelModel, ConfirmChannel, Message } from 'amqplib';
import { errorText, MessageNotDelivered } from '../../errors.js';
import type { Logger } from '../../log.js';
import type { Runtime, Timer } from '../../runtime/runtime.js';
import type { BrokerConnection, ConnectionUser } from './connection.js';
import { declareTopicExchange, durabilityError, messageProperties } from './declare.js';

/** A message on its way to the topic exchange. */
interface Outgoing {
  readonly routingKey: string;
  readonly body: string;
  readonly mandatory: boolean;
  /** It asks for an answer, which is all the confirmation that is wanted. */
  readonly asks: boolean;
  returned: boolean;
  timer: Timer | null;
  resolve(): void;
  reject(error: Error): void;
}

/** The two channels of a connection; one is not kept without the other. */
interface Channels {
  readonly confirming: ConfirmChannel;
  /** For calls: without confirmations, which cost the broker a fifth of a call. */
  readonly asking: Channel;
}

/**
 * Publishes to the topic exchange, on one channel with confirmations, and calls on another without: their answer
 * confirms them. A message which reaches no queue comes back on either. While the broker is away or takes nothing, up to
 * rpc_publish_buffer messages wait, each for at most rpc_response_timeout. A message which was sent and not confirmed
 * when the connection broke is reported as not delivered and never sent again: a second copy would be worse.
 */
export class Publisher implements ConnectionUser {
  readonly #log: Logger;
  #connection: ChannelModel | null = null;
  #channels: Channels | null = null;
  /** Waits for the channel, in order. */
  readonly #buffer = new Set<Outgoing>();
  /** Sent and not yet confirmed, in order. */
  readonly #sent = new Set<Outgoing>();
  /** Sent and not yet answered. */
  readonly #asked = new Set<Outgoing>();
  #readyListeners: { resolve(): void; reject(error: Error): void }[] = [];

  constructor(
    private readonly runtime: Runtime,
    private readonly broker: BrokerConnection,
  ) {
    this.#log = runtime.log.logger('nova.rpc');
    broker.onUnblocked(() => this.#flush());
  }

  /** Resolves when the exchange is there; rejects with StartupError when it is of the other durability. */
  ready(): Promise<void> {
    if (this.#channels !== null) return Promise.resolve();
    return new Promise((resolve, reject) => this.#readyListeners.push({ resolve, reject }));
  }

  /** True when nothing waits and everything sent is confirmed. */
  get idle(): boolean {
    return this.#buffer.size === 0 && this.#sent.size === 0;
  }

  /**
   * Hands a message over; resolves when the broker has it in a queue. Throws MessageNotDelivered, at once when the
   * buffer is full. Whoever does not wait does not hear of it.
   */
  publish(routingKey: string, body: string, options: { confirm: boolean }): Promise<void> {
    this.#requireRoom();
    let outgoing!: Outgoing;
    const confirmed = new Promise<void>((resolve, reject) => {
      const settle =
        <T extends unknown[]>(how: (...args: T) => void) =>
        (...args: T): void => {
          outgoing.timer?.cancel();
          this.#buffer.delete(outgoing);
          this.#sent.delete(outgoing);
          how(...args);
        };
      outgoing = {
        routingKey,
        body,
        mandatory: options.confirm,
        asks: false,
        returned: false,
        timer: null,
        resolve: settle(resolve),
        reject: settle(reject),
      };
    });
    confirmed.catch(() => undefined);
    const seconds = this.runtime.flags.rpc_response_timeout;
    outgoing.timer = this.runtime.after(seconds * 1000, () =>
      outgoing.reject(
        new MessageNotDelivered(`The AMQP server did not take a message for ${routingKey} within ${seconds} s`),
      ),
    );
    this.#buffer.add(outgoing);
    this.#flush();
    return confirmed;
  }

  /**
   * Hands the message of a call over. `failed` hears of it, once, when it reaches no queue; how long it may take is the
   * caller's to know, who takes it back when the call is over. Throws MessageNotDelivered when the buffer is full.
   */
  ask(routingKey: string, body: string, failed: (error: Error) => void): { withdraw(): void } {
    this.#requireRoom();
    const withdraw = (): void => {
      this.#buffer.delete(outgoing);
      this.#asked.delete(outgoing);
    };
    const outgoing: Outgoing = {
      routingKey,
      body,
      mandatory: true,
      asks: true,
      returned: false,
      timer: null,
      resolve: () => undefined,
      reject: (error) => {
        withdraw();
        failed(error);
      },
    };
    this.#buffer.add(outgoing);
    this.#flush();
    return { withdraw };
  }

  #requireRoom(): void {
    if (this.#open || this.#buffer.size < this.runtime.flags.rpc_publish_buffer) return;
    throw new MessageNotDelivered(`The AMQP server is away and ${this.#buffer.size} messages wait for it already`);
  }

  attach(connection: ChannelModel): void {
    this.#connection = connection;
    void this.#openChannels(connection);
  }

  detach(): void {
    this.#connection = null;
    this.#channels = null;
  }

  get #open(): boolean {
    return this.#channels !== null && !this.broker.blocked;
  }

  async #openChannels(connection: ChannelModel): Promise<void> {
    try {
      const [confirming, asking] = await Promise.all([connection.createConfirmChannel(), connection.createChannel()]);
      const channels = { confirming, asking };
      confirming.on('return', (message: Message) => this.#onReturn(message));
      asking.on('return', (message: Message) => this.#onAskedReturn(message));
      let closed = false;
      for (const channel of [confirming, asking]) {
        channel.on('error', (error: Error) => {
          // at start whoever waits tells the operator
          if (this.#readyListeners.length > 0) return;
          this.#log.error(`The AMQP server closed the channel for messages: ${error.message}`);
        });
        channel.on('close', () => {
          if (closed) return;
          closed = true;
          this.#onClosed(connection, channels);
        });
      }
      await declareTopicExchange(confirming, this.runtime.flags);
      if (this.#connection !== connection) return;
      this.#channels = channels;
      for (const listener of this.#readyListeners.splice(0)) listener.resolve();
      this.#flush();
    } catch (error) {
      if (this.#connection !== connection) return;
      const fatal = durabilityError(error, this.runtime.flags);
      const listeners = fatal === null ? [] : this.#readyListeners.splice(0);
      for (const listener of listeners) listener.reject(fatal!);
      if (listeners.length === 0) this.#log.error(fatal?.message ?? `No channel for messages: ${errorText(error)}`);
    }
  }

  /** A channel which the broker closed is opened again, for as long as the connection lasts. */
  #onClosed(connection: ChannelModel, channels: Channels): void {
    if (this.#channels === channels) this.#channels = null;
    for (const channel of Object.values(channels) as Channel[]) closeQuietly(channel);
    for (const outgoing of [...this.#asked]) {
      outgoing.reject(
        new MessageNotDelivered(`The AMQP server closed the channel of a call of ${outgoing.routingKey}`),
      );
    }
    this.runtime.after(1000, () => {
      if (this.#connection === connection && this.#channels === null) void this.#openChannels(connection);
    });
  }

  #flush(): void {
    for (const outgoing of this.#buffer) {
      const channels = this.#channels;
      if (channels === null || !this.#open || this.runtime.halted) return;
      this.#buffer.delete(outgoing);
      if (outgoing.asks) {
        this.#asked.add(outgoing);
        this.#publish(channels.asking, outgoing);
      } else {
        this.#sent.add(outgoing);
        this.#sendConfirmed(channels.confirming, outgoing);
      }
    }
  }

  #sendConfirmed(channel: ConfirmChannel, outgoing: Outgoing): void {
    const { routingKey } = outgoing;
    this.#publish(channel, outgoing, (error) => {
      if (error !== null && error !== undefined) {
        outgoing.reject(
          new MessageNotDelivered(`The AMQP server did not confirm a message for ${routingKey}: ${errorText(error)}`),
        );
      } else if (outgoing.returned) {
        outgoing.reject(notRouted(routingKey));
      } else {
        outgoing.resolve();
      }
    });
  }

  /** Writes a message; `onConfirm` is for a channel with confirmations. */
  #publish(channel: Channel, outgoing: Outgoing, onConfirm?: (error: unknown) => void): void {
    try {
      const options = outgoing.mandatory ? mandatoryProperties : messageProperties;
      // the body is ASCII
      const content = Buffer.from(outgoing.body, 'latin1');
      const { control_exchange: exchange } = this.runtime.flags;
      if (onConfirm === undefined) channel.publish(exchange, outgoing.routingKey, content, options);
      else (channel as ConfirmChannel).publish(exchange, outgoing.routingKey, content, options, onConfirm);
    } catch (error) {
      outgoing.reject(
        new MessageNotDelivered(
          `The AMQP server did not take a message for ${outgoing.routingKey}: ${errorText(error)}`,
        ),
      );
    }
  }

  /** The broker tells of a message which reached no queue, before it confirms it. */
  #onReturn(message: Message): void {
    const outgoing = findReturned(this.#sent, message);
    if (outgoing !== undefined) outgoing.returned = true;
  }

  #onAskedReturn(message: Message): void {
    const outgoing = findReturned(this.#asked, message);
    outgoing?.reject(notRouted(outgoing.routingKey));
  }
}

const mandatoryProperties = { ...messageProperties, mandatory: true };

function notRouted(routingKey: string): MessageNotDelivered {
  return new MessageNotDelivered(`No queue takes messages for ${routingKey}`);
}

/** Nothing but its content names a message which comes back. */
function findReturned(among: ReadonlySet<Outgoing>, message: Message): Outgoing | undefined {
  const body = message.content.toString('latin1');
  for (const outgoing of among) {
    if (!outgoing.returned && outgoing.routingKey === message.fields.routingKey && outgoing.body === body)
      return outgoing;
  }
  return undefined;
}

function closeQuietly(channel: Channel): void {
  try {
    channel.close().catch(() => undefined);
  } catch {
    // it is closed
  }
}
