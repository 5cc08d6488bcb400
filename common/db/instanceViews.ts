import type { DbTime } from '../time.js';
import type { Queryable } from './db.js';
import { inUseFirst } from './fixedIps.js';
import { newestInstanceErrors } from './instanceActions.js';
import type { InstanceRow } from './rows.js';
import { anything, where, type Condition } from './where.js';

/** Which instances to look at. Conditions which are absent don't restrict. */
export interface InstanceFilter {
  readonly projectId?: string;
  readonly ids?: readonly number[];
  readonly reservationId?: string;
  /** Leaves out instances of this image: cloudpipes, which users don't see. */
  readonly hiddenImage?: string;
  /** Also instances which were deleted at or after this time. */
  readonly deletedSince?: DbTime;
}

/** The columns which a view has. A row of sixty columns costs a client of SQLite more than all that is done with it. */
const viewedColumns = [
  'id',
  'created_at',
  'deleted',
  'project_id',
  'image_ref',
  'kernel_id',
  'ramdisk_id',
  'launch_index',
  'key_name',
  'vm_state',
  'task_state',
  'host',
  'hostname',
  'uuid',
  'instance_type_id',
  'display_name',
  'display_description',
  'reservation_id',
  'root_device_name',
  'architecture',
] as const satisfies readonly (keyof InstanceRow)[];

/** What users are shown of an instance's own row. */
export type ViewedInstance = Pick<InstanceRow, (typeof viewedColumns)[number]>;

/** An instance with everything that users are shown of it. */
export interface InstanceView {
  readonly row: ViewedInstance;
  readonly typeName: string | null;
  /** Those in use by ascending id, then those which are given back; each with its floating addresses. */
  readonly fixedIps: readonly { readonly address: string; readonly floating: readonly string[] }[];
  readonly groups: readonly { readonly id: number; readonly name: string }[];
  readonly volumes: readonly MappedVolume[];
  readonly metadata: readonly { readonly key: string; readonly value: string }[];
  /** Availability zone of the instance's host; null without a host, or when no service of it is known. */
  readonly zone: string | null;
  /** Why an instance in `error` is so. */
  readonly errorReason: string | null;
}

/** A view with every column of its row. */
export interface WholeInstanceView extends InstanceView {
  readonly row: InstanceRow;
}

/** A volume which is, or is to be, attached. */
export interface MappedVolume {
  readonly deviceName: string;
  readonly volumeId: number;
  readonly deleteOnTermination: boolean;
  readonly status: string | null;
  readonly attachTime: string | null;
}

/** Parts of a view, the same for all instances, which are known and so needn't be asked for. */
export type KnownParts = Partial<Pick<InstanceView, 'typeName' | 'fixedIps' | 'groups' | 'volumes' | 'metadata'>>;

/**
 * Instances, newest first, with one query per table, however many they are. The queries are separate statements: what
 * changes between them may show up in one part of a view and not in another.
 */
export function viewInstances(db: Queryable, filter: InstanceFilter, known: KnownParts = {}): Promise<InstanceView[]> {
  return viewsOf<ViewedInstance>(db, viewedColumns.join(', '), filter, known);
}

/** As {@link viewInstances}, for a few of them. */
export function viewWholeInstances(db: Queryable, filter: InstanceFilter): Promise<WholeInstanceView[]> {
  return viewsOf<InstanceRow>(db, '*', filter, {});
}

async function viewsOf<R extends ViewedInstance>(
  db: Queryable,
  columns: string,
  filter: InstanceFilter,
  known: KnownParts,
): Promise<(InstanceView & { readonly row: R })[]> {
  if (filter.ids?.length === 0) return [];
  const { sql, params } = condition(filter);
  const rows = await db.all<R>(`SELECT ${columns} FROM instances WHERE ${sql} ORDER BY id DESC`, params);
  if (rows.length === 0) return [];

  const within = { sql: `instance_id IN (SELECT id FROM instances WHERE ${sql})`, params };
  const failed = rows.filter((row) => row.vm_state === 'error' && !row.deleted).map((row) => row.id);
  const [types, addresses, groups, volumes, metadata, zones, reasons] = await Promise.all([
    known.typeName === undefined ? typeNames(db) : none<string | null>(),
    known.fixedIps === undefined ? fixedAddresses(db, within) : none<InstanceView['fixedIps']>(),
    known.groups === undefined ? securityGroups(db, within) : none<InstanceView['groups']>(),
    known.volumes === undefined ? mappedVolumes(db, within) : none<MappedVolume[]>(),
    known.metadata === undefined ? metadataItems(db, within) : none<InstanceView['metadata']>(),
    rows.some((row) => row.host !== null) ? zonesOfHosts(db) : new Map<string, string | null>(),
    newestInstanceErrors(db, failed),
  ]);
  return rows.map((row) => ({
    row,
    typeName: row.instance_type_id === null ? null : (types.get(row.instance_type_id) ?? null),
    fixedIps: addresses.get(row.id) ?? [],
    groups: groups.get(row.id) ?? [],
    volumes: volumes.get(row.id) ?? [],
    metadata: metadata.get(row.id) ?? [],
    zone: row.host === null ? null : (zones.get(row.host) ?? null),
    errorReason: reasons.get(row.id) ?? null,
    ...known,
  }));
}

function none<V>(): ReadonlyMap<number, V> {
  return new Map();
}

