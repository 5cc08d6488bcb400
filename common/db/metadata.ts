import { placeholders, type Db, type Queryable, type SqlValue } from './db.js';

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

/**
 * Sets pairs of one live instance or volume, and answers how many pairs it then has; null, and nothing written, when it
 * is gone or `fits` refuses that number. Racing callers follow each other (the owner's row is locked), so that no key is
 * there twice and the limit holds.
 */
export async function setMetadata(
  db: Db,
  kind: MetadataKind,
  ownerId: number,
  items: Readonly<Record<string, string>>,
  fits: (count: number) => boolean,
): Promise<{ result: 'done' | 'gone' | 'too many'; count: number }> {
  const { table, owner, column } = metadataTables[kind];
  return db.transaction(async (tx) => {
    const there = await tx.first(`SELECT id FROM ${owner} WHERE id = ? AND deleted = ?${tx.forUpdate}`, [
      ownerId,
      false,
    ]);
    if (there === undefined) return { result: 'gone', count: 0 };
    const rows = await tx.all<{ id: number; key: string; value: string | null }>(
      `SELECT id, "key", "value" FROM ${table} WHERE ${column} = ? AND deleted = ? ORDER BY id`,
      [ownerId, false],
    );
    const wanted = Object.entries(items);
    const known = new Map(rows.map((row) => [row.key, row]));
    const fresh = wanted.filter(([key]) => !known.has(key));
    const count = known.size + fresh.length;
    if (fresh.length > 0 && !fits(count)) return { result: 'too many', count };
    for (const [key, value] of wanted) {
      const row = known.get(key);
      if (row !== undefined && row.value !== value) await tx.update(table, { value }, 'id = ?', [row.id]);
    }
    for (const [key, value] of fresh) {
      const pair = { key, value };
      if (kind === 'instance') await tx.insert('instance_metadata', { instance_id: ownerId, ...pair });
      else await tx.insert('volume_metadata', { volume_id: ownerId, ...pair });
    }
    return { result: 'done', count };
  });
}

/**
 * Removes pairs of one owner (soft): those of these keys, where a value is given only if it is the pair's. Without keys
 * all of them. A repeated call changes nothing.
 */
export async function deleteMetadata(
  db: Queryable,
  kind: MetadataKind,
  ownerId: number,
  pairs: readonly { readonly key: string; readonly value?: string }[],
): Promise<void> {
  const { table, column } = metadataTables[kind];
  const gone = { deleted: true, deleted_at: db.now() };
  const remove = async (where: string, params: readonly SqlValue[]): Promise<void> => {
    await db.update(table, gone, `${column} = ? AND deleted = ?${where}`, [ownerId, false, ...params], {
      updatedAt: false,
    });
  };
  if (pairs.length === 0) return remove('', []);
  const keys = pairs.filter((pair) => pair.value === undefined).map((pair) => pair.key);
  if (keys.length > 0) await remove(` AND "key" IN ${placeholders(keys)}`, keys);
  for (const { key, value } of pairs) {
    if (value !== undefined) await remove(' AND "key" = ? AND "value" = ?', [key, value]);
  }
}
