import { placeholders, type Db, type Queryable, type SqlValue } from './db.js';
import { lockAllWhere } from './where.js';

/** Tables of free key-value pairs, with the table and column of their owner. */
const metadataTables = {
  instance: { table: 'instance_metadata', owner: 'instances', column: 'instance_id' },
  volume: { table: 'volume_metadata', owner: 'volumes', column: 'volume_id' },
} as const;
export type MetadataKind = keyof typeof metadataTables;

/** One pair of one instance or volume. */
export interface MetadataItem {
  readonly ownerId: number;
  readonly key: string;
  readonly value: string;
}

/** The pairs of all live instances or volumes of a project (of all projects when null), by owner. */
export async function listMetadata(
  db: Queryable,
  kind: MetadataKind,
  projectId: string | null,
): Promise<MetadataItem[]> {
  const { table, owner, column } = metadataTables[kind];
  const project = projectId === null ? '' : ' AND o.project_id = ?';
  const rows = await db.all<{ owner_id: number; key: string; value: string | null }>(
    `SELECT m.${column} AS owner_id, m."key" AS "key", m."value" AS "value" FROM ${table} m ` +
      `JOIN ${owner} o ON o.id = m.${column} WHERE m.deleted = ? AND o.deleted = ?${project} ` +
      `AND m."key" IS NOT NULL ORDER BY m.${column}, m.id`,
    [false, false, ...(projectId === null ? [] : [projectId])],
  );
  return rows.map((row) => ({ ownerId: row.owner_id, key: row.key, value: row.value ?? '' }));
}

/** What became of pairs which were to be set; with `gone` and `too many` nothing was written. */
export type MetadataChange =
  | { result: 'done' }
  | { result: 'gone'; ownerId: number }
  /** This owner would have so many. */
  | { result: 'too many'; ownerId: number; count: number };

/**
 * Sets pairs of live instances or volumes, of all or none: none when one is gone, or would have more than `limit` pairs
 * and gets new ones. Racing callers follow each other (the owners' rows are locked), so that no key is there twice and the
 * limit holds. As many statements for many owners as for one.
 */
export async function setMetadata(
  db: Db,
  kind: MetadataKind,
  ownerIds: readonly number[],
  items: Readonly<Record<string, string>>,
  limit: number,
): Promise<MetadataChange> {
  const { table, owner, column } = metadataTables[kind];
  return db.transaction(async (tx) => {
    const alive = await lockAllWhere(tx, owner, { id: ownerIds, deleted: false });
    const gone = ownerIds.find((id) => !alive.some((row) => row.id === id));
    if (gone !== undefined) return { result: 'gone', ownerId: gone };
    const rows = await tx.all<{ id: number; owner_id: number; key: string; value: string | null }>(
      `SELECT id, ${column} AS owner_id, "key", "value" FROM ${table} ` +
        `WHERE ${column} IN ${placeholders(ownerIds)} AND deleted = ? ORDER BY id`,
      [...ownerIds, false],
    );
    const wanted = Object.entries(items);
    const fresh: { ownerId: number; key: string; value: string }[] = [];
    for (const ownerId of ownerIds) {
      const known = new Set(rows.filter((row) => row.owner_id === ownerId).map((row) => row.key));
      const added = wanted.filter(([key]) => !known.has(key));
      const count = known.size + added.length;
      if (added.length > 0 && count > limit) return { result: 'too many', ownerId, count };
      fresh.push(...added.map(([key, value]) => ({ ownerId, key, value })));
    }
    for (const [key, value] of wanted) {
      const changed = rows.filter((row) => row.key === key && row.value !== value).map((row) => row.id);
      if (changed.length > 0) await tx.update(table, { value }, `id IN ${placeholders(changed)}`, changed);
    }
    const pairs = fresh.map(({ ownerId, key, value }) => ({ [column]: ownerId, key, value }));
    await tx.insertMany(table, pairs);
    return { result: 'done' };
  });
}

/**
 * Removes pairs of these owners (soft): those of these keys, where a value is given only if it is the pair's. Without keys
 * all of them. A repeated call changes nothing.
 */
export async function deleteMetadata(
  db: Queryable,
  kind: MetadataKind,
  ownerIds: readonly number[],
  pairs: readonly { readonly key: string; readonly value?: string }[],
): Promise<void> {
  if (ownerIds.length === 0) return;
  const { table, column } = metadataTables[kind];
  const gone = { deleted: true, deleted_at: db.now() };
  const remove = async (where: string, params: readonly SqlValue[]): Promise<void> => {
    const owned = `${column} IN ${placeholders(ownerIds)} AND deleted = ?${where}`;
    await db.update(table, gone, owned, [...ownerIds, false, ...params], { updatedAt: false });
  };
  if (pairs.length === 0) return remove('', []);
  const keys = pairs.filter((pair) => pair.value === undefined).map((pair) => pair.key);
  if (keys.length > 0) await remove(` AND "key" IN ${placeholders(keys)}`, keys);
  for (const { key, value } of pairs) {
    if (value !== undefined) await remove(' AND "key" = ? AND "value" = ?', [key, value]);
  }
}
