import { expect } from 'chai';
import { readFileSync } from 'node:fs';
import { adminContext } from '../../common/context.js';
import { amqpTransport } from '../../common/rpc/amqp.js';
import { Party, type EchoRpc } from '../support/busBehaviour.js';
import { sharedRabbitMq, until, type RabbitMq } from '../support/rabbitmq.js';
import { recordings } from '../support/recordings.js';

type Row = Record<string, unknown>;
interface Topology {
  after_start: Record<'exchanges' | 'queues' | 'bindings' | 'consumers', Row[]>;
  added_by_one_call_in_flight: Record<'exchanges' | 'queues' | 'bindings' | 'consumers', Row[]>;
}
const recorded = JSON.parse(readFileSync(new URL('amqp/topology.json', recordings), 'utf8')) as Topology;

const columns = {
  exchanges: ['name', 'type', 'durable', 'auto_delete', 'internal', 'arguments', 'policy'],
  queues: ['name', 'durable', 'auto_delete', 'exclusive', 'arguments', 'consumers', 'messages', 'policy'],
  bindings: ['source_name', 'source_kind', 'destination_name', 'destination_kind', 'routing_key', 'arguments'],
  consumers: ['queue_name', 'consumer_tag', 'ack_required', 'active', 'arguments'],
} as const;
type Kind = keyof typeof columns;

/** One line per row, sorted; ids masked; the prefetch, which is ours, left out. */
function comparable(kind: Kind, rows: readonly Row[]): string[] {
  return rows
    .map((row) => JSON.stringify(columns[kind].map((column) => row[column])).replace(/[0-9a-f]{32}/g, '<id>'))
    .sort();
}
async function present(broker: RabbitMq, vhost: string): Promise<Record<Kind, string[]>> {
  const lists = {} as Record<Kind, string[]>;
  for (const kind of Object.keys(columns) as Kind[]) {
    const listed = kind === 'consumers' ? [] : columns[kind];
    lists[kind] = comparable(kind, await broker.list(kind, vhost, listed));
  }
  return lists;
}
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
    const broker = await sharedRabbitMq();
    const vhost = await broker.newVhost();
    const party = new Party({ transport: amqpTransport, flags: broker.flags(vhost) });
    try {
      const servers = [];
      for (const topic of ['scheduler', 'network', 'volume', 'compute'])
        servers.push(await party.server(topic, 'cloud1'));
      const { rpc, runtime } = await party.client();
      const before = await present(broker, vhost);
      for (const kind of Object.keys(columns) as Kind[]) {
        expect(before[kind], kind).to.deep.equal(comparable(kind, recorded.after_start[kind]));
      }
      const call = rpc.target<EchoRpc>('compute.cloud1').call.hang(adminContext(runtime), {});
      await servers[3]!.echo.arrived(1);
      const during = await present(broker, vhost);
      for (const kind of Object.keys(columns) as Kind[]) {
        expect(added(before[kind], during[kind]), kind).to.deep.equal(
          comparable(kind, recorded.added_by_one_call_in_flight[kind]),
        );
      }
      servers[3]!.echo.release();
      await call;
    } finally {
      await party.end();
    }
    // a daemon which ends leaves its topic queues, and nothing of its fanout and replies
    await until('the exclusive queues to go', async () => {
      const { queues, exchanges } = await present(broker, vhost);
      return queues.length === 8 && exchanges.length === 8;
    });
  });
});
