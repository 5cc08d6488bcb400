import type { ArgumentValues, ManageEnvironment } from './command.js';
import { shown } from './command.js';

type Cell = string | number | boolean | null | undefined;

/** One column: its heading, the width to which it is padded (negative: not padded), and its key in JSON. */
export interface Column<Row> {
  readonly heading: string;
  readonly width: number;
  readonly key: string;
  value(row: Row): Cell;
}

/**
 * Prints rows under their headings, columns padded with blanks and separated by `separator`; or, with the switch
 * `--json`, one JSON array of objects.
 */
export function printTable<Row>(
  environment: ManageEnvironment,
  values: ArgumentValues,
  columns: readonly Column<Row>[],
  rows: readonly Row[],
  separator = ' ',
): void {
  if (values['json']) {
    const objects = rows.map((row) =>
      Object.fromEntries(columns.map((column) => [column.key, column.value(row) ?? null])),
    );
    environment.print(JSON.stringify(objects, null, 2));
    return;
  }
  const line = (cells: readonly string[]): string =>
    cells.map((cell, index) => cell.padEnd(columns[index]!.width)).join(separator);
  environment.print(line(columns.map((column) => column.heading)));
  for (const row of rows) environment.print(line(columns.map((column) => shown(column.value(row)))));
}
