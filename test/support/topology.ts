import { readFileSync } from 'node:fs';
import type { RabbitMq } from './rabbitmq.js';
import { recordings } from './recordings.js';

type Row = Record<string, unknown>;
export interface Topology {
  after_start: Record<'exchanges' | 'queues' | 'bindings' | 'consumers', Row[]>;
  added_by_one_call_in_flight: Record<'exchanges' | 'queues' | 'bindings' | 'consumers', Row[]>;
}
/** The entities of five daemons of nova 2011.3 on an empty virtual host. */
export const recordedTopology = JSON.parse(readFileSync(new URL('amqp/topology.json', recordings), 'utf8')) as Topology;

/** What is compared of each kind of entity. */
export const columns = {
  exchanges: ['name', 'type', 'durable', 'auto_delete', 'internal', 'arguments', 'policy'],
  queues: ['name', 'durable', 'auto_delete', 'exclusive', 'arguments', 'consumers', 'messages', 'policy'],
  bindings: ['source_name', 'source_kind', 'destination_name', 'destination_kind', 'routing_key', 'arguments'],
  consumers: ['queue_name', 'consumer_tag', 'ack_required', 'active', 'arguments'],
} as const;
export type Kind = keyof typeof columns;

/** One line per row, sorted; ids masked; the prefetch, which is ours, left out. */
export function comparable(kind: Kind, rows: readonly Row[]): string[] {
  return rows
    .map((row) => JSON.stringify(columns[kind].map((column) => row[column])).replace(/[0-9a-f]{32}/g, '<id>'))
    .sort();
}
/** The entities which are there now, in a form to compare. */
export async function presentEntities(broker: RabbitMq, vhost: string): Promise<Record<Kind, string[]>> {
  const lists = {} as Record<Kind, string[]>;
  for (const kind of Object.keys(columns) as Kind[]) {
    const listed = kind === 'consumers' ? [] : columns[kind];
    lists[kind] = comparable(kind, await broker.list(kind, vhost, listed));
  }
  return lists;
}
