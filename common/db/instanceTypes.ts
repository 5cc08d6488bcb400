import { InstanceTypeExists, InstanceTypeNotFound, InstanceTypeNotFoundByName } from '../errors.js';
import type { Db, Queryable } from './db.js';
import type { InstanceTypeRow } from './rows.js';
import { firstWhere } from './where.js';

/**
 * An instance type (flavor) by its primary key, which is `instances.instance_type_id`. Deleted ones are found as well,
 * since instances of them live on. Throws InstanceTypeNotFound.
 */
export async function getInstanceType(db: Queryable, id: number): Promise<InstanceTypeRow> {
  const row = await firstWhere(db, 'instance_types', { id });
  if (row === undefined) throw new InstanceTypeNotFound(id);
  return row;
}

/** A live instance type by its name. Throws InstanceTypeNotFoundByName. */
export async function getInstanceTypeByName(db: Queryable, name: string): Promise<InstanceTypeRow> {
  const row = await firstWhere(db, 'instance_types', { name, deleted: false });
  if (row === undefined) throw new InstanceTypeNotFoundByName(name);
  return row;
}

/**
 * A live instance type by its name, with its extra specifications by key, in one statement. Throws
 * InstanceTypeNotFoundByName.
 */
export async function getInstanceTypeWithSpecs(
  db: Queryable,
  name: string,
): Promise<{ type: InstanceTypeRow; extraSpecs: Record<string, string | null> }> {
  const rows = await db.all<InstanceTypeRow & { spec_key: string | null; spec_value: string | null }>(
    'SELECT t.*, e."key" AS spec_key, e."value" AS spec_value FROM instance_types t ' +
      'LEFT JOIN instance_type_extra_specs e ON e.instance_type_id = t.id AND e.deleted = ? ' +
      'WHERE t.name = ? AND t.deleted = ? ORDER BY t.id, e.id',
    [false, name, false],
  );
  const [first] = rows;
  if (first === undefined) throw new InstanceTypeNotFoundByName(name);
  const specs = rows.flatMap(({ id, spec_key: key, spec_value: value }) =>
    id === first.id && key !== null ? [[key, value] as const] : [],
  );
  const { spec_key, spec_value, ...type } = first;
  return { type, extraSpecs: Object.fromEntries(specs) };
}

/** Instance types by flavorid; deleted ones as well when `deleted` is 'any'. */
export async function listInstanceTypes(
  db: Queryable,
  options: { deleted?: 'no' | 'any' } = {},
): Promise<InstanceTypeRow[]> {
  return options.deleted === 'any'
    ? db.all<InstanceTypeRow>('SELECT * FROM instance_types ORDER BY flavorid, id')
    : db.all<InstanceTypeRow>('SELECT * FROM instance_types WHERE deleted = ? ORDER BY flavorid, id', [false]);
}

/** The extra specifications of one instance type by key. */
export async function extraSpecsOf(db: Queryable, instanceTypeId: number): Promise<Record<string, string | null>> {
  const rows = await db.all<{ key: string; value: string | null }>(
    'SELECT "key", "value" FROM instance_type_extra_specs ' +
      'WHERE instance_type_id = ? AND deleted = ? AND "key" IS NOT NULL ORDER BY id',
    [instanceTypeId, false],
  );
  return Object.fromEntries(rows.map((row) => [row.key, row.value]));
}

/** Columns of a new instance type; sizes in MB, GB and MB/s as the columns are. */
export type NewInstanceType = Pick<
  InstanceTypeRow,
  'memory_mb' | 'vcpus' | 'local_gb' | 'flavorid' | 'swap' | 'rxtx_quota' | 'rxtx_cap'
> & { name: string };

/**
 * Adds an instance type. Name and flavorid are unique, those of deleted rows included. Throws InstanceTypeExists, of two
 * racing callers to one.
 */
export async function createInstanceType(db: Db, type: NewInstanceType): Promise<number> {
  return db.transaction(async (tx) => {
    await tx.lock('instance-types');
    const taken = await tx.first('SELECT id FROM instance_types WHERE name = ? OR flavorid = ? LIMIT 1', [
      type.name,
      type.flavorid,
    ]);
    if (taken !== undefined) throw new InstanceTypeExists(type.name);
    return tx.insert('instance_types', type);
  });
}

/** Marks an instance type deleted; its row stays for the instances which have it. Throws InstanceTypeNotFoundByName. */
export async function destroyInstanceType(db: Queryable, name: string): Promise<void> {
  const changed = await db.update('instance_types', { deleted: true }, 'name = ? AND deleted = ?', [name, false]);
  if (changed === 0) throw new InstanceTypeNotFoundByName(name);
}

/** Removes an instance type, deleted or not, and its extra specs from the database. Throws InstanceTypeNotFoundByName. */
export async function purgeInstanceType(db: Db, name: string): Promise<void> {
  await db.transaction(async (tx) => {
    const row = await tx.first<{ id: number }>('SELECT id FROM instance_types WHERE name = ?', [name]);
    if (row === undefined) throw new InstanceTypeNotFoundByName(name);
    await tx.run('DELETE FROM instance_type_extra_specs WHERE instance_type_id = ?', [row.id]);
    await tx.run('DELETE FROM instance_types WHERE id = ?', [row.id]);
  });
}
