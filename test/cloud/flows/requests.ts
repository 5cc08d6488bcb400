import { expect } from 'chai';
import type { RecordedMessage } from '../../support/rabbitmq.js';
import { recording } from '../deviations.js';
import { conversation, type Sent } from '../messages.js';
import type { RecordedCloud } from '../recordedCloud.js';
import { differences } from '../values.js';
import { answered } from './byHand.js';

/** Rows which a recorded request shall be about, by the names of its arguments. */
type Subjects = Readonly<Record<string, unknown>>;

/** How a recorded request is made to fit a row of ours, and what it must bring about. */
interface Scenario {
  /** Makes the rows as the sender of the request would have left them. */
  prepare(cloud: RecordedCloud): Promise<Subjects>;
  /** A statement about `$1` which becomes true, and what `$1` is. */
  readonly effect?: readonly [sql: string, about: string];
}

async function newInstance(cloud: RecordedCloud, columns: Readonly<Record<string, unknown>>): Promise<number> {
  const row: Record<string, unknown> = {
    created_at: new Date().toISOString(),
    deleted: false,
    user_id: 'akey',
    project_id: 'proj',
    image_ref: '1',
    kernel_id: '',
    ramdisk_id: '',
    launch_index: 0,
    power_state: 0,
    vm_state: 'building',
    task_state: 'scheduling',
    memory_mb: 512,
    vcpus: 1,
    local_gb: 0,
    user_data: '',
    reservation_id: 'r-recorded',
    locked: false,
    instance_type_id: 2,
    config_drive: '',
    hostname: 'recorded',
    display_name: 'recorded',
    ...columns,
  };
  const names = Object.keys(row);
  const places = names.map((_, index) => `$${index + 1}`).join(', ');
  const [made] = await cloud.sql<{ id: number }>(
    `INSERT INTO instances (${names.join(', ')}, uuid) VALUES (${places}, md5(random()::text)) RETURNING id`,
    Object.values(row),
  );
  return made!.id;
}

/** A running instance of cloud1 whose task the API has just set. */
async function running(cloud: RecordedCloud, task: string | null): Promise<Subjects> {
  const [id] = await cloud.sql<{ id: number }>(
    `SELECT id FROM instances WHERE deleted = false AND vm_state = 'active' AND task_state IS NULL AND host = 'cloud1'
      ORDER BY id DESC`,
  );
  if (task !== null) await cloud.sql('UPDATE instances SET task_state = $2 WHERE id = $1', [id!.id, task]);
  return { instance_id: id!.id };
}

async function newVolume(cloud: RecordedCloud, columns: Readonly<Record<string, unknown>> = {}): Promise<number> {
  const row = { status: 'creating', host: null, snapshot_id: null, ...columns };
  const [made] = await cloud.sql<{ id: number }>(
    `INSERT INTO volumes (created_at, deleted, user_id, project_id, size, availability_zone, attach_status, status, host,
       snapshot_id) VALUES (now(), false, 'akey', 'proj', 1, 'nova', 'detached', $1, $2, $3) RETURNING id`,
    [row.status, row.host, row.snapshot_id],
  );
  return made!.id;
}

/** A volume which nova-volume has made. */
async function madeVolume(cloud: RecordedCloud): Promise<number> {
  const volume = await newVolume(cloud);
  await cloud.publish(requestFor('volume create_volume', { volume_id: volume, snapshot_id: null }));
  await cloud.untilTrue(`SELECT status = 'available' FROM volumes WHERE id = $1`, [volume]);
  return volume;
}

async function newSnapshot(cloud: RecordedCloud, status: string): Promise<Subjects> {
  const volume = await madeVolume(cloud);
  const [made] = await cloud.sql<{ id: number }>(
    `INSERT INTO snapshots (created_at, deleted, user_id, project_id, volume_id, status, progress, volume_size)
       VALUES (now(), false, 'akey', 'proj', $1, $2, '0%', 1) RETURNING id`,
    [volume, status],
  );
  return { volume_id: volume, snapshot_id: made!.id };
}

