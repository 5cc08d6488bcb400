import type { Channel, Options } from 'amqplib';
import { StartupError } from '../../errors.js';
import type { Flags } from '../../flags/flags.js';
import { jsonContentType, utf8Encoding } from '../envelope.js';

/**
 * The entities of nova 2011.3 (nova/rpc/impl_kombu.py). Every option is given, because another value than a Python
 * peer's closes the channel with 406 PRECONDITION_FAILED, and the library's defaults are other values.
 */

/** Properties of every message; nothing else is ever set. */
export const messageProperties: Options.Publish = {
  contentType: jsonContentType,
  contentEncoding: utf8Encoding,
  deliveryMode: 2,
  priority: 0,
  headers: {},
};

/** The exchange of topics and notifications. */
export async function declareTopicExchange(channel: Channel, flags: Flags): Promise<void> {
  await channel.assertExchange(flags.control_exchange, 'topic', {
    durable: flags.rabbit_durable_queues,
    autoDelete: false,
    internal: false,
  });
}

/** A queue `<topic>` or `<topic>.<host>`, which stays when nobody consumes it. Answers how many consume it. */
export async function declareTopicQueue(channel: Channel, flags: Flags, name: string): Promise<number> {
  const queue = await channel.assertQueue(name, {
    durable: flags.rabbit_durable_queues,
    exclusive: false,
    autoDelete: false,
  });
  await channel.bindQueue(name, flags.control_exchange, name);
  return queue.consumerCount;
}

/** The exchange `<topic>_fanout`; answers its name. */
export async function declareFanoutExchange(channel: Channel, topic: string): Promise<string> {
  const name = `${topic}_fanout`;
  await channel.assertExchange(name, 'fanout', { durable: false, autoDelete: true, internal: false });
  return name;
}

/** A daemon's own queue on `<topic>_fanout`, with the given suffix of 32 hex digits; answers its name. */
export async function declareFanoutQueue(channel: Channel, topic: string, suffix: string): Promise<string> {
  const exchange = await declareFanoutExchange(channel, topic);
  const name = `${exchange}_${suffix}`;
  await channel.assertQueue(name, { durable: false, exclusive: true, autoDelete: true });
  await channel.bindQueue(name, exchange, topic);
  return name;
}

/** Exchange, queue and binding for replies, all three named as the message id. */
export async function declareReplyQueue(channel: Channel, messageId: string): Promise<void> {
  await channel.assertExchange(messageId, 'direct', { durable: false, autoDelete: true, internal: false });
  await channel.assertQueue(messageId, { durable: false, exclusive: true, autoDelete: true });
  await channel.bindQueue(messageId, messageId, messageId);
}

/** The AMQP reply code of a channel's or connection's error, when it has one. */
export function replyCode(error: unknown): number | null {
  const code = error instanceof Error ? (error as Error & { code?: unknown }).code : undefined;
  return typeof code === 'number' ? code : null;
}

/**
 * The sentence for an operator whose broker has entities of the other durability, or refuses those which are not
 * durable (RabbitMQ 4.3). Null for any other error.
 */
export function durabilityError(error: unknown, flags: Flags): StartupError | null {
  const text = error instanceof Error ? error.message : '';
  const asked = `--rabbit_durable_queues=${flags.rabbit_durable_queues}`;
  if (replyCode(error) === 406 || text.includes('PRECONDITION')) {
    return new StartupError(
      `The broker's exchange or queues do not fit ${asked}: all daemons need the same value of rabbit_durable_queues, ` +
        `and a change needs the exchange ${flags.control_exchange} and the topic queues deleted first (${text})`,
    );
  }
  if (text.includes('transient_nonexcl_queues')) {
    return new StartupError(
      `The broker refuses queues which are not durable: set --rabbit_durable_queues on all daemons (${text})`,
    );
  }
  return null;
}
