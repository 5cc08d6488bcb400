import type { ChannelModel, ConfirmChannel, Message } from 'amqplib';
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
  returned: boolean;
  timer: Timer | null;
  resolve(): void;
  reject(error: Error): void;
}

/** A message handed to the publisher. */
export interface Handed {
  /** Resolves when the broker has it in a queue. Rejects with MessageNotDelivered. */
  readonly confirmed: Promise<void>;
  /** Takes it back if it was not sent yet. */
  withdraw(): void;
}

/**
 * Publishes to the topic exchange on one channel with confirmations. While the broker is away or takes nothing, up to
 * rpc_publish_buffer messages wait, each for at most rpc_response_timeout. A message which was sent and not confirmed
 * when the connection broke is reported as not delivered and never sent again: a second copy would be worse.
 */
export class Publisher implements ConnectionUser {
  readonly #log: Logger;
  #connection: ChannelModel | null = null;
  #channel: ConfirmChannel | null = null;
  /** Waits for the channel, in order. */
  readonly #buffer = new Set<Outgoing>();
  /** Sent and not yet confirmed, in order. */
  readonly #sent = new Set<Outgoing>();
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
    if (this.#channel !== null) return Promise.resolve();
    return new Promise((resolve, reject) => this.#readyListeners.push({ resolve, reject }));
  }

  /** True when nothing waits and everything sent is confirmed. */
  get idle(): boolean {
    return this.#buffer.size === 0 && this.#sent.size === 0;
  }

  /** Hands a message over. Throws MessageNotDelivered when the buffer is full. */
  publish(routingKey: string, body: string, options: { confirm: boolean }): Handed {
    if (!this.#open && this.#buffer.size >= this.runtime.flags.rpc_publish_buffer) {
      throw new MessageNotDelivered(`The AMQP server is away and ${this.#buffer.size} messages wait for it already`);
    }
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
        returned: false,
        timer: null,
        resolve: settle(resolve),
        reject: settle(reject),
      };
    });
    // whoever does not wait for the confirmation does not hear of its absence
    confirmed.catch(() => undefined);
    const seconds = this.runtime.flags.rpc_response_timeout;
    outgoing.timer = this.runtime.after(seconds * 1000, () =>
      outgoing.reject(
        new MessageNotDelivered(`The AMQP server did not take a message for ${routingKey} within ${seconds} s`),
      ),
    );
    this.#buffer.add(outgoing);
    this.#flush();
    return {
      confirmed,
      withdraw: () => {
        if (this.#buffer.has(outgoing)) outgoing.reject(new MessageNotDelivered('The message was taken back'));
      },
    };
  }

  attach(connection: ChannelModel): void {
    this.#connection = connection;
    void this.#openChannel(connection);
  }

  detach(): void {
    this.#connection = null;
    this.#channel = null;
  }

  get #open(): boolean {
    return this.#channel !== null && !this.broker.blocked;
  }

  async #openChannel(connection: ChannelModel): Promise<void> {
    try {
      const channel = await connection.createConfirmChannel();
      channel.on('error', (error: Error) => {
        // at start whoever waits tells the operator
        if (this.#readyListeners.length > 0) return;
        this.#log.error(`The AMQP server closed the channel for messages: ${error.message}`);
      });
      channel.on('close', () => {
        if (this.#channel === channel) this.#channel = null;
        this.#openLater(connection);
      });
      channel.on('return', (message: Message) => this.#onReturn(message));
      await declareTopicExchange(channel, this.runtime.flags);
      if (this.#connection !== connection) return;
      this.#channel = channel;
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
  #openLater(connection: ChannelModel): void {
    this.runtime.after(1000, () => {
      if (this.#connection === connection && this.#channel === null) void this.#openChannel(connection);
    });
  }

  #flush(): void {
    for (const outgoing of this.#buffer) {
      const channel = this.#channel;
      if (channel === null || !this.#open || this.runtime.halted) return;
      this.#buffer.delete(outgoing);
      this.#sent.add(outgoing);
      this.#send(channel, outgoing);
    }
  }

  #send(channel: ConfirmChannel, outgoing: Outgoing): void {
    const { routingKey } = outgoing;
    const onConfirm = (error: unknown): void => {
      if (error !== null && error !== undefined) {
        outgoing.reject(
          new MessageNotDelivered(`The AMQP server did not confirm a message for ${routingKey}: ${errorText(error)}`),
        );
      } else if (outgoing.returned) {
        outgoing.reject(new MessageNotDelivered(`No queue takes messages for ${routingKey}`));
      } else {
        outgoing.resolve();
      }
    };
    try {
      const options = { ...messageProperties, mandatory: outgoing.mandatory };
      // the body is ASCII
      channel.publish(
        this.runtime.flags.control_exchange,
        routingKey,
        Buffer.from(outgoing.body, 'latin1'),
        options,
        onConfirm,
      );
    } catch (error) {
      onConfirm(error);
    }
  }

  /** The broker tells of a message which reached no queue, before it confirms it. Nothing but its content names it. */
  #onReturn(message: Message): void {
    const body = message.content.toString('latin1');
    for (const outgoing of this.#sent) {
      if (outgoing.returned || outgoing.routingKey !== message.fields.routingKey || outgoing.body !== body) continue;
      outgoing.returned = true;
      return;
    }
  }
}
