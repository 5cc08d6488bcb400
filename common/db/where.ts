import type { Queryable, SqlValue, Tx, Values } from './db.js';
import { placeholders } from './db.js';
import type { Rows, TableName } from './rows.js';

/** In a {@link Wanted}: the column may hold whatever it likes. */
export interface Anything {
  readonly anything: true;
}
export const anything: Anything = { anything: true };

/** What columns of a row are to hold: a value (null is none), one of a list, or {@link anything}. */
export type Wanted<R> = { readonly [K in keyof R]?: R[K] | null | readonly (R[K] | null)[] | Anything };

/** A condition with what its placeholders stand for. */
export interface Condition {
  readonly sql: string;
  readonly params: readonly SqlValue[];
}

/** The condition that every column is as wanted. Nothing is one of an empty list, nor equal to what is undefined. */
export function where<R>(wanted: Wanted<R>): Condition {
  const columns = Object.entries(wanted).filter(([, value]) => value !== anything);
  const byId = columns.some(([column]) => column === 'id');
  const conditions = columns.map(([column, value]) => {
    const condition = oneOf(column, (Array.isArray(value) ? value : [value]) as (SqlValue | undefined)[]);
    return byId && column !== 'id' ? { ...condition, sql: checked(condition.sql) } : condition;
  });
  const sql = conditions.map((condition) => condition.sql).join(' AND ');
  return { sql: sql || '1 = 1', params: conditions.flatMap((condition) => condition.params) };
}

/**
 * A condition for which no index is used: beside `id = ?` it only checks the row which that finds. PostgreSQL takes a table
 * without statistics for empty when its columns are as wide as those of instances, so until there are some (a minute or
 * more) any index looks as good as the primary key: it would read all of the one on `deleted` to find one id.
 */
export function checked(condition: string): string {
  return `(${condition}) IS TRUE`;
}

function oneOf(column: string, list: readonly (SqlValue | undefined)[]): Condition {
  const values = list.filter((value) => value !== null && value !== undefined);
  const alternatives: string[] = [];
  if (values.length > 0) alternatives.push(`"${column}" ${values.length === 1 ? '= ?' : `IN ${placeholders(values)}`}`);
  if (list.includes(null)) alternatives.push(`"${column}" IS NULL`);
  const sql = alternatives.join(' OR ') || '1 = 0';
  return { sql: alternatives.length > 1 ? `(${sql})` : sql, params: values };
}

function asksForNone<R>(wanted: Wanted<R>): boolean {
  return Object.values(wanted).some((value) => Array.isArray(value) && value.length === 0);
}

/** A table whose rows have an id. */
type Table = { [T in TableName]: 'id' extends keyof Rows[T] ? T : never }[TableName];

/** The rows whose columns are as wanted, by ascending id. */
export async function rowsWhere<T extends Table>(db: Queryable, table: T, wanted: Wanted<Rows[T]>): Promise<Rows[T][]> {
  if (asksForNone(wanted)) return [];
  const { sql, params } = where(wanted);
  return db.all<Rows[T]>(`SELECT * FROM ${table} WHERE ${sql} ORDER BY id`, params);
}

/** The first row, by id, whose columns are as wanted; undefined when there is none. */
export async function firstWhere<T extends Table>(
  db: Queryable,
  table: T,
  wanted: Wanted<Rows[T]>,
): Promise<Rows[T] | undefined> {
  return first(db, table, wanted, '');
}

/** As {@link firstWhere}, and whoever changes the row meanwhile waits until the transaction ends. */
export async function lockWhere<T extends Table>(
  tx: Tx,
  table: T,
  wanted: Wanted<Rows[T]>,
): Promise<Rows[T] | undefined> {
  return first(tx, table, wanted, tx.forUpdate);
}

/** The rows whose columns are as wanted, by ascending id; whoever changes one meanwhile waits until the transaction ends. */
export async function lockAllWhere<T extends Table>(tx: Tx, table: T, wanted: Wanted<Rows[T]>): Promise<Rows[T][]> {
  if (asksForNone(wanted)) return [];
  const { sql, params } = where(wanted);
  return tx.all<Rows[T]>(`SELECT * FROM ${table} WHERE ${sql} ORDER BY id${tx.forUpdate}`, params);
}

async function first<T extends Table>(
  db: Queryable,
  table: T,
  wanted: Wanted<Rows[T]>,
  lock: string,
): Promise<Rows[T] | undefined> {
  const { sql, params } = where(wanted);
  return db.first<Rows[T]>(`SELECT * FROM ${table} WHERE ${sql} ORDER BY id LIMIT 1${lock}`, params);
}

/** Writes columns where others are as wanted; false when no row is so. One statement: of racing callers one gets true. */
export async function changeWhere<T extends TableName>(
  db: Queryable,
  table: T,
  values: Values<T>,
  wanted: Wanted<Rows[T]>,
): Promise<boolean> {
  const { sql, params } = where(wanted);
  return (await db.update(table, values, sql, params)) > 0;
}

/** A table whose rows can be deleted softly. */
type SoftTable = { [T in TableName]: 'deleted' extends keyof Rows[T] ? T : never }[TableName];

/**
 * Marks live rows whose columns are as wanted as deleted, and answers how many; updated_at stays as it was, as where
 * nova 2011.3 deletes by a query. A repeated call changes nothing.
 */
export async function softDelete<T extends SoftTable>(
  db: Queryable,
  table: T,
  wanted: Wanted<Rows[T]>,
): Promise<number> {
  if (asksForNone(wanted)) return 0;
  const { sql, params } = where({ ...wanted, deleted: false });
  const gone = { deleted: true, deleted_at: db.now() } as Values<T>;
  return db.update(table, gone, sql, params, { updatedAt: false });
}
