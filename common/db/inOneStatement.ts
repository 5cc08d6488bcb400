import type { Db, Queryable, Tx } from './db.js';

/** A claim which one statement makes where nobody else wants the same, and more statements where it can't be made so. */
export interface Claim<T> {
  /** Excludes those who want the same until the transaction ends; not asked on SQLite, whose writers take turns. */
  lock(tx: Tx): Promise<void>;
  /**
   * The statement; undefined when it has claimed nothing. On SQLite it runs by itself, elsewhere in the transaction;
   * `skipLocked` makes its subquery go past rows which others hold.
   */
  once(db: Queryable, skipLocked: string): Promise<T | undefined>;
  /** What it comes to then. */
  otherwise(tx: Tx): Promise<T>;
}

/** Makes a claim with as few round trips as the dialect allows. */
export async function inOneStatement<T>(db: Db, claim: Claim<T>): Promise<T> {
  const isAlone = db.dialect === 'sqlite';
  const claimed = isAlone ? await claim.once(db, '') : undefined;
  if (claimed !== undefined) return claimed;
  return db.transaction(async (tx) => {
    if (isAlone) return claim.otherwise(tx);
    await claim.lock(tx);
    return (await claim.once(tx, tx.forUpdateSkipLocked)) ?? claim.otherwise(tx);
  });
}
