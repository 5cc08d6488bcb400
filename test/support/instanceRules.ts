import { readFileSync } from 'node:fs';
import type { LaunchWish } from '../../common/cloud/launch.js';
import { findInstance } from '../../common/db/instances.js';
import type { InstanceRow } from '../../common/db/rows.js';
import type { Published, RulesCloud } from './cloudRules.js';
import { recordings } from './recordings.js';

interface Write {
  op: string;
  table: string;
  set: Record<string, unknown>;
}
interface Recorded {
  routing_key: string;
  body: Record<string, unknown> & { args: Record<string, unknown> };
}

function recording<T>(path: string): T {
  return JSON.parse(readFileSync(new URL(path, recordings), 'utf8')) as T;
}
/** The messages of a recorded flow. */
export function recordedMessages(flow: string): Recorded[] {
  return recording<Recorded[]>(`amqp/flows/${flow}.json`);
}
/** The first of them with this routing key. */
export function recordedMessage(flow: string, routingKey: string): Recorded['body'] {
  return recordedMessages(flow).find((message) => message.routing_key === routingKey)!.body;
}
/** What nova-api of the original wrote of one table: the writes before the first one of another daemon. */
export function recordedRow(flow: string, table: string, writes: number): Record<string, unknown> {
  const rows = recording<Write[]>(`db/writes/${flow}.json`)
    .filter((write) => write.table === table)
    .slice(0, writes);
  return Object.assign({}, ...rows.map((write) => write.set)) as Record<string, unknown>;
}

/** Columns which differ from run to run. */
export const varying = ['created_at', 'updated_at', 'deleted_at', 'reservation_id', 'uuid', 'key_data', 'launch_time'];
/** An object without what differs from run to run. */
export function comparable(object: object, without: readonly string[] = varying): Record<string, unknown> {
  return Object.fromEntries(Object.entries(object).filter(([key]) => !without.includes(key)));
}

/** What nova-api of the original would have answered to. */
export async function code(work: Promise<unknown>): Promise<string> {
  try {
    await work;
    return 'done';
  } catch (error) {
    return (error as { code?: string }).code ?? (error as Error).name;
  }
}

/** The wish for one small instance. */
export const one: LaunchWish = { image: 'ami-00000001', instanceType: 'm1.tiny', securityGroups: [], blockDevices: [] };

/** Launches one instance for the project demo, and answers its id. */
export async function runOne(rules: RulesCloud, wish: Partial<LaunchWish> = {}): Promise<number> {
  const { instances } = await rules.cloud.instances.run(rules.context(), { ...one, ...wish });
  return instances[0]!.row.id;
}

/** An instance's row, also of a deleted one. */
export function instanceRow(rules: RulesCloud, id: number): Promise<InstanceRow | undefined> {
  return findInstance(rules.db, id, { deleted: 'any' });
}

/** The messages of a method which were sent. */
export function sent(rules: RulesCloud, method: string): Published[] {
  return rules.published.filter((message) => message.method === method);
}
