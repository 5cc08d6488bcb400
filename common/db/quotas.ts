import { QuotaError } from '../errors.js';
import type { Flags } from '../flags/flags.js';
import type { Queryable, Tx } from './db.js';

/**
 * What a project may have only so much of: the values of `quotas.resource` (nova 2011.3, nova/quota.py). The last three
 * are those of later releases; 2011.3 has no limit for them, and passes over their rows.
 */
export const quotaResources = [
  'instances',
  'cores',
  'ram',
  'volumes',
  'gigabytes',
  'floating_ips',
  'metadata_items',
  'injected_files',
  'injected_file_content_bytes',
  'security_groups',
  'security_group_rules',
  'key_pairs',
] as const;
export type QuotaResource = (typeof quotaResources)[number];

/** A number for each resource; Infinity is no limit. */
export type QuotaLimits = Readonly<Record<QuotaResource, number>>;

/** What holds for a project without rows of its own: the quota_* flags, -1 (any negative) being no limit. */
function defaultLimits(flags: Flags): QuotaLimits {
  const limit = (value: number): number => (value < 0 ? Infinity : value);
  return {
    instances: limit(flags.quota_instances),
    cores: limit(flags.quota_cores),
    ram: limit(flags.quota_ram),
    volumes: limit(flags.quota_volumes),
    gigabytes: limit(flags.quota_gigabytes),
    floating_ips: limit(flags.quota_floating_ips),
    metadata_items: limit(flags.quota_metadata_items),
    injected_files: limit(flags.quota_max_injected_files),
    injected_file_content_bytes: limit(flags.quota_max_injected_file_content_bytes),
    security_groups: limit(flags.quota_security_groups),
    security_group_rules: limit(flags.quota_security_group_rules),
    key_pairs: limit(flags.quota_key_pairs),
  };
}

/**
 * The limits of a project: its rows in `quotas` where it has them (NULL and negative are no limit; the newest of
 * several), else the flags.
 */
export async function projectLimits(db: Queryable, flags: Flags, projectId: string): Promise<QuotaLimits> {
  const rows = await db.all<{ resource: string; hard_limit: number | null }>(
    'SELECT resource, hard_limit FROM quotas WHERE project_id = ? AND deleted = ? ORDER BY id',
    [projectId, false],
  );
  const limits: Record<string, number> = { ...defaultLimits(flags) };
  for (const { resource, hard_limit: limit } of rows) {
    if (Object.hasOwn(limits, resource)) limits[resource] = limit === null || limit < 0 ? Infinity : limit;
  }
  return limits as QuotaLimits;
}

/**
 * Sets a project's own limit; null is no limit. Racing callers leave one row with the value of one of them.
 */
export async function setQuota(
  tx: Tx,
  projectId: string,
  resource: QuotaResource,
  limit: number | null,
): Promise<void> {
  await lockQuota(tx, projectId);
  const where = 'project_id = ? AND resource = ? AND deleted = ?';
  const changed = await tx.update('quotas', { hard_limit: limit }, where, [projectId, resource, false]);
  if (changed === 0) await tx.insert('quotas', { project_id: projectId, resource, hard_limit: limit });
}

/**
 * Waits until this transaction is the only one which counts or adds a project's resources. Taken before counting and
 * held until the new rows are committed, it makes a limit hold whoever races.
 */
export async function lockQuota(tx: Tx, projectId: string): Promise<void> {
  await tx.lock(`quota:${projectId}`);
}

/** What the instances of a project use. Deleted ones don't count, ones in error do. */
export async function usedByInstances(
  db: Queryable,
  projectId: string,
): Promise<{ instances: number; cores: number; ram: number }> {
  const row = await db.first<{ instances: number; cores: number | null; ram: number | null }>(
    'SELECT COUNT(id) AS instances, SUM(vcpus) AS cores, SUM(memory_mb) AS ram FROM instances ' +
      'WHERE project_id = ? AND deleted = ?',
    [projectId, false],
  );
  return { instances: row?.instances ?? 0, cores: row?.cores ?? 0, ram: row?.ram ?? 0 };
}

