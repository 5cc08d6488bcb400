import { dbTime, parseTime } from '../time.js';
import type { Db, SqlValue } from './db.js';
import { hasTable } from './indexes.js';
import { tokenLifeMs } from './clientTokens.js';
import { novaTables, tableNamed, type Table } from './schema.js';

export interface PurgeOptions {
  /** Rows which were deleted longer ago than this go. */
  olderThanDays: number;
  /** Only these tables; all when absent. */
  tables?: readonly string[];
  /** Most rows of one statement, 500 when absent: writers of the table wait for one batch at a time. */
  batch?: number;
}

/** A table's columns which hold the key of a row of another table. */
interface Reference {
  readonly child: string;
  readonly columns: readonly string[];
  readonly parent: string;
  readonly parentColumns: readonly string[];
}

const dayMs = 86_400_000;

/** References which 2011.3 keeps by value, without a foreign key: such a row still needs the one it names. */
const byValue: readonly Reference[] = [
  ['instances', 'instance_type_id', 'instance_types'],
  ['migrations', 'old_instance_type_id', 'instance_types'],
  ['migrations', 'new_instance_type_id', 'instance_types'],
  ['virtual_storage_arrays', 'instance_type_id', 'instance_types'],
  ['volumes', 'volume_type_id', 'volume_types'],
  ['snapshots', 'volume_id', 'volumes'],
  ['compute_nodes', 'service_id', 'services'],
].map(([child, column, parent]) => ({
  child: child!,
  columns: [column!],
  parent: parent!,
  parentColumns: ['id'],
}));

const references: readonly Reference[] = [
  ...novaTables.flatMap((table) =>
    table.foreignKeys.map((key) => ({
      child: table.name,
      columns: key.columns,
      parent: key.table,
      parentColumns: key.references,
    })),
  ),
  ...byValue,
];

/** Rows which are a part of another one and go with it, whether they were marked deleted or not. */
const parts: readonly Reference[] = references.filter(
  (reference) =>
    ['instance_actions', 'instance_metadata', 'volume_metadata'].includes(reference.child) ||
    ['instance_type_extra_specs', 'volume_type_extra_specs'].includes(reference.child) ||
    (reference.child === 'security_group_instance_association' && reference.parent === 'instances') ||
    (reference.child === 'block_device_mapping' && reference.parent === 'instances') ||
    (reference.child === 'security_group_rules' && reference.columns[0] === 'parent_group_id'),
);

/**
 * Removes for good what was soft-deleted long ago, and EC2 client tokens which expired as long ago; children before the rows they belong to, and answers how many rows
 * of which table (tables without any are left out). A row which something still refers to stays, and so does the one
 * with a table's highest id: SQLite, and MySQL when restarted, would give that id a second time. Each batch is one
 * statement which repeats its conditions, so that it is safe beside running daemons and may be stopped and repeated.
 */
export async function purgeDeleted(db: Db, options: PurgeOptions): Promise<Record<string, number>> {
  const before = dbTime(parseTime(db.now()) - options.olderThanDays * dayMs);
  const batch = Math.max(1, Math.floor(options.batch ?? 500));
  const counts: Record<string, number> = {};
  for (const table of [...novaTables].reverse()) {
    if (!table.softDeleted || (options.tables && !options.tables.includes(table.name))) continue;
    const count = await purgeTable(db, table, before, batch);
    if (count > 0) counts[table.name] = count;
  }
  if (options.tables === undefined || options.tables.includes('ext_client_tokens')) {
    const count = await purgeTokens(db, before, batch);
    if (count > 0) counts['ext_client_tokens'] = count;
  }
  return counts;
}

/** Client tokens which were forgotten (not marked deleted: nobody does that) before that time. */
async function purgeTokens(db: Db, before: string, batch: number): Promise<number> {
  if (!(await hasTable(db, 'ext_client_tokens'))) return 0;
  const made = dbTime(parseTime(before) - tokenLifeMs);
  for (let count = 0; ;) {
    const rows = await db.all<{ id: number }>(
      'SELECT id FROM ext_client_tokens WHERE created_at < ? ORDER BY id LIMIT ?',
      [made, batch],
    );
    if (rows.length === 0) return count;
    count += await db.run(
      `DELETE FROM ext_client_tokens WHERE id IN (${rows.map(() => '?').join(', ')})`,
      rows.map(({ id }) => id),
    );
  }
}

async function purgeTable(db: Db, table: Table, before: string, batch: number): Promise<number> {
  const { sql, values } = goes(table, before);
  const keys = table.primaryKey.map((column) => `"${column}"`).join(', ');
  const keyOfOne = `(${table.primaryKey.map((column) => `"${column}" = ?`).join(' AND ')})`;
  let count = 0;
  for (;;) {
    const rows = await db.all<Record<string, SqlValue>>(
      `SELECT ${keys} FROM "${table.name}" WHERE ${sql} ORDER BY ${keys} LIMIT ?`,
      [...values, batch],
    );
    if (rows.length === 0) return count;
    const these = rows.map(() => keyOfOne).join(' OR ');
    const removed = await db.run(`DELETE FROM "${table.name}" WHERE (${these}) AND ${stillGoes(table)}`, [
      ...rows.flatMap((row) => table.primaryKey.map((column) => row[column] ?? null)),
      ...stillValues(table, before),
    ]);
    count += removed;
    if (rows.length < batch || removed === 0) return count;
  }
}

/** The condition of a row which goes. */
function goes(table: Table, before: string): { sql: string; values: SqlValue[] } {
  const conditions = [stillGoes(table)];
  const values = stillValues(table, before);
  if (table.serial !== null) {
    conditions.push(`"${table.serial}" < (SELECT MAX(newest."${table.serial}") FROM "${table.name}" newest)`);
  }
  for (const reference of references) {
    if (reference.parent !== table.name) continue;
    const child = reference.child === table.name ? null : tableNamed(reference.child);
    if (!child) continue;
    conditions.push(`NOT EXISTS (SELECT 1 FROM "${child.name}" child WHERE ${joined(reference, 'child', table.name)})`);
  }
  return { sql: conditions.join(' AND '), values };
}

/** The part of the condition which a DELETE repeats (MySQL's can't look at its own table a second time). */
function stillGoes(table: Table): string {
  const own = `("${table.name}"."deleted" = ? AND "${table.name}"."deleted_at" < ?)`;
  const owners = parts
    .filter((part) => part.child === table.name)
    .map(
      (part) =>
        `EXISTS (SELECT 1 FROM "${part.parent}" parent WHERE ${joined(part, table.name, 'parent')}` +
        ` AND parent."deleted" = ? AND parent."deleted_at" < ?)`,
    );
  return owners.length === 0 ? own : `(${[own, ...owners].join(' OR ')})`;
}

function stillValues(table: Table, before: string): SqlValue[] {
  const owners = parts.filter((part) => part.child === table.name).length;
  return Array.from({ length: 1 + owners }, () => [true, before]).flat();
}

/** `child.column = parent.column AND …` with the names which the two have in the statement. */
function joined(reference: Reference, child: string, parent: string): string {
  return reference.columns
    .map((column, index) => `"${child}"."${column}" = "${parent}"."${reference.parentColumns[index]}"`)
    .join(' AND ');
}
