import { expect } from 'chai';
import { brokerParty } from '../support/brokerParty.js';
import { type Party } from '../support/busBehaviour.js';
import { until, type RabbitMq } from '../support/rabbitmq.js';

const rabbit = { notification_driver: 'nova.notifier.rabbit_notifier' };
const event = { event_type: 'compute.instance.create', payload: {} };

describe('notifications on the broker', function () {
  this.timeout(60_000);
  let broker: RabbitMq;
  let vhost: string;
  let party: Party;
  beforeEach(async () => {
    ({ broker, vhost, party } = await brokerParty());
  });
  afterEach(() => party.end());

  const queues = (): Promise<Record<string, unknown>[]> =>
    broker.list('queues', vhost, ['name', 'durable', 'messages']);
  const waiting = (messages: number): Promise<unknown> =>
    until('the notifications to wait', async () =>
      (await queues()).some((queue) => queue['name'] === 'notifications.info' && queue['messages'] === messages),
    );

  it('wait for whoever listens later, in queues as durable as the others', async () => {
    const { rpc } = await party.client(rabbit);
    await rpc.notify('INFO', event);
    await rpc.notify('INFO', event);
    await waiting(2);
    expect((await queues()).map(({ name, durable }) => [name, durable])).to.deep.equal([['notifications.info', false]]);
  });

  it('use a queue which a listener has declared in its own way', async () => {
    const listener = await broker.connect(vhost);
    const channel = await listener.createChannel();
    await channel.assertExchange('nova', 'topic', { durable: false });
    await channel.assertQueue('notifications.info', { durable: true });
    await channel.bindQueue('notifications.info', 'nova', 'notifications.info');
    await listener.close();
    const { rpc, log } = await party.client(rabbit);
    await rpc.notify('INFO', event);
    await waiting(1);
    expect(log.lines.filter((line) => line.includes('is used as it is'))).to.have.length(1);
    expect(log.lines.join('\n')).not.to.include('Could not send');
  });
});
