import { VolumeTypeExists, VolumeTypeNotFound, VolumeTypeNotFoundByName } from '../errors.js';
import { placeholders, type Db, type Queryable, type Tx } from './db.js';
import type { VolumeTypeRow } from './rows.js';
import { anything, firstWhere, lockWhere, rowsWhere, softDelete } from './where.js';

/** A volume type with what it says beyond its name. */
export interface VolumeType extends VolumeTypeRow {
  readonly extra_specs: Readonly<Record<string, string>>;
}

/**
 * Adds a volume type with its extra specs. Names are unique, those of deleted rows included. Throws VolumeTypeExists, of
 * two racing callers to one.
 */
export async function createVolumeType(
  db: Db,
  name: string,
  extraSpecs: Readonly<Record<string, string>> = {},
): Promise<VolumeType> {
  return db.transaction(async (tx) => {
    await tx.lock('volume-types');
    const taken = await tx.first('SELECT id FROM volume_types WHERE name = ?', [name]);
    if (taken !== undefined) throw new VolumeTypeExists(name, extraSpecs);
    const id = await tx.insert('volume_types', { name });
    const rows = Object.entries(extraSpecs).map(([key, value]) => ({ volume_type_id: id, key, value }));
    if (rows.length > 0) await tx.insertMany('volume_type_extra_specs', rows);
    return getVolumeType(tx, id);
  });
}

/** Volume types by id; deleted ones as well when `deleted` is 'any'. Two queries. */
export async function listVolumeTypes(db: Queryable, options: { deleted?: 'no' | 'any' } = {}): Promise<VolumeType[]> {
  const deleted = options.deleted === 'any' ? anything : false;
  return withSpecs(db, await rowsWhere(db, 'volume_types', { deleted }));
}

/** A volume type by its id; a deleted one too when `deleted` is 'any', for volumes which have it. Throws VolumeTypeNotFound. */
export async function getVolumeType(
  db: Queryable,
  id: number,
  options: { deleted?: 'no' | 'any' } = {},
): Promise<VolumeType> {
  const row = await firstWhere(db, 'volume_types', { id, deleted: options.deleted === 'any' ? anything : false });
  if (row === undefined) throw new VolumeTypeNotFound(id);
  return (await withSpecs(db, [row]))[0]!;
}

/** A live volume type by its name. Throws VolumeTypeNotFoundByName. */
export async function getVolumeTypeByName(db: Queryable, name: string): Promise<VolumeType> {
  const row = await firstWhere(db, 'volume_types', { name, deleted: false });
  if (row === undefined) throw new VolumeTypeNotFoundByName(name);
  return (await withSpecs(db, [row]))[0]!;
}

async function withSpecs(db: Queryable, types: readonly VolumeTypeRow[]): Promise<VolumeType[]> {
  if (types.length === 0) return [];
  const ids = types.map((type) => type.id);
  const rows = await db.all<{ volume_type_id: number; key: string; value: string | null }>(
    'SELECT volume_type_id, "key" AS "key", "value" AS "value" FROM volume_type_extra_specs ' +
      `WHERE volume_type_id IN ${placeholders(ids)} AND deleted = ? AND "key" IS NOT NULL ORDER BY id`,
    [...ids, false],
  );
  return types.map((type) => ({
    ...type,
    extra_specs: Object.fromEntries(
      rows.filter((row) => row.volume_type_id === type.id).map((row) => [row.key, row.value ?? '']),
    ),
  }));
}

/** Marks a volume type deleted; its row stays for the volumes which have it. Throws VolumeTypeNotFoundByName. */
export async function destroyVolumeType(db: Queryable, name: string): Promise<void> {
  const changed = await db.update('volume_types', { deleted: true }, 'name = ? AND deleted = ?', [name, false]);
  if (changed === 0) throw new VolumeTypeNotFoundByName(name);
}

/** Removes a volume type, deleted or not, and its extra specs from the database. Throws VolumeTypeNotFoundByName. */
export async function purgeVolumeType(db: Db, name: string): Promise<void> {
  await db.transaction(async (tx) => {
    const row = await tx.first<{ id: number }>('SELECT id FROM volume_types WHERE name = ?', [name]);
    if (row === undefined) throw new VolumeTypeNotFoundByName(name);
    await tx.run('DELETE FROM volume_type_extra_specs WHERE volume_type_id = ?', [row.id]);
    await tx.run('DELETE FROM volume_types WHERE id = ?', [row.id]);
  });
}

/**
 * Sets extra specs of a live volume type. Racing callers follow each other, so that no key is there twice. Throws
 * VolumeTypeNotFound.
 */
export async function setVolumeTypeSpecs(
  db: Db,
  id: number,
  extraSpecs: Readonly<Record<string, string>>,
): Promise<void> {
  await db.transaction(async (tx) => {
    await lockType(tx, id);
    const rows = await tx.all<{ id: number; key: string; value: string | null }>(
      'SELECT id, "key" AS "key", "value" AS "value" FROM volume_type_extra_specs WHERE volume_type_id = ? AND deleted = ?',
      [id, false],
    );
    for (const [key, value] of Object.entries(extraSpecs)) {
      const known = rows.find((row) => row.key === key);
      if (known === undefined) await tx.insert('volume_type_extra_specs', { volume_type_id: id, key, value });
      else if (known.value !== value) await tx.update('volume_type_extra_specs', { value }, 'id = ?', [known.id]);
    }
  });
}

/** Removes an extra spec (soft). False when there is none of the key. Throws VolumeTypeNotFound. */
export async function deleteVolumeTypeSpec(db: Db, id: number, key: string): Promise<boolean> {
  return db.transaction(async (tx) => {
    await lockType(tx, id);
    return (await softDelete(tx, 'volume_type_extra_specs', { volume_type_id: id, key })) > 0;
  });
}

async function lockType(tx: Tx, id: number): Promise<void> {
  if ((await lockWhere(tx, 'volume_types', { id, deleted: false })) === undefined) throw new VolumeTypeNotFound(id);
}
