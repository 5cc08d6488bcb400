import { expect } from 'chai';
import { readFileSync } from 'node:fs';
import { adminContext } from '../../common/context.js';
import { RemoteError } from '../../common/errors.js';
import { brokerParty } from '../support/brokerParty.js';
import { type Party, errorOf, type EchoRpc } from '../support/busBehaviour.js';
import { until, type RabbitMq } from '../support/rabbitmq.js';
import { recordings } from '../support/recordings.js';

/** Properties of every message of 2011.3, in all recordings. */
const recordedProperties = {
  content_type: 'application/json',
  content_encoding: 'utf-8',
  delivery_mode: 2,
  priority: 0,
  headers: {},
};

interface PoisonRecording {
  description: string;
  steps: { step: string; result: { sent?: string; msg_id?: string } }[];
}
const behaviour = JSON.parse(readFileSync(new URL('amqp/error-behaviour.json', recordings), 'utf8')) as Record<
  string,
  PoisonRecording
>;

describe('messages on the wire', function () {
  this.timeout(60_000);
  let broker: RabbitMq;
  let vhost: string;
  let party: Party;

  beforeEach(async () => {
    ({ broker, vhost, party } = await brokerParty());
  });
  afterEach(() => party.end());

  it('have the exchange, routing key, properties and body of 2011.3: cast, call with its two replies, failure, fanout', async () => {
    await party.server('compute', 'cloud1');
    const { rpc, runtime } = await party.client();
    const recording = await broker.recordMessages(vhost);
    const context = adminContext(runtime);
    const target = rpc.target<EchoRpc>('compute.cloud1');
    await target.cast.echo(context, { value: 'ä' });
    await target.call.echo(context, { value: 5 });
    await target.call.echo(context, { value: null });
    await errorOf(target.call.fail(context, { instance_id: 3 }));
    await rpc.fanout(context, 'compute', 'echo', { value: 1 });
    await recording.waitFor(({ exchange }) => exchange === 'compute_fanout');
    await recording.stop();

    for (const { properties } of recording.messages) expect(properties).to.deep.equal(recordedProperties);
    const ids = recording.messages.flatMap(({ body }) => (body as { _msg_id?: string })._msg_id ?? []);
    expect(ids).to.have.length(3);
    for (const id of ids) expect(id).to.match(/^[0-9a-f]{32}$/);
    const wire = context.toWire();
    const failure = (
      recording.messages.find(({ body }) => (body as { failure?: unknown }).failure)?.body as { failure: unknown[] }
    ).failure;
    expect(failure.slice(0, 2)).to.deep.equal(['InstanceNotFound', 'Instance 3 could not be found.']);
    const end = { result: null, failure: null };
    expect(recording.messages.map(({ exchange, routing_key, body }) => [exchange, routing_key, body])).to.deep.equal([
      ['nova', 'compute.cloud1', { ...wire, method: 'echo', args: { value: 'ä' } }],
      ['nova', 'compute.cloud1', { ...wire, method: 'echo', args: { value: 5 }, _msg_id: ids[0] }],
      [ids[0], ids[0], { result: 5, failure: null }],
      [ids[0], ids[0], end],
      ['nova', 'compute.cloud1', { ...wire, method: 'echo', args: { value: null }, _msg_id: ids[1] }],
      [ids[1], ids[1], end],
      [ids[1], ids[1], end],
      ['nova', 'compute.cloud1', { ...wire, method: 'fail', args: { instance_id: 3 }, _msg_id: ids[2] }],
      [ids[2], ids[2], { result: null, failure }],
      ['compute_fanout', '', { ...wire, method: 'echo', args: { value: 1 } }],
    ]);
    expect(recording.messages[0]!.body_raw).to.include('"\\u00e4"');
    for (const message of recording.messages) expect(message.routed_queues, message.body_raw).to.have.length(1);
  });

  it('with a null result occupy their reply queue until the second null is there', async () => {
    // a replier made by hand, as slow as it likes
    const connection = await broker.connect(vhost);
    const channel = await connection.createChannel();
    const { rpc, runtime } = await party.client();
    await channel.assertExchange('nova', 'topic', { durable: false, autoDelete: false });
    await channel.assertQueue('compute.python', { durable: false });
    await channel.bindQueue('compute.python', 'nova', 'compute.python');
    const asked: string[] = [];
    await channel.consume(
      'compute.python',
      (message) => {
        if (message !== null) asked.push((JSON.parse(message.content.toString()) as { _msg_id: string })._msg_id);
      },
      { noAck: true },
    );
    const answer = (id: string, body: unknown): boolean =>
      channel.publish(id, id, Buffer.from(JSON.stringify(body)), {
        contentType: 'application/json',
        contentEncoding: 'utf-8',
      });
    const end = { result: null, failure: null };
    const { call } = rpc.target<EchoRpc>('compute.python');
    const next = async (count: number): Promise<string> => until('a call', () => asked[count - 1]);

    const first = call.echo(adminContext(runtime), { value: 1 });
    answer(await next(1), end);
    expect(await first).to.equal(null);
    const second = call.echo(adminContext(runtime), { value: 2 });
    expect(await next(2)).not.to.equal(asked[0]);
    answer(asked[0]!, end);
    answer(asked[1]!, { result: 'two', failure: null });
    answer(asked[1]!, end);
    expect(await second).to.equal('two');
    // both are free now; the noise of a Python replier whose channel broke comes after the result
    const third = call.echo(adminContext(runtime), { value: 3 });
    expect([asked[0], asked[1]]).to.include(await next(3));
    answer(asked[2]!, { result: 'three', failure: null });
    answer(asked[2]!, { result: null, failure: ['AMQPChannelException', "(404, u'NOT_FOUND')", []] });
    expect(await third).to.equal('three');
    const fourth = call.echo(adminContext(runtime), { value: 4 });
    expect(await next(4)).not.to.equal(asked[2]);
    answer(asked[3]!, 'no object');
    expect(await errorOf(fourth)).to.be.instanceOf(RemoteError);
    await connection.close();
  });

  it('leave no exchange behind when the caller has gone', async () => {
    const { echo } = await party.server('compute', 'cloud1');
    const gone = await party.client();
    const lost = errorOf(gone.rpc.target<EchoRpc>('compute.cloud1').call.hang(adminContext(gone.runtime), {}));
    await echo.arrived(1);
    await gone.transport.close();
    await lost;
    echo.release();
    const stays = await party.client();
    expect(
      await stays.rpc.target<EchoRpc>('compute.cloud1').call.echo(adminContext(stays.runtime), { value: 1 }),
    ).to.equal(1);
    const exchanges = await broker.list('exchanges', vhost, ['name']);
    expect(exchanges.filter(({ name }) => /^[0-9a-f]{32}$/.test(String(name)))).to.have.length(1);
  });

  it('answer more callers than there are channels, each in order, though every third has gone', async () => {
    await party.server('compute', 'cloud1');
    const connection = await broker.connect(vhost);
    const channel = await connection.createChannel();
    const { queue } = await channel.assertQueue('', { exclusive: true });
    const callers = Array.from({ length: 400 }, (_, index) => `caller-${index}`);
    const alive = callers.filter((_, index) => index % 3 > 0);
    for (const id of alive) {
      await channel.assertExchange(id, 'direct', { durable: false, autoDelete: true });
      await channel.bindQueue(queue, id, id);
    }
    const answers = new Map<string, unknown[]>();
    await channel.consume(
      queue,
      (message) => {
        const { fields, content } = message!;
        const { result } = JSON.parse(content.toString()) as { result: unknown };
        answers.set(fields.exchange, [...(answers.get(fields.exchange) ?? []), result]);
      },
      { noAck: true },
    );
    const properties = { contentType: 'application/json', contentEncoding: 'utf-8' };
    const wanted: unknown[] = [];
    for (const value of ['first', 'second', 'third']) {
      for (const id of callers) {
        const body = { method: 'echo', args: { value: `${value} ${id}` }, _msg_id: id };
        channel.publish('nova', 'compute.cloud1', Buffer.from(JSON.stringify(body)), properties);
      }
      wanted.push(value, null);
      await until('every caller who is there to be answered', () =>
        alive.every((id) => answers.get(id)?.length === wanted.length),
      );
    }
    for (const id of alive) {
      expect(answers.get(id)).to.deep.equal(wanted.map((value) => (value === null ? null : `${String(value)} ${id}`)));
    }
    expect(answers.size).to.equal(alive.length);
    const connections = await broker.list('connections', vhost, ['channels']);
    expect(Math.max(...connections.map(({ channels }) => Number(channels)))).to.be.within(20, 140);
    await connection.close();
  });

  it('of a thousand calls at once share the reply queues which come back', async () => {
    await party.server('compute', 'cloud1');
    const { rpc, runtime } = await party.client();
    // Time passes a hundred times slower: however slow the machine is, nobody loses patience and opens another queue.
    const after = runtime.after.bind(runtime);
    Object.assign(runtime, { after: (ms: number, fn: () => void) => after(100 * ms, fn) });
    const recording = await broker.recordMessages(vhost);
    const context = adminContext(runtime);
    const target = rpc.target<EchoRpc>('compute.cloud1');
    const values = Array.from({ length: 1000 }, (_, value) => value);
    const answers = await Promise.all(values.map((value) => target.call.echo(context, { value })));
    expect(answers).to.deep.equal(values);
    await recording.waitFor(({ body }) => (body as { result?: unknown }).result === values.at(-1));
    await recording.stop();
    const ids = recording.messages.flatMap(({ body }) => (body as { _msg_id?: string })._msg_id ?? []);
    expect(ids).to.have.length(values.length);
    expect(new Set(ids).size).to.equal(100);
  });

  it('which stopped 2011.3 stop nobody here: acknowledged, logged, answered where a caller waits', async () => {
    const { echo, log } = await party.server('volume', 'cloud1');
    const { rpc, runtime } = await party.client();
    const connection = await broker.connect(vhost);
    const channel = await connection.createChannel();
    const replies: string[] = [];
    const properties: Record<string, object> = {
      err_no_content_type: { contentEncoding: 'utf-8' },
      err_content_type_charset: { contentType: 'application/json; charset=utf-8', contentEncoding: 'utf-8' },
      foreign_no_headers_no_encoding: { contentType: 'application/json' },
    };
    let callers = 0;
    for (const [name, recording] of Object.entries(behaviour)) {
      const { sent, msg_id: id } = recording.steps.find(({ result }) => result.sent !== undefined)?.result ?? {};
      if (sent === undefined) continue;
      if (id !== undefined) {
        callers += 1;
        await channel.assertExchange(id, 'direct', { durable: false, autoDelete: true });
        await channel.assertQueue(id, { durable: false, exclusive: true, autoDelete: true });
        await channel.bindQueue(id, id, id);
        await channel.consume(
          id,
          (message) => {
            if (message !== null) replies.push(`${name} ${message.content.toString()}`);
          },
          { noAck: true },
        );
      }
      channel.publish(
        'nova',
        'volume.cloud1',
        Buffer.from(sent),
        properties[name] ?? { contentType: 'application/json', contentEncoding: 'utf-8' },
      );
      const { call } = rpc.target<EchoRpc>('volume.cloud1');
      expect(await call.echo(adminContext(runtime), { value: name }), name).to.equal(name);
    }
    expect(callers).to.be.greaterThan(5);
    await until(
      'every caller to be answered',
      () => new Set(replies.map((reply) => reply.split(' ')[0])).size === callers,
    );
    for (const reply of replies) expect(reply).to.match(/"failure":\["/);
    expect(echo.seen.every(({ method }) => method === 'echo')).to.equal(true);
    const queues = await broker.list('queues', vhost, ['name', 'messages', 'consumers']);
    expect(queues).to.deep.include({ name: 'volume.cloud1', messages: 0, consumers: 1 });
    expect(log.lines.filter((line) => line.includes('Dropped a message'))).to.have.length.greaterThan(3);
    await connection.close();
  });
});
