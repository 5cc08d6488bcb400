import type { Db, DialectName, Queryable } from './db.js';
import { createTable } from './ddl.js';
import { ownTables, tableNamed } from './schema.js';

/**
 * Secondary indexes of ours: `table: columns; columns`. 2011.3 has none, and nothing depends on them; they carry a
 * prefix of our own and are not recorded in migrate_version, so that Python's migrations never meet them.
 */
const indexedColumns: Readonly<Record<string, string>> = {
  block_device_mapping: 'instance_id; volume_id',
  compute_nodes: 'service_id',
  consoles: 'instance_id; pool_id',
  fixed_ips: 'address; network_id, instance_id, id; instance_id; virtual_interface_id; host',
  floating_ips: 'address; fixed_ip_id; project_id',
  instance_actions: 'instance_id',
  instance_metadata: 'instance_id',
  instance_type_extra_specs: 'instance_type_id',
  // None of what each step of an instance's life changes: PostgreSQL would write all of them anew for it. And in this order:
  // where two indexes look equally good to it, as they do without statistics, it takes the one which was made later.
  instances: 'uuid; reservation_id; project_id, deleted; deleted, host, vcpus',
  iscsi_targets: 'host, volume_id; volume_id',
  key_pairs: 'user_id, name',
  migrations: 'instance_uuid',
  networks: 'project_id; uuid; host',
  quotas: 'project_id',
  security_group_instance_association: 'instance_id; security_group_id',
  security_group_rules: 'parent_group_id; group_id',
  security_groups: 'project_id, name',
  services: 'host, topic; topic',
  snapshots: 'project_id; volume_id',
  user_project_association: 'project_id',
  users: 'access_key',
  virtual_interfaces: 'instance_id; network_id; uuid',
  volume_metadata: 'volume_id',
  volume_type_extra_specs: 'volume_type_id',
  volumes: 'project_id; host; instance_id',
};

export interface Index {
  readonly name: string;
  readonly table: string;
  readonly columns: readonly string[];
  /** Of which rows it is; of all when absent. */
  readonly where?: string;
}

const everywhere: readonly Index[] = Object.entries(indexedColumns).flatMap(([table, lists]) =>
  lists.split('; ').map((list) => {
    const columns = list.split(', ');
    return { name: indexName(table, columns), table, columns };
  }),
);

/**
 * What has the free addresses of a network in order of their ids. An index on (network_id, instance_id, id) has, but
 * PostgreSQL sorts what it finds there by IS NULL: each claim would read all that is free.
 */
const onPostgresql: Readonly<Record<string, Index>> = {
  [indexName('fixed_ips', ['network_id', 'instance_id', 'id'])]: {
    name: 'ext_ix_fixed_ips_free',
    table: 'fixed_ips',
    columns: ['network_id', 'id'],
    where: 'instance_id IS NULL',
  },
};

/** Our indexes, in the order in which they are made. */
export function ownIndexes(dialect: DialectName): Index[] {
  return everywhere.map((index) => (dialect === 'postgresql' ? (onPostgresql[index.name] ?? index) : index));
}

/** `ext_ix_<table>_<columns>`; shortened where it would be longer than PostgreSQL's 63 characters. */
function indexName(table: string, columns: readonly string[]): string {
  return `ext_ix_${table.replace('security_group_instance_association', 'group_members')}_${columns.join('_')}`;
}

/**
 * Adds the tables and indexes of ours which are not there yet; answers the names of those added. Safe to repeat, and
 * beside running daemons (writers of a table wait while its index is built). Two callers at once: one may fail with a
 * DBError which says that the index exists; a repetition finds nothing to do.
 */
export async function addIndexes(db: Db): Promise<string[]> {
  const tables = await tableNames(db);
  const indexes = await indexNames(db);
  const added: string[] = [];
  for (const table of ownTables) {
    if (tables.has(table.name)) continue;
    for (const statement of createTable(db.dialect, table)) await db.run(statement);
    added.push(table.name);
  }
  for (const index of ownIndexes(db.dialect)) {
    if (indexes.has(index.name) || !tables.has(index.table)) continue;
    await db.run(createIndex(db, index));
    added.push(index.name);
  }
  return added;
}

/** The statement which makes an index of ours. MySQL's keys hold the first 64 characters of a text. */
export function createIndex(db: Queryable, index: Index): string {
  const table = tableNamed(index.table);
  const columns = index.columns.map((name) => {
    const column = table?.columns.find((each) => each.name === name);
    const long = column?.kind === 'text' || (column?.kind === 'string' && column.length > 64);
    return `"${name}"${db.dialect === 'mysql' && long ? '(64)' : ''}`;
  });
  const where = index.where === undefined ? '' : ` WHERE ${index.where}`;
  return `CREATE INDEX "${index.name}" ON "${index.table}" (${columns.join(', ')})${where}`;
}

/** The tables of the database. */
export async function tableNames(db: Queryable): Promise<Set<string>> {
  const queries = {
    sqlite: "SELECT name AS name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'",
    postgresql: 'SELECT tablename AS name FROM pg_tables WHERE schemaname = ANY (current_schemas(false))',
    mysql: 'SELECT table_name AS name FROM information_schema.tables WHERE table_schema = DATABASE()',
  };
  const rows = await db.all<{ name: string }>(queries[db.dialect]);
  return new Set(rows.map((row) => row.name));
}

/**
 * True when the database has the table: one of ours is missing where Python made the database and `nova-manage db
 * index` has not run. Asking is no failing statement, so a transaction may.
 */
export async function hasTable(db: Queryable, name: string): Promise<boolean> {
  const queries = {
    sqlite: "SELECT 1 AS found FROM sqlite_master WHERE type = 'table' AND name = ?",
    postgresql: 'SELECT 1 AS found FROM pg_tables WHERE schemaname = ANY (current_schemas(false)) AND tablename = ?',
    mysql: 'SELECT 1 AS found FROM information_schema.tables WHERE table_schema = DATABASE() AND table_name = ?',
  };
  return (await db.first(queries[db.dialect], [name])) !== undefined;
}

/** The indexes of the database. */
async function indexNames(db: Queryable): Promise<Set<string>> {
  const queries = {
    sqlite: "SELECT name AS name FROM sqlite_master WHERE type = 'index'",
    postgresql: 'SELECT indexname AS name FROM pg_indexes WHERE schemaname = ANY (current_schemas(false))',
    mysql: 'SELECT DISTINCT index_name AS name FROM information_schema.statistics WHERE table_schema = DATABASE()',
  };
  const rows = await db.all<{ name: string }>(queries[db.dialect]);
  return new Set(rows.map((row) => row.name));
}