function condition(filter: InstanceFilter): Condition {
  const { ids = anything, projectId = anything, reservationId = anything, deletedSince, hiddenImage } = filter;
  const deleted = deletedSince === undefined ? false : anything;
  const wanted = where<InstanceRow>({ deleted, id: ids, project_id: projectId, reservation_id: reservationId });
  const parts = [wanted.sql];
  const params = [...wanted.params];
  if (deletedSince !== undefined) {
    parts.push('(deleted = ? OR deleted_at >= ?)');
    params.push(false, deletedSince);
  }
  if (hiddenImage !== undefined) {
    parts.push('(image_ref IS NULL OR image_ref <> ?)');
    params.push(hiddenImage);
  }
  return { sql: parts.join(' AND '), params };
}

/** Values by a key of their rows (the instance, unless told otherwise), in the order of the rows. */
function gather<R extends { instance_id: number }, V>(rows: readonly R[], value: (row: R) => V): Map<number, V[]>;
function gather<R, V>(rows: readonly R[], value: (row: R) => V, key: (row: R) => number): Map<number, V[]>;
function gather<R, V>(
  rows: readonly R[],
  value: (row: R) => V,
  key: (row: R) => number = (row) => (row as { instance_id: number }).instance_id,
): Map<number, V[]> {
  const gathered = new Map<number, V[]>();
  for (const row of rows) {
    const list = gathered.get(key(row));
    if (list === undefined) gathered.set(key(row), [value(row)]);
    else list.push(value(row));
  }
  return gathered;
}

/** Deleted types too: instances of them live on. */
async function typeNames(db: Queryable): Promise<Map<number, string | null>> {
  const rows = await db.all<{ id: number; name: string | null }>('SELECT id, name FROM instance_types');
  return new Map(rows.map((row) => [row.id, row.name]));
}

async function fixedAddresses(
  db: Queryable,
  within: Condition,
): Promise<Map<number, InstanceView['fixedIps'][number][]>> {
  const [fixed, floating] = await Promise.all([
    db.all<{ id: number; instance_id: number; address: string; allocated: boolean | null }>(
      `SELECT id, instance_id, address, allocated FROM fixed_ips WHERE ${within.sql} AND deleted = ? ORDER BY id`,
      [...within.params, false],
    ),
    db.all<{ fixed_ip_id: number; address: string }>(
      `SELECT fixed_ip_id, address FROM floating_ips WHERE fixed_ip_id IN (SELECT id FROM fixed_ips WHERE ${within.sql}) ` +
        'AND deleted = ? ORDER BY id',
      [...within.params, false],
    ),
  ]);
  const byFixedIp = (row: { fixed_ip_id: number }): number => row.fixed_ip_id;
  const floatingOf = gather(floating, (row) => row.address, byFixedIp);
  return gather(inUseFirst(fixed), (row) => ({ address: row.address, floating: floatingOf.get(row.id) ?? [] }));
}

async function securityGroups(
  db: Queryable,
  within: Condition,
): Promise<Map<number, InstanceView['groups'][number][]>> {
  const rows = await db.all<{ instance_id: number; id: number; name: string }>(
    'SELECT a.instance_id, g.id, g.name FROM security_group_instance_association a ' +
      'JOIN security_groups g ON g.id = a.security_group_id ' +
      `WHERE a.${within.sql} AND a.deleted = ? AND g.deleted = ? ORDER BY a.id`,
    [...within.params, false, false],
  );
  return gather(rows, ({ id, name }) => ({ id, name }));
}

async function mappedVolumes(db: Queryable, within: Condition): Promise<Map<number, MappedVolume[]>> {
  const rows = await db.all<{
    instance_id: number;
    device_name: string;
    volume_id: number;
    delete_on_termination: boolean | null;
    status: string | null;
    attach_time: string | null;
  }>(
    // A volume which is being attached has its row claimed, but no mapping yet.
    'SELECT b.instance_id, b.device_name, b.volume_id, b.delete_on_termination, v.status, v.attach_time, ' +
      '0 AS is_attaching, b.id AS place ' +
      'FROM block_device_mapping b JOIN volumes v ON v.id = b.volume_id ' +
      `WHERE b.${within.sql} AND b.deleted = ? AND (b.no_device IS NULL OR b.no_device = ?) ` +
      'UNION ALL ' +
      "SELECT v.instance_id, v.mountpoint, v.id, NULL, 'attaching', v.attach_time, 1, v.id FROM volumes v " +
      `WHERE v.${within.sql} AND v.deleted = ? AND v.mountpoint IS NOT NULL AND NOT EXISTS ` +
      '(SELECT 1 FROM block_device_mapping m WHERE m.instance_id = v.instance_id AND m.volume_id = v.id AND m.deleted = ?) ' +
      'ORDER BY is_attaching, place',
    [...within.params, false, false, ...within.params, false, false],
  );
  return gather(rows, (row) => ({
    deviceName: row.device_name,
    volumeId: row.volume_id,
    deleteOnTermination: row.delete_on_termination ?? false,
    status: row.status,
    attachTime: row.attach_time,
  }));
}

async function metadataItems(
  db: Queryable,
  within: Condition,
): Promise<Map<number, InstanceView['metadata'][number][]>> {
  const rows = await db.all<{ instance_id: number; key: string; value: string }>(
    `SELECT instance_id, "key", "value" FROM instance_metadata WHERE ${within.sql} AND deleted = ? ` +
      'AND "key" IS NOT NULL AND "value" IS NOT NULL ORDER BY id',
    [...within.params, false],
  );
  return gather(rows, ({ key, value }) => ({ key, value }));
}

/** The zone of a host is that of its first services row. */
async function zonesOfHosts(db: Queryable): Promise<Map<string, string | null>> {
  const rows = await db.all<{ host: string; availability_zone: string | null }>(
    'SELECT host, availability_zone FROM services WHERE deleted = ? AND host IS NOT NULL ORDER BY id DESC',
    [false],
  );
  return new Map(rows.map((row) => [row.host, row.availability_zone]));
}
