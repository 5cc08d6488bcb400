import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import sqlite3 from 'sqlite3';

/** The statements of one RunInstances, after the quotas are read and before the machine runs. */
const statements = { transactions: 1, writesInTransaction: 4, otherWrites: 8, reads: 20 };
/** Columns of a row; instances have sixty, most other tables ten. */
const columns = 30;

type Run = (...values: unknown[]) => Promise<unknown>;

/**
 * How many instances a second the sqlite3 package alone would take through their statements: prepared ones, a connection
 * for reads and one for writes, eight clients, and nothing done with what is read.
 */
export async function rawInstancesPerSecond(count: number): Promise<number> {
  const folder = mkdtempSync(join(tmpdir(), 'nova-bench-'));
  const path = join(folder, 'raw.sqlite');
  const [writer, reader] = [await open(path), await open(path)];
  try {
    const names = Array.from({ length: columns }, (_, index) => `c${index}`);
    await execute(
      writer,
      `CREATE TABLE rows (id INTEGER PRIMARY KEY, ${names.map((name) => `${name} TEXT`).join(', ')})`,
    );
    const insert = prepared(
      writer,
      `INSERT INTO rows (${names.join(', ')}) VALUES (${names.map(() => '?').join(', ')})`,
    );
    const update = prepared(writer, 'UPDATE rows SET c1 = ?, c2 = ? WHERE id = ? AND c3 = ?');
    const read = prepared(reader, 'SELECT * FROM rows WHERE id = ? AND c3 = ?');
    const [begin, commit] = [prepared(writer, 'BEGIN IMMEDIATE'), prepared(writer, 'COMMIT')];
    const inTurn = turns();
    const one = async (id: number): Promise<void> => {
      for (let each = 0; each < statements.transactions; each += 1) {
        await inTurn(async () => {
          await begin();
          await insert(...names.map((name) => `${name} of a row`));
          for (let write = 1; write < statements.writesInTransaction; write += 1) await update('a', 'b', id, 'c');
          await commit();
        });
      }
      for (let write = 0; write < statements.otherWrites; write += 1) await inTurn(() => update('a', 'b', id, 'c'));
      for (let asked = 0; asked < statements.reads; asked += 1) await read(id, 'c3 of a row');
    };
    let next = 0;
    const startedAt = performance.now();
    const client = async (): Promise<void> => {
      while (next < count) await one(++next);
    };
    await Promise.all(Array.from({ length: 8 }, client));
    return count / ((performance.now() - startedAt) / 1000);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

async function open(path: string): Promise<sqlite3.Database> {
  const database = await new Promise<sqlite3.Database>((resolve, reject) => {
    const made = new sqlite3.Database(path, (error) => (error === null ? resolve(made) : reject(error)));
  });
  await execute(database, 'PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL');
  return database;
}

function execute(database: sqlite3.Database, sql: string): Promise<void> {
  return new Promise((resolve, reject) => {
    database.exec(sql, (error) => (error === null ? resolve() : reject(error)));
  });
}

function prepared(database: sqlite3.Database, sql: string): Run {
  const statement = database.prepare(sql);
  return (...values) =>
    new Promise((resolve, reject) => {
      statement.all(values, (error, rows) => (error === null ? resolve(rows) : reject(error)));
    });
}

/** One piece of work after the other. */
function turns(): (work: () => Promise<unknown>) => Promise<unknown> {
  let last: Promise<unknown> = Promise.resolve();
  return (work) => (last = last.then(work));
}
