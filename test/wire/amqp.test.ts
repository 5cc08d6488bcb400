import { amqpTransport } from '../../common/rpc/amqp.js';
import { busBehaviour } from '../support/busBehaviour.js';
import { sharedRabbitMq } from '../support/rabbitmq.js';

describe('the bus on RabbitMQ', function () {
  this.timeout(30_000);

  busBehaviour(async () => {
    const broker = await sharedRabbitMq();
    return { transport: amqpTransport, flags: broker.flags(await broker.newVhost()) };
  });
});
