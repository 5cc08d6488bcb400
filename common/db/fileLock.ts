import sqlite3 from 'sqlite3';
import { StartupError } from '../errors.js';

/** A lock on a file, held until it is released or the process dies, however it dies. */
export interface FileLock {
  release(): Promise<void>;
}

/**
 * Takes the lock which the file at `path` stands for; null while another process has it. Of racing processes one gets it:
 * the lock is the exclusive lock of an SQLite database, which the kernel keeps and drops with its process. Throws
 * StartupError when the file cannot be made.
 */
export async function lockFile(path: string): Promise<FileLock | null> {
  const file = await open(path);
  const run = (sql: string): Promise<void> =>
    new Promise((resolve, reject) => file.exec(sql, (error) => (error === null ? resolve() : reject(error))));
  const release = (): Promise<void> => new Promise((resolve) => file.close(() => resolve()));
  try {
    await run('PRAGMA busy_timeout = 0; PRAGMA journal_mode = MEMORY; BEGIN EXCLUSIVE');
    return { release };
  } catch (error) {
    await release();
    if ((error as { code?: string }).code === 'SQLITE_BUSY') return null;
    throw new StartupError(`The lock ${path} cannot be taken: ${(error as Error).message}`);
  }
}

function open(path: string): Promise<sqlite3.Database> {
  return new Promise((resolve, reject) => {
    const file = new sqlite3.Database(path, (error) => {
      if (error === null) resolve(file);
      else reject(new StartupError(`The lock ${path} cannot be made: ${error.message}`));
    });
  });
}
