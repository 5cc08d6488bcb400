import { HostBinaryNotFound } from '../errors.js';
import { parseTime } from '../time.js';
import { placeholders, type Db, type Queryable } from './db.js';
import type { ServiceRow } from './rows.js';
import { firstWhere, rowsWhere } from './where.js';

/** The zone of hosts of which nobody said anything else (flag node_availability_zone). */
const defaultZone = 'nova';

/** What a daemon says of itself when its row doesn't exist yet. */
export interface NewService {
  host: string;
  /** `nova-compute`, … */
  binary: string;
  /** The binary without `nova-`. */
  topic: string;
  availabilityZone: string;
  disabled: boolean;
}

/** The row of one daemon, disabled or not; undefined when it never ran. The first one where a foreign writer made two. */
export async function findService(db: Queryable, host: string, binary: string): Promise<ServiceRow | undefined> {
  return firstWhere(db, 'services', { host, binary, deleted: false });
}

/** The row of one daemon. Throws HostBinaryNotFound. */
export async function getService(db: Queryable, host: string, binary: string): Promise<ServiceRow> {
  const service = await findService(db, host, binary);
  if (service === undefined) throw new HostBinaryNotFound(host, binary);
  return service;
}

/**
 * Finds or makes the row of a daemon and answers it. A row which exists keeps its count and `disabled`, which belong to
 * the operator, and its zone unless the daemon is given one: `nova`, the default, is none (2011.3 never changed the zone of
 * a row). Racing callers of the same host and binary get the same row.
 */
export async function registerService(db: Db, service: NewService): Promise<ServiceRow> {
  return db.transaction(async (tx) => {
    await tx.lock(`service:${service.host}:${service.binary}`);
    const known = await findService(tx, service.host, service.binary);
    if (known !== undefined) {
      const { availabilityZone: zone } = service;
      if (zone === defaultZone || zone === known.availability_zone) return known;
      await tx.update('services', { availability_zone: zone }, 'id = ?', [known.id], { updatedAt: false });
      return { ...known, availability_zone: zone };
    }
    await tx.insert('services', {
      host: service.host,
      binary: service.binary,
      topic: service.topic,
      report_count: 0,
      disabled: service.disabled,
      availability_zone: service.availabilityZone,
    });
    return getService(tx, service.host, service.binary);
  });
}

/**
 * One heartbeat: adds one to report_count and sets updated_at, which is what liveness is judged by. False when the row
 * has gone (the caller registers anew). Racing heartbeats are all counted.
 */
export async function heartbeat(db: Queryable, id: number): Promise<boolean> {
  const matched = await db.run(
    'UPDATE services SET report_count = report_count + 1, updated_at = ? WHERE id = ? AND deleted = ?',
    [db.now(), id, false],
  );
  return matched > 0;
}

/** Services of a topic which may be given work: not disabled. Ordered by id; whether they are up is the caller's to ask. */
export async function listServicesByTopic(db: Queryable, topic: string): Promise<ServiceRow[]> {
  return rowsWhere(db, 'services', { topic, deleted: false, disabled: false });
}

/** Every service, disabled ones too, by id. */
export async function listServices(db: Queryable): Promise<ServiceRow[]> {
  return rowsWhere(db, 'services', { deleted: false });
}

/** Takes a service out of scheduling, or puts it back. Throws HostBinaryNotFound. */
export async function setServiceDisabled(db: Db, host: string, binary: string, disabled: boolean): Promise<void> {
  await db.transaction(async (tx) => {
    const service = await getService(tx, host, binary);
    if (service.disabled !== disabled) await tx.update('services', { disabled }, 'id = ?', [service.id]);
  });
}

/**
 * Whether a service has given a sign of life within `downSeconds` (flag service_down_time). A row without a heartbeat
 * is judged by its creation (nova 2011.3, nova/scheduler/driver.py service_is_up).
 */
export function serviceIsUp(
  service: Pick<ServiceRow, 'updated_at' | 'created_at'>,
  nowMs: number,
  downSeconds: number,
): boolean {
  return nowMs - lastSeenAt(service) < downSeconds * 1000;
}

/** When a service gave its last sign of life, in milliseconds since the epoch; NaN when its row has no time. */
export function lastSeenAt(service: Pick<ServiceRow, 'updated_at' | 'created_at'>): number {
  const seen = service.updated_at ?? service.created_at;
  return seen === null ? NaN : parseTime(seen);
}

/** A service and how much its host carries. */
export interface LoadedService extends ServiceRow {
  /** Virtual CPUs of the host's instances, or gigabytes of its volumes. */
  load: number;
}

/**
 * Services of `compute` which are not disabled, the least loaded first: the sum of the virtual CPUs of all instances
 * which are not deleted, in whatever state (nova 2011.3, service_get_all_compute_sorted). Empty hosts count 0.
 */
export async function listComputeByCores(db: Queryable, topic: string): Promise<LoadedService[]> {
  return listByLoad(db, topic, 'SUM(vcpus) AS load_sum FROM instances');
}

/** Services of `volume` which are not disabled, the one with the fewest gigabytes of volumes first. */
export async function listVolumeByGigabytes(db: Queryable, topic: string): Promise<LoadedService[]> {
  return listByLoad(db, topic, 'SUM(size) AS load_sum FROM volumes');
}

/** Services of `network` which are not disabled, the one which serves the fewest networks first. */
export async function listNetworkByNetworks(db: Queryable, topic: string): Promise<LoadedService[]> {
  return listByLoad(db, topic, 'COUNT(*) AS load_sum FROM networks');
}

/** So many hosts are looked up one by one in an index; of more the whole table is summed up in one pass. */
const fewHosts = 50;

async function listByLoad(db: Queryable, topic: string, sum: string): Promise<LoadedService[]> {
  const services = await listServicesByTopic(db, topic);
  const hosts = [...new Set(services.flatMap(({ host }) => (host === null ? [] : [host])))];
  if (hosts.length === 0) return services.map((service) => ({ ...service, load: 0 }));
  const few = hosts.length <= fewHosts;
  const which = few ? ` AND host IN ${placeholders(hosts)}` : '';
  const sums = await db.all<{ host: string | null; load_sum: number | string | null }>(
    `SELECT host, ${sum} WHERE deleted = ?${which} GROUP BY host`,
    [false, ...(few ? hosts : [])],
  );
  const loads = new Map(sums.map(({ host, load_sum: load }) => [host, Number(load)]));
  return services
    .map((service) => ({ ...service, load: loads.get(service.host) ?? 0 }))
    .sort((one, other) => one.load - other.load || one.id - other.id);
}
