import type { Db, Queryable, Tx } from './db.js';

/**
 * A claim which one statement makes where nobody else wants the same, and more statements where it can't be made so. It
 * may be made twice: the second time it finds, or makes again, what the first one did.
 */
export interface Claim<T> {
  /** Excludes those who want the same until the transaction ends. */
  lock(tx: Tx): Promise<void>;
  /**
   * The statement; undefined when it has claimed nothing. `skipLocked` makes its subquery go past rows which others hold.
   */
  once(db: Queryable, skipLocked: string): Promise<T | undefined>;
  /** What it comes to then. */
  otherwise(tx: Tx): Promise<T>;
}

/** Makes a claim with as few round trips as the dialect allows. */
export async function inOneStatement<T>(db: Db, claim: Claim<T>): Promise<T> {
  const claimed = await inOneGo(db, claim);
  if (claimed !== undefined) return claimed;
  return db.transaction(async (tx) => {
    await claim.lock(tx);
    const late = db.dialect === 'mysql' ? await claim.once(tx, tx.forUpdateSkipLocked) : undefined;
    return late ?? claim.otherwise(tx);
  });
}

/** On SQLite, whose writers take turns, the statement alone; on PostgreSQL lock, statement and commit in one packet. */
async function inOneGo<T>(db: Db, claim: Claim<T>): Promise<T | undefined> {
  if (db.dialect === 'sqlite') return claim.once(db, '');
  if (db.dialect === 'mysql') return undefined;
  return db.transaction(async (tx) => {
    await claim.lock(tx);
    return tx.ending(() => claim.once(tx, tx.forUpdateSkipLocked));
  });
}
