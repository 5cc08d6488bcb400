import { StartupError } from '../errors.js';
import { placeholders, type Db, type Queryable, type Tx } from './db.js';
import { createTable } from './ddl.js';
import { createIndex, ownIndexes, tableNames } from './indexes.js';
import { migrateRepository, novaTables, ownTables, schemaVersionNumber, seededInstanceTypes } from './schema.js';

/** What `migrate_version.repository_path` says; no program checks it. */
const repositoryPath = 'nova/db/sqlalchemy/migrate_repo';

/** What the database holds. */
type Found =
  | { kind: 'empty' }
  /** Tables of Nova's without a version: a failed migration, or something else. */
  | { kind: 'unversioned'; tables: readonly string[] }
  | { kind: 'versioned'; version: number | null };

/**
 * The version in `migrate_version`, 0 for an empty database, null when there are tables but no version. Writes
 * nothing (2011.3's own command would).
 */
export async function schemaVersion(db: Queryable): Promise<number | null> {
  const found = await look(db);
  if (found.kind === 'empty') return 0;
  return found.kind === 'versioned' ? found.version : null;
}

/** Throws StartupError, one sentence which says what to do, unless the schema is the one of this release. */
export async function requireSchema(db: Queryable): Promise<void> {
  const refusal = refusalOf(await look(db));
  if (refusal !== null) throw new StartupError(refusal);
}

/**
 * Makes tables, indexes, flavors and version in an empty database; changes nothing at version 46. Throws StartupError,
 * having written nothing, for any other database. Two callers at once: one makes the schema, the other waits or fails
 * without harm. On MySQL, whose CREATE TABLE can't be taken back, a run which fails drops what it made, and
 * the remains of one which was killed are recognized by a table of ours and dropped.
 */
export async function syncDatabase(db: Db, options: { version?: number } = {}): Promise<void> {
  const wanted = options.version ?? schemaVersionNumber;
  if (wanted !== schemaVersionNumber) {
    throw new StartupError(
      `this release knows schema version ${schemaVersionNumber} only; for version ${wanted} use the nova-manage of Nova 2011.3`,
    );
  }
  if (db.dialect === 'mysql') return syncMysql(db);
  await db.transaction(async (tx) => {
    await tx.lock('db sync');
    const found = await look(tx);
    if (found.kind === 'empty') await fill(tx);
    else refuse(found);
  });
}

async function syncMysql(db: Db): Promise<void> {
  try {
    await db.transaction(async (tx) => {
      await tx.lock('db sync');
      await dropUnfinished(tx);
      const found = await look(tx);
      if (found.kind !== 'empty') return refuse(found);
      await tx.run(`CREATE TABLE "${unfinished}" ("id" INTEGER)`);
      await fill(tx);
      await tx.run(`DROP TABLE "${unfinished}"`);
    });
  } catch (error) {
    // Should this fail too, the next run does it.
    await db.transaction((tx) => dropUnfinished(tx)).catch(() => undefined);
    throw error;
  }
}

/** Stands in a MySQL database while the schema is being made. */
const unfinished = 'ext_unfinished_sync';

async function dropUnfinished(tx: Tx): Promise<void> {
  await tx.lock('db sync');
  const there = await tableNames(tx);
  if (!there.has(unfinished)) return;
  await tx.run('SET FOREIGN_KEY_CHECKS = 0');
  const ours = [...ownTables, ...novaTables].map((table) => table.name);
  for (const name of [...ours, 'migrate_version', unfinished]) {
    if (there.has(name)) await tx.run(`DROP TABLE "${name}"`);
  }
  await tx.run('SET FOREIGN_KEY_CHECKS = 1');
}

async function fill(db: Queryable): Promise<void> {
  const there = await tableNames(db);
  for (const table of [...novaTables, ...ownTables]) {
    if (there.has(table.name)) continue; // an empty migrate_version, or an ext_ table
    for (const statement of createTable(db.dialect, table)) await db.run(statement);
  }
  for (const index of ownIndexes(db.dialect)) await db.run(createIndex(db, index));
  for (const type of seededInstanceTypes) {
    // Without created_at, as the migrations leave them. PostgreSQL's sequence must count the ids, so it gives them.
    const given = Object.entries(type).filter(([name]) => name !== 'id' || db.dialect !== 'postgresql');
    const names = given.map(([name]) => `"${name}"`).join(', ');
    await db.run(
      `INSERT INTO "instance_types" (${names}) VALUES ${placeholders(given)}`,
      given.map(([, value]) => value),
    );
  }
  await db.run('DELETE FROM "migrate_version" WHERE "repository_id" = ?', [migrateRepository]);
  await db.run('INSERT INTO "migrate_version" ("repository_id", "repository_path", "version") VALUES (?, ?, ?)', [
    migrateRepository,
    repositoryPath,
    schemaVersionNumber,
  ]);
}

async function look(db: Queryable): Promise<Found> {
  const tables = await tableNames(db);
  const known = new Set(novaTables.map((table) => table.name));
  const present = [...tables].filter((name) => known.has(name) && name !== 'migrate_version').sort();
  if (tables.has('migrate_version')) {
    const row = await db.first<{ version: number | null }>(
      'SELECT "version" FROM "migrate_version" WHERE "repository_id" = ?',
      [migrateRepository],
    );
    // Python's `db version` leaves version 0 in a database which it finds empty.
    if (row !== undefined && !(row.version === 0 && present.length === 0)) {
      return { kind: 'versioned', version: row.version };
    }
  }
  return present.length === 0 ? { kind: 'empty' } : { kind: 'unversioned', tables: present };
}

function refuse(found: Found): void {
  const refusal = found.kind === 'empty' ? null : refusalOf(found);
  if (refusal !== null) throw new StartupError(refusal);
}

function refusalOf(found: Found): string | null {
  if (found.kind === 'empty') return 'the database is empty: run `nova-manage db sync` once, then start again';
  if (found.kind === 'unversioned') {
    return `the database has tables of Nova's (${found.tables.slice(0, 3).join(', ')} …) but no schema version: it is not one which \`db sync\` finished; restore a backup or give --sql_connection an empty database`;
  }
  const { version } = found;
  if (version === schemaVersionNumber) return null;
  if (version !== null && version < schemaVersionNumber) {
    return `the database is at schema version ${version}, this release needs ${schemaVersionNumber}: run \`nova-manage db sync\` of Nova 2011.3 (Python) first, it upgrades in place`;
  }
  return `the database is at schema version ${version}, this release needs ${schemaVersionNumber}: it belongs to a later Nova; restore the backup from before its upgrade or give --sql_connection another database`;
}