/** What the volumes of a project use. */
export async function usedByVolumes(db: Queryable, projectId: string): Promise<{ volumes: number; gigabytes: number }> {
  const row = await db.first<{ volumes: number; gigabytes: number | null }>(
    'SELECT COUNT(id) AS volumes, SUM(size) AS gigabytes FROM volumes WHERE project_id = ? AND deleted = ?',
    [projectId, false],
  );
  return { volumes: row?.volumes ?? 0, gigabytes: row?.gigabytes ?? 0 };
}

/** How many floating addresses a project holds; those which instances got by themselves don't count. */
export async function usedFloatingIps(db: Queryable, projectId: string): Promise<number> {
  const row = await db.first<{ used: number }>(
    'SELECT COUNT(id) AS used FROM floating_ips WHERE project_id = ? AND auto_assigned = ? AND deleted = ?',
    [projectId, false, false],
  );
  return row?.used ?? 0;
}

/**
 * Throws QuotaError (code AddressLimitExceeded) when the project can't have another floating address. Takes the quota
 * lock: called in the transaction which then takes the address.
 */
export async function checkFloatingIps(tx: Tx, flags: Flags, projectId: string): Promise<void> {
  await lockQuota(tx, projectId);
  const limit = (await projectLimits(tx, flags, projectId)).floating_ips;
  if (limit - (await usedFloatingIps(tx, projectId)) < 1) {
    throw new QuotaError('Address quota exceeded. You cannot allocate any more addresses', 'AddressLimitExceeded');
  }
}

/** Whether nothing limits a project's instances: then nobody has to wait, and nothing is counted. */
export async function hasUnlimitedInstances(db: Queryable, flags: Flags, projectId: string): Promise<boolean> {
  const unlimited = ({ instances, cores, ram }: QuotaLimits): boolean => Math.min(instances, cores, ram) === Infinity;
  return unlimited(defaultLimits(flags)) && unlimited(await projectLimits(db, flags, projectId));
}

/**
 * How many of `wanted` instances of a type a project can have now. Takes the quota lock: called in the transaction
 * which then inserts them.
 */
export async function allowedInstances(
  tx: Tx,
  flags: Flags,
  projectId: string,
  wanted: number,
  type: { vcpus: number; memory_mb: number },
): Promise<number> {
  await lockQuota(tx, projectId);
  const limits = await projectLimits(tx, flags, projectId);
  const used = await usedByInstances(tx, projectId);
  const cores = type.vcpus > 0 ? Math.floor((limits.cores - used.cores) / type.vcpus) : Infinity;
  const ram = type.memory_mb > 0 ? Math.floor((limits.ram - used.ram) / type.memory_mb) : Infinity;
  return Math.max(0, Math.min(wanted, limits.instances - used.instances, cores, ram));
}

/**
 * Throws QuotaError (InstanceLimitExceeded) when the project of an instance can't have it in the size of another type.
 * Takes the quota lock: what is written in the same transaction holds whoever races.
 */
export async function requireGrowth(
  tx: Tx,
  flags: Flags,
  instance: { project_id: string | null; vcpus: number | null; memory_mb: number | null },
  type: { vcpus: number; memory_mb: number },
): Promise<void> {
  const projectId = instance.project_id ?? '';
  await lockQuota(tx, projectId);
  const limits = await projectLimits(tx, flags, projectId);
  const used = await usedByInstances(tx, projectId);
  const cores = type.vcpus - (instance.vcpus ?? 0);
  const ram = type.memory_mb - (instance.memory_mb ?? 0);
  if ((cores > 0 && used.cores + cores > limits.cores) || (ram > 0 && used.ram + ram > limits.ram)) {
    throw new QuotaError(
      'Instance quota exceeded. The project cannot have the instance in this size.',
      'InstanceLimitExceeded',
    );
  }
}

/**
 * Throws QuotaError when the project can't have another volume of this size. Takes the quota lock: called in the
 * transaction which then inserts it.
 */
export async function checkVolumeQuota(tx: Tx, flags: Flags, projectId: string, sizeGb: number): Promise<void> {
  await lockQuota(tx, projectId);
  const limits = await projectLimits(tx, flags, projectId);
  const used = await usedByVolumes(tx, projectId);
  if (limits.volumes - used.volumes < 1 || limits.gigabytes - used.gigabytes < sizeGb) {
    throw new QuotaError(`Volume quota exceeded. You cannot create a volume of size ${sizeGb}G`);
  }
}
