import { expect } from 'chai';
import { adminContext } from '../../common/context.js';
import { MessageNotDelivered, StartupError } from '../../common/errors.js';
import { amqpTransport } from '../../common/rpc/amqp.js';
import { brokerParty } from '../support/brokerParty.js';
import { Party, errorOf, type EchoRpc } from '../support/busBehaviour.js';
import { RabbitMq, sharedRabbitMq, until } from '../support/rabbitmq.js';

describe('a broker in trouble', function () {
  this.timeout(60_000);

  it('is named in one sentence at start: wrong password, virtual host, durability, nobody there', async () => {
    const broker = await sharedRabbitMq();
    const vhost = await broker.newVhost();
    const client = (flags: Record<string, unknown>): Promise<Error> =>
      errorOf(new Party({ transport: amqpTransport, flags: { ...broker.flags(vhost), ...flags } }).client());
    const party = new Party({ transport: amqpTransport, flags: broker.flags(vhost) });
    await party.server('compute', 'cloud1');
    const errors = {
      rabbit_password: await client({ rabbit_password: 'not-the-one' }),
      rabbit_virtual_host: await client({ rabbit_virtual_host: '/nowhere' }),
      rabbit_durable_queues: await client({ rabbit_durable_queues: true }),
      rabbit_max_retries: await client({
        rabbit_port: 1,
        rabbit_max_retries: 2,
        rabbit_retry_interval: 0,
        rabbit_retry_backoff: 0,
      }),
    };
    for (const [flag, error] of Object.entries(errors)) {
      expect(error, flag).to.be.instanceOf(StartupError);
      expect(error.message).to.include(flag).and.not.include('not-the-one');
      expect(error.message).not.to.include('\n');
    }
    await party.end();
  });

  it('comes back: consumers are there again, what waited is sent, calls in flight have failed', async () => {
    const broker = await RabbitMq.start();
    try {
      const party = new Party({
        transport: amqpTransport,
        flags: { ...broker.flags(), rabbit_retry_interval: 0, rabbit_retry_backoff: 1, rpc_publish_buffer: 3 },
      });
      const { echo, log } = await party.server('compute', 'cloud1');
      const { rpc, runtime, transport } = await party.client();
      const { call, cast } = rpc.target<EchoRpc>('compute.cloud1');
      const inFlight = errorOf(call.hang(adminContext(runtime), {}));
      await echo.arrived(1);
      await broker.kill9();
      expect(await inFlight).to.be.instanceOf(MessageNotDelivered);
      await until('the loss to be noticed', () => !transport.connected);
      const later = ['a', 'b', 'c'].map((value) => cast.echo(adminContext(runtime), { value }));
      const outcome = Promise.allSettled(later);
      expect(await errorOf(cast.echo(adminContext(runtime), { value: 'one too many' }))).to.be.instanceOf(
        MessageNotDelivered,
      );
      await broker.start();
      // the queues went with the broker: whether a message finds them declared again depends on who is back first
      for (const result of await outcome) {
        if (result.status === 'rejected') expect(result.reason).to.be.instanceOf(MessageNotDelivered);
      }
      await until('the daemon to be back', async () => {
        const answer = await call.echo(adminContext(runtime), { value: 'back' }, { timeout: 2 }).catch(() => undefined);
        return answer === 'back';
      });
      for (const key of ['compute', 'compute.cloud1']) {
        expect(await rpc.target<EchoRpc>(key).call.echo(adminContext(runtime), { value: key })).to.equal(key);
      }
      const before = echo.seen.length;
      await rpc.fanout(adminContext(runtime), 'compute', 'echo', { value: 'fanout' });
      await echo.arrived(before + 1);
      expect(log.lines.filter((line) => line.includes('Trying again in'))).to.have.length.greaterThan(0);
      await party.end();
    } finally {
      broker.stop();
    }
  });

  it('is told apart from a deleted queue, which a daemon declares again', async () => {
    const { broker, vhost, party } = await brokerParty();
    const { echo } = await party.server('compute', 'cloud1');
    const { rpc, runtime } = await party.client();
    const connection = await broker.connect(vhost);
    const channel = await connection.createChannel();
    await channel.deleteQueue('compute.cloud1');
    await until('the queue to be back', async () => {
      const { cast } = rpc.target<EchoRpc>('compute.cloud1');
      return cast.echo(adminContext(runtime), { value: 1 }).then(
        () => true,
        () => false,
      );
    });
    await echo.arrived(1);
    await connection.close();
    await party.end();
  });
});
