import { booleanColumns } from '../schema.js';

/** 0 and 1 of boolean columns as false and true, in place. The columns are looked up once per result. */
export function nativeBooleans(rows: Record<string, unknown>[]): Record<string, unknown>[] {
  const first = rows[0];
  if (first === undefined) return rows;
  const names = Object.keys(first).filter((name) => booleanColumns.has(name));
  if (names.length === 0) return rows;
  for (const row of rows) {
    for (const name of names) {
      const value = row[name];
      if (typeof value === 'number') row[name] = value !== 0;
    }
  }
  return rows;
}
