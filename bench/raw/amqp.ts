import { randomUUID } from 'node:crypto';
import { connect, type Channel, type Options } from 'amqplib';

/** How amqplib is called with nothing in between: the same exchanges, queues, acknowledgements and number of messages. */
const exchange = 'nova';
const properties: Options.Publish = {
  contentType: 'application/json',
  contentEncoding: 'utf-8',
  deliveryMode: 2,
  priority: 0,
  headers: {},
};
const send = (channel: Channel, to: string, key: string, body: object): void =>
  void channel.publish(to, key, Buffer.from(JSON.stringify(body)), properties);

/** Answers each request of a topic with its value and an ending. */
export async function serveRaw(url: string, topic: string): Promise<void> {
  const connection = await connect(url, { noDelay: true });
  const channel = await connection.createChannel();
  await channel.assertExchange(exchange, 'topic', { durable: false });
  await channel.assertQueue(topic, { durable: false });
  await channel.bindQueue(topic, exchange, topic);
  await channel.prefetch(1024);
  await channel.consume(topic, (message) => {
    if (message === null) return;
    const { _msg_id: id, args } = JSON.parse(message.content.toString()) as { _msg_id: string; args: object };
    channel.ack(message);
    send(channel, id, id, { result: args, failure: null });
    send(channel, id, id, { result: null, failure: null });
  });
}

/** One reply queue with its exchange: a call at a time. */
export interface RawCaller {
  call(topic: string, args: object): Promise<unknown>;
}

export async function rawCallers(
  url: string,
  count: number,
): Promise<{ callers: RawCaller[]; close(): Promise<void> }> {
  const connection = await connect(url, { noDelay: true });
  const requests = await connection.createChannel();
  const caller = async (): Promise<RawCaller> => {
    const id = randomUUID().replaceAll('-', '');
    const channel = await connection.createChannel();
    await channel.assertExchange(id, 'direct', { durable: false, autoDelete: true });
    await channel.assertQueue(id, { durable: false, exclusive: true, autoDelete: true });
    await channel.bindQueue(id, id, id);
    let result: unknown = null;
    let done: (result: unknown) => void = () => undefined;
    await channel.consume(id, (message) => {
      if (message === null) return;
      const reply = JSON.parse(message.content.toString()) as { result: unknown };
      channel.ack(message);
      if (reply.result === null) done(result);
      else result = reply.result;
    });
    return {
      call: (topic, args) =>
        new Promise((resolve) => {
          done = resolve;
          send(requests, exchange, topic, { _msg_id: id, method: 'echo', args });
        }),
    };
  };
  return { callers: await Promise.all(Array.from({ length: count }, caller)), close: () => connection.close() };
}
