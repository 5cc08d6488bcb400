import { amqpTransport } from '../../common/rpc/amqp.js';
import { Party } from './busBehaviour.js';
import { sharedRabbitMq, type RabbitMq } from './rabbitmq.js';

/** Clients and servers on a virtual host of their own of the broker which all suites share. */
export interface BrokerParty {
  broker: RabbitMq;
  vhost: string;
  party: Party;
}

/** Whoever asks ends the party. */
export async function brokerParty(): Promise<BrokerParty> {
  const broker = await sharedRabbitMq();
  const vhost = await broker.newVhost();
  return { broker, vhost, party: new Party({ transport: amqpTransport, flags: broker.flags(vhost) }) };
}
