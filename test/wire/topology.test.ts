import { expect } from 'chai';
import { adminContext } from '../../common/context.js';
import { brokerParty } from '../support/brokerParty.js';
import type { EchoRpc } from '../support/busBehaviour.js';
import { until } from '../support/rabbitmq.js';
import { columns, comparable, presentEntities, recordedTopology, type Kind } from '../support/topology.js';

function added(before: readonly string[], after: readonly string[]): string[] {
  const rest = [...before];
  return after.filter((line) => {
    const index = rest.indexOf(line);
    if (index >= 0) rest.splice(index, 1);
    return index < 0;
  });
}

describe('entities on the broker', function () {
  this.timeout(60_000);

  it('are those which the daemons of 2011.3 declare, and a call in flight adds the same', async () => {
    const { broker, vhost, party } = await brokerParty();
    try {
      const servers = [];
      for (const topic of ['scheduler', 'network', 'volume', 'compute'])
        servers.push(await party.server(topic, 'cloud1'));
      const { rpc, runtime } = await party.client();
      const before = await presentEntities(broker, vhost);
      for (const kind of Object.keys(columns) as Kind[]) {
        expect(before[kind], kind).to.deep.equal(comparable(kind, recordedTopology.after_start[kind]));
      }
      const call = rpc.target<EchoRpc>('compute.cloud1').call.hang(adminContext(runtime), {});
      await servers[3]!.echo.arrived(1);
      const during = await presentEntities(broker, vhost);
      for (const kind of Object.keys(columns) as Kind[]) {
        expect(added(before[kind], during[kind]), kind).to.deep.equal(
          comparable(kind, recordedTopology.added_by_one_call_in_flight[kind]),
        );
      }
      servers[3]!.echo.release();
      await call;
    } finally {
      await party.end();
    }
    // a daemon which ends leaves its topic queues, and nothing of its fanout and replies
    await until('the exclusive queues to go', async () => {
      const { queues, exchanges } = await presentEntities(broker, vhost);
      return queues.length === 8 && exchanges.length === 8;
    });
  });
});