/** A free address of the pool as the project's, on a fixed one where it shall be. */
async function floating(cloud: RecordedCloud, on: 'nothing' | 'fixed'): Promise<Subjects> {
  const [fixed] = await cloud.sql<{ id: number; address: string }>(
    `SELECT x.id, x.address FROM fixed_ips x JOIN instances i ON i.id = x.instance_id
      WHERE i.deleted = false AND i.project_id = 'proj' AND x.allocated ORDER BY x.id`,
  );
  const [row] = await cloud.sql<{ address: string }>(
    `UPDATE floating_ips SET project_id = 'proj', fixed_ip_id = $1, host = $2
      WHERE id = (SELECT max(id) FROM floating_ips WHERE deleted = false AND fixed_ip_id IS NULL) RETURNING address`,
    on === 'fixed' ? [fixed!.id, 'cloud1'] : [null, null],
  );
  return { floating_address: row!.address, fixed_address: fixed!.address };
}

/** An address which an instance has. */
async function allocated(cloud: RecordedCloud, leased: boolean): Promise<Subjects> {
  const [row] = await cloud.sql<{ address: string }>(
    `UPDATE fixed_ips SET leased = $1 WHERE id =
       (SELECT max(id) FROM fixed_ips WHERE allocated AND instance_id IS NOT NULL) RETURNING address`,
    [leased],
  );
  return { address: row!.address };
}

const isActive: Scenario['effect'] = [
  `SELECT vm_state = 'active' AND task_state IS NULL FROM instances WHERE id = $1`,
  'instance_id',
];
const holdsAddress = 'FROM fixed_ips WHERE instance_id = $1';
const volumeIs = (status: string): Scenario['effect'] => [
  `SELECT status = '${status}' FROM volumes WHERE id = $1`,
  'volume_id',
];
const snapshotIs = (status: string): Scenario['effect'] => [
  `SELECT status = '${status}' FROM snapshots WHERE id = $1`,
  'snapshot_id',
];
const snapshotGone: Scenario['effect'] = ['SELECT deleted FROM snapshots WHERE id = $1', 'snapshot_id'];

