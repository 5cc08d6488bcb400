import { dbTime } from '../time.js';
import type { Runtime } from '../runtime/runtime.js';
import type { DialectName, Queryable, SqlValue, Values } from './db.js';
import type { Dialect, Result } from './dialects/dialect.js';
import type { TableName } from './rows.js';
import { tableNamed, type Column, type Table } from './schema.js';

/** How a statement is to be sent. */
export interface Sending {
  /** Rows are wanted. */
  rows: boolean;
  /** Only reads: may go to a connection which doesn't take turns with writers. */
  reads: boolean;
}

const fractionalTime = /^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{1,6}$/;

/** Builds the statements of {@link Queryable}; a database and a transaction differ in how they send them. */
export abstract class Statements implements Queryable {
  constructor(
    protected readonly runtime: Runtime,
    protected readonly sql: Dialect,
  ) {}

  get dialect(): DialectName {
    return this.sql.name;
  }

  protected abstract send(sql: string, values: readonly SqlValue[], how: Sending): Promise<Result>;

  async all<R>(sql: string, params: readonly SqlValue[] = []): Promise<R[]> {
    return (await this.#query(sql, params)).rows as R[];
  }

  async first<R>(sql: string, params: readonly SqlValue[] = []): Promise<R | undefined> {
    return (await this.#query(sql, params)).rows[0] as R | undefined;
  }

  #query(sql: string, params: readonly SqlValue[]): Promise<Result> {
    const reads = /^\s*(?:SELECT|WITH|VALUES|SHOW|PRAGMA|EXPLAIN)\b/i.test(sql);
    return this.send(sql, this.#freeValues(params), { rows: true, reads });
  }

  async run(sql: string, params: readonly SqlValue[] = []): Promise<number> {
    const { affected } = await this.send(sql, this.#freeValues(params), { rows: false, reads: false });
    return affected;
  }

  async insert<T extends TableName>(name: T, values: Values<T>): Promise<number> {
    const table = knownTable(name);
    const filled = this.#filled(table, values);
    const columns = Object.keys(filled);
    const asksForId = this.sql.returning && table.serial !== null;
    const text = `${insertHead(table, columns)} ${rowOf(columns)}${asksForId ? ` RETURNING "${table.serial}" AS id` : ''}`;
    const result = await this.send(text, Object.values(filled), { rows: asksForId, reads: false });
    if (table.serial === null) return 0;
    const given = filled[table.serial];
    return asksForId ? Number(result.rows[0]?.['id']) : typeof given === 'number' ? given : result.insertId;
  }

  async insertMany<T extends TableName>(name: T, rows: readonly Values<T>[]): Promise<void> {
    const table = knownTable(name);
    const filled = rows.map((row) => this.#filled(table, row));
    const columns = [...new Set(filled.flatMap((row) => Object.keys(row)))];
    const size = this.rowsPerInsert(columns.length);
    for (let start = 0; start < filled.length; start += size) {
      const chunk = filled.slice(start, start + size);
      const text = `${insertHead(table, columns)} ${chunk.map(() => rowOf(columns)).join(', ')}`;
      const values = chunk.flatMap((row) => columns.map((column) => row[column] ?? null));
      await this.send(text, values, { rows: false, reads: false });
    }
  }

  /** How many rows of so many columns one INSERT takes. */
  protected rowsPerInsert(columns: number): number {
    return Math.max(1, Math.min(500, Math.floor(this.sql.maxValues / Math.max(1, columns))));
  }

  async update<T extends TableName>(
    name: T,
    values: Values<T>,
    where: string,
    params: readonly SqlValue[] = [],
    options: { updatedAt?: boolean } = {},
  ): Promise<number> {
    const table = knownTable(name);
    const given = this.#columnValues(table, values);
    if (table.softDeleted && options.updatedAt !== false && !('updated_at' in given)) given['updated_at'] = this.now();
    const columns = Object.keys(given);
    if (columns.length === 0) throw new TypeError(`update of ${name} without a column`);
    const assignments = columns.map((column) => `"${column}" = ?`).join(', ');
    const text = `UPDATE "${name}" SET ${assignments} WHERE ${where}`;
    const all = [...Object.values(given), ...this.#freeValues(params)];
    const { affected } = await this.send(text, all, { rows: false, reads: false });
    return affected;
  }

  now(): string {
    const now = dbTime(this.runtime.clock.now());
    return this.sql.storesFractions ? now : now.slice(0, 19);
  }

  /** Created now and alive, unless told otherwise. */
  #filled(table: Table, values: object): Record<string, SqlValue> {
    const given = this.#columnValues(table, values);
    if (columnsOf(table).has('created_at') && !('created_at' in given)) given['created_at'] = this.now();
    if (table.softDeleted && !('deleted' in given)) given['deleted'] = false;
    return given;
  }

  /** The given columns; absent ones stay absent. Fractions of seconds are cut where the column would round them. */
  #columnValues(table: Table, values: object): Record<string, SqlValue> {
    const result: Record<string, SqlValue> = {};
    for (const [name, value] of Object.entries(values) as [string, SqlValue | undefined][]) {
      if (value === undefined) continue;
      const column = columnsOf(table).get(name);
      if (column === undefined) throw new TypeError(`${table.name} has no column ${name}`);
      const cut = column.kind === 'time' && !this.sql.storesFractions && typeof value === 'string';
      result[name] = cut ? value.slice(0, 19) : value;
    }
    return result;
  }

  /** Values of a hand-written statement: which of them are times shows only in their form. */
  #freeValues(params: readonly SqlValue[]): readonly SqlValue[] {
    if (this.sql.storesFractions) return params;
    return params.map((value) =>
      typeof value === 'string' && fractionalTime.test(value) ? value.slice(0, 19) : value,
    );
  }
}

function knownTable(name: string): Table {
  const table = tableNamed(name);
  if (table === undefined) throw new TypeError(`no table ${name}`);
  return table;
}

const columnsByTable = new Map<Table, ReadonlyMap<string, Column>>();

/** A table's columns by their names. */
function columnsOf(table: Table): ReadonlyMap<string, Column> {
  let columns = columnsByTable.get(table);
  if (columns === undefined) {
    columns = new Map(table.columns.map((column) => [column.name, column]));
    columnsByTable.set(table, columns);
  }
  return columns;
}

function insertHead(table: Table, columns: readonly string[]): string {
  return `INSERT INTO "${table.name}" (${columns.map((column) => `"${column}"`).join(', ')}) VALUES`;
}

function rowOf(columns: readonly string[]): string {
  return `(${columns.map(() => '?').join(', ')})`;
}

/** SQLite would take a missing value for NULL: a statement and its values which don't fit are a mistake of ours. */
export function checkCount(sql: string, placeholders: number, values: number): void {
  if (placeholders !== values) throw new TypeError(`${placeholders} placeholders, ${values} values: ${sql}`);
}
