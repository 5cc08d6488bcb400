import type { DialectName } from './db.js';
import type { Column, Table } from './schema.js';

/**
 * The statements which make one table as the migrations of 2011.3 leave it on each dialect (nova 2011.3,
 * nova/db/sqlalchemy/migrate_repo). Names of constraints are those which the server gives by itself.
 */
export function createTable(dialect: DialectName, table: Table): string[] {
  if (dialect === 'sqlite' && table.name === 'fixed_ips') return [sqliteFixedIps];
  const parts = table.columns.map((column) => columnLine(dialect, table, column));
  const keyName = dialect === 'postgresql' ? `CONSTRAINT "${table.formerName}_pkey" ` : '';
  parts.push(`${keyName}PRIMARY KEY (${names(table.primaryKey)})`);
  for (const key of table.foreignKeys) {
    const name = dialect === 'mysql' && key.table === 'virtual_interfaces' ? `CONSTRAINT "${fixedIpInterface}" ` : '';
    parts.push(`${name}FOREIGN KEY (${names(key.columns)}) REFERENCES "${key.table}" (${names(key.references)})`);
  }
  for (const columns of table.unique) parts.push(`UNIQUE (${names(columns)})`);
  if (dialect !== 'postgresql') {
    for (const column of table.columns) if (isChecked(table, column)) parts.push(`CHECK ("${column.name}" IN (0, 1))`);
  }
  const create = `CREATE TABLE "${table.name}" (\n  ${parts.join(',\n  ')}\n)`;
  if (dialect !== 'postgresql' || table.formerName === table.name) return [create];
  const sequence = `"${table.formerName}_${table.serial}_seq"`;
  return [
    `CREATE SEQUENCE ${sequence} AS integer`,
    create,
    `ALTER SEQUENCE ${sequence} OWNED BY "${table.name}"."${table.serial}"`,
  ];
}

/** The only foreign key which a migration names (030). */
const fixedIpInterface = 'fixed_ips_virtual_interface_id_fkey';

/** Migration 031 writes this table anew on SQLite, in another order and with defaults, without checks. */
const sqliteFixedIps = `CREATE TABLE "fixed_ips" (
  "id" INTEGER NOT NULL,
  "address" VARCHAR(255),
  "virtual_interface_id" INTEGER,
  "network_id" INTEGER,
  "instance_id" INTEGER,
  "allocated" BOOLEAN DEFAULT FALSE,
  "leased" BOOLEAN DEFAULT FALSE,
  "reserved" BOOLEAN DEFAULT FALSE,
  "created_at" DATETIME NOT NULL,
  "updated_at" DATETIME,
  "deleted_at" DATETIME,
  "deleted" BOOLEAN NOT NULL,
  "host" VARCHAR(255),
  PRIMARY KEY ("id"),
  FOREIGN KEY ("virtual_interface_id") REFERENCES "virtual_interfaces" ("id")
)`;

/** Booleans are checked on SQLite and MySQL, except those which came to their table by ALTER or lost the check (031). */
function isChecked(table: Table, column: Column): boolean {
  if (column.kind !== 'boolean' || table.name === 'fixed_ips') return false;
  return !uncheckedColumns.has(`${table.name}.${column.name}`);
}

function columnLine(dialect: DialectName, table: Table, column: Column): string {
  const start = `"${column.name}" ${typeOf(dialect, table, column)}`;
  return column.notNull ? `${start} NOT NULL` : start;
}

function typeOf(dialect: DialectName, table: Table, column: Column): string {
  const types = columnTypes[dialect];
  if (column.kind === 'string') return `VARCHAR(${column.length})`;
  if (column.kind !== 'serial') return types[column.kind];
  if (dialect === 'postgresql' && table.formerName !== table.name) {
    return `INTEGER DEFAULT nextval('${table.formerName}_${column.name}_seq')`;
  }
  return types.serial;
}

const columnTypes = {
  sqlite: { serial: 'INTEGER', integer: 'INTEGER', float: 'FLOAT', boolean: 'BOOLEAN', time: 'DATETIME', text: 'TEXT' },
  postgresql: {
    serial: 'SERIAL',
    integer: 'INTEGER',
    float: 'DOUBLE PRECISION',
    boolean: 'BOOLEAN',
    time: 'TIMESTAMP WITHOUT TIME ZONE',
    text: 'TEXT',
  },
  mysql: {
    serial: 'INTEGER AUTO_INCREMENT',
    integer: 'INTEGER',
    float: 'FLOAT',
    boolean: 'BOOL',
    time: 'DATETIME',
    text: 'TEXT',
  },
} as const;

const uncheckedColumns: ReadonlySet<string> = new Set(['floating_ips.auto_assigned']);

function names(columns: readonly string[]): string {
  return columns.map((column) => `"${column}"`).join(', ');
}