/** By topic and method. The order is that in which the requests are published. */
export const scenarios: Readonly<Record<string, Scenario>> = {
  'scheduler update_service_capabilities': { prepare: async () => ({}) },
  'scheduler run_instance': {
    prepare: async (cloud) => ({ instance_id: await newInstance(cloud, {}) }),
    effect: isActive,
  },
  'compute run_instance': {
    prepare: async (cloud) => ({ instance_id: await newInstance(cloud, { host: 'cloud1' }) }),
    effect: isActive,
  },
  'network allocate_for_instance': {
    prepare: async (cloud) => ({ instance_id: await newInstance(cloud, { task_state: 'networking' }) }),
    effect: [`SELECT count(*) > 0 AND bool_and(allocated) ${holdsAddress}`, 'instance_id'],
  },
  'network deallocate_for_instance': {
    async prepare(cloud) {
      const [row] = await cloud.sql<{ instance_id: number }>(
        `SELECT x.instance_id FROM fixed_ips x JOIN instances i ON i.id = x.instance_id
          WHERE i.task_state = 'networking' AND i.hostname = 'recorded'`,
      );
      // a nova-compute asks for it when it ends the instance
      await cloud.sql(`UPDATE instances SET task_state = 'deleting' WHERE id = ${row!.instance_id}`);
      return { instance_id: row!.instance_id };
    },
    effect: [`SELECT count(*) = 0 ${holdsAddress}`, 'instance_id'],
  },
  'network get_instance_nw_info': { prepare: (cloud) => running(cloud, null) },
  'network set_network_host': { prepare: async () => ({ id: 1 }) },
  'network allocate_floating_ip': {
    async prepare(cloud) {
      await cloud.sql('UPDATE floating_ips SET project_id = NULL WHERE fixed_ip_id IS NULL');
      return {};
    },
  },
  'network associate_floating_ip': {
    prepare: (cloud) => floating(cloud, 'nothing'),
    effect: ['SELECT fixed_ip_id IS NOT NULL FROM floating_ips WHERE address = $1', 'floating_address'],
  },
  'network disassociate_floating_ip': {
    prepare: (cloud) => floating(cloud, 'fixed'),
    effect: ['SELECT fixed_ip_id IS NULL FROM floating_ips WHERE address = $1', 'floating_address'],
  },
  'network deallocate_floating_ip': {
    prepare: (cloud) => floating(cloud, 'nothing'),
    effect: ['SELECT project_id IS NULL FROM floating_ips WHERE address = $1', 'floating_address'],
  },
  'compute get_console_output': { prepare: (cloud) => running(cloud, null) },
  'compute get_ajax_console': { prepare: (cloud) => running(cloud, null) },
  'compute get_vnc_console': { prepare: (cloud) => running(cloud, null) },
  'compute refresh_provider_fw_rules': { prepare: async () => ({}) },
  'network lease_fixed_ip': {
    prepare: (cloud) => allocated(cloud, false),
    effect: ['SELECT leased FROM fixed_ips WHERE address = $1', 'address'],
  },
  'network release_fixed_ip': {
    prepare: (cloud) => allocated(cloud, true),
    effect: ['SELECT NOT leased FROM fixed_ips WHERE address = $1', 'address'],
  },
  'compute update_available_resource': { prepare: async () => ({}) },
  'compute refresh_security_group_rules': { prepare: async () => ({ security_group_id: 1 }) },
  'compute refresh_security_group_members': { prepare: async () => ({ security_group_id: 1 }) },
  'compute reboot_instance': { prepare: (cloud) => running(cloud, 'rebooting'), effect: isActive },
  'compute attach_volume': {
    async prepare(cloud) {
      return { ...(await running(cloud, null)), volume_id: await madeVolume(cloud) };
    },
    effect: volumeIs('in-use'),
  },
  'compute detach_volume': {
    async prepare(cloud) {
      const [row] = await cloud.sql<{ id: number; instance_id: number }>(
        `SELECT id, instance_id FROM volumes WHERE deleted = false AND status = 'in-use' ORDER BY id DESC`,
      );
      return { volume_id: row!.id, instance_id: row!.instance_id };
    },
    effect: volumeIs('available'),
  },
  'compute stop_instance': {
    prepare: (cloud) => running(cloud, 'stopping'),
    effect: [`SELECT vm_state = 'stopped' AND task_state IS NULL FROM instances WHERE id = $1`, 'instance_id'],
  },
  'scheduler start_instance': { prepare: (cloud) => stopped(cloud), effect: isActive },
  'compute start_instance': {
    async prepare(cloud) {
      const subjects = await running(cloud, 'stopping');
      await cloud.publish(requestFor('compute stop_instance', subjects));
      await cloud.untilTrue(`SELECT vm_state = 'stopped' FROM instances WHERE id = $1`, [subjects['instance_id']]);
      return stopped(cloud);
    },
    effect: isActive,
  },
  'compute terminate_instance': {
    prepare: (cloud) => running(cloud, 'deleting'),
    effect: ['SELECT deleted FROM instances WHERE id = $1', 'instance_id'],
  },
  'scheduler create_volume': {
    prepare: async (cloud) => ({ volume_id: await newVolume(cloud), snapshot_id: null }),
    effect: volumeIs('available'),
  },
  'volume create_volume': {
    prepare: async (cloud) => ({ volume_id: await newVolume(cloud), snapshot_id: null }),
    effect: volumeIs('available'),
  },
  'scheduler create_snapshot': { prepare: (cloud) => newSnapshot(cloud, 'creating'), effect: snapshotIs('available') },
  'volume create_snapshot': { prepare: (cloud) => newSnapshot(cloud, 'creating'), effect: snapshotIs('available') },
  'scheduler delete_snapshot': { prepare: (cloud) => newSnapshot(cloud, 'deleting'), effect: snapshotGone },
  'volume delete_snapshot': { prepare: (cloud) => newSnapshot(cloud, 'deleting'), effect: snapshotGone },
  'volume delete_volume': {
    prepare: async (cloud) => ({ volume_id: await newVolume(cloud, { status: 'deleting', host: 'cloud1' }) }),
    effect: ['SELECT deleted FROM volumes WHERE id = $1', 'volume_id'],
  },
  'scheduler show_host_resources': { prepare: async () => ({}) },
};

async function stopped(cloud: RecordedCloud): Promise<Subjects> {
  const [row] = await cloud.sql<{ id: number }>(
    `UPDATE instances SET task_state = 'starting' WHERE id =
       (SELECT max(id) FROM instances WHERE vm_state = 'stopped' AND deleted = false) RETURNING id`,
  );
  return { instance_id: row!.id };
}

const topicOf = ({ name }: Sent): string => name.replace(/^(\w+?)(_fanout|\.\S+)? /, '$1 ');

/** Proxies of consoles, which are no daemons of ours. */
const isToProxy = (sent: Sent): boolean => /^(vncproxy|ajax_proxy) /.test(topicOf(sent));

/** Every request of the given flows, once per topic, method and form of its arguments. */
export function recordedRequests(flows: readonly string[]): Map<string, Sent[]> {
  const result = new Map<string, Sent[]>();
  const seen = new Set<string>();
  for (const flow of flows) {
    for (const sent of conversation(recording<RecordedMessage[]>(`amqp/flows/${flow}.json`) ?? [])) {
      if (sent.kind === 'notification' || sent.kind === 'other' || isToProxy(sent)) continue;
      const { args } = sent.message.body as { args?: Record<string, unknown> };
      const types = Object.entries(args ?? {}).map(
        ([name, value]) => `${name}: ${value === null ? 'null' : typeof value}`,
      );
      const form = `${sent.kind} ${topicOf(sent)} ${types.sort().join(', ')}`;
      if (seen.has(form)) continue;
      seen.add(form);
      result.set(topicOf(sent), [...(result.get(topicOf(sent)) ?? []), sent]);
    }
  }
  return result;
}

/** The first recorded request of a topic and method, about other rows. */
function requestFor(key: string, subjects: Subjects): Parameters<RecordedCloud['publish']>[0] {
  return about(recordedRequests(['volume_create', 'stop_instances']).get(key)![0]!, subjects);
}

/** The text of a recorded request with other rows' ids in it; nothing else of it changes. */
function about({ message }: Sent, subjects: Subjects): Parameters<RecordedCloud['publish']>[0] {
  let text = message.body_raw;
  for (const [name, value] of Object.entries(subjects)) {
    text = text.replace(new RegExp(`"${name}": (\\d+|null|"[^"]*")`), `"${name}": ${JSON.stringify(value)}`);
  }
  const { routing_key, exchange, properties } = message;
  return { routing_key: routing_key.replace('cloud2', 'cloud1'), exchange, properties, text };
}

/** Publishes a recorded request by hand; it must be answered as recorded, and bring about what it asks for. */
export async function expectAccepted(cloud: RecordedCloud, request: Sent): Promise<void> {
  const scenario = scenarios[topicOf(request)];
  if (scenario === undefined) throw new Error(`There is no scenario for ${topicOf(request)}`);
  const subjects = await scenario.prepare(cloud);
  const replies = await cloud.publish(about(request, subjects), answered);
  if (request.kind === 'call') {
    const bodies = replies as { failure: unknown; result: unknown }[];
    expect(bodies.map(({ failure }) => failure)).to.deep.equal([null, null]);
    expect(bodies[1]!.result).to.equal(null);
    const original = (request.replies[0]!.body as { result: unknown }).result;
    const kinds = differences('result', bodies[0]!.result, original).filter(
      ({ ours, original: theirs }) => ours[0] !== theirs[0],
    );
    // of a list of networks, those which both have
    expect(kinds.filter(({ what }) => /\[0\]\[[01]\]\./.test(what) && !/bridge|vlan|dns/.test(what))).to.deep.equal([]);
  }
  if (scenario.effect !== undefined) {
    const [sql, name] = scenario.effect;
    await cloud.untilTrue(sql, [subjects[name]]);
  }
}
