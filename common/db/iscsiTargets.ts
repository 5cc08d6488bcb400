import { NoMoreTargets } from '../errors.js';
import type { Db, Queryable, Tx } from './db.js';
import type { IscsiTargetRow } from './rows.js';
import { firstWhere, rowsWhere } from './where.js';

/** The target number which a volume has on a host; undefined when it has none. */
export async function findTarget(db: Queryable, volumeId: number, host: string): Promise<number | undefined> {
  const row = await firstWhere(db, 'iscsi_targets', { volume_id: volumeId, host, deleted: false });
  return row?.target_num ?? undefined;
}

/**
 * Gives a volume a target number of its host's pool, which holds 1 to `poolSize` (flag iscsi_num_targets); one that it
 * has already is answered again. Numbers which the pool lacks are added first, in one statement, so that a raised flag
 * never makes a number twice. Throws NoMoreTargets. Racing volumes get different numbers: ours wait for each other, and
 * the row is taken by a conditional UPDATE, which also excludes a Python peer.
 */
export async function allocateTarget(db: Db, volumeId: number, host: string, poolSize: number): Promise<number> {
  return db.transaction(async (tx) => {
    await tx.lock(`iscsi:${host}`);
    const known = await findTarget(tx, volumeId, host);
    if (known !== undefined) return known;
    const pool = (): Promise<IscsiTargetRow[]> => rowsWhere(tx, 'iscsi_targets', { host, deleted: false });
    const present = await pool();
    const added = await addMissing(tx, host, poolSize, present);
    return take(tx, volumeId, added ? await pool() : present);
  });
}

/** Inserts the numbers from 1 to `poolSize` which are not there; true when there were some. */
async function addMissing(tx: Tx, host: string, poolSize: number, pool: readonly IscsiTargetRow[]): Promise<boolean> {
  const present = new Set(pool.map((row) => row.target_num));
  const missing = Array.from({ length: poolSize }, (_, index) => index + 1).filter((number) => !present.has(number));
  if (missing.length > 0)
    await tx.insertMany(
      'iscsi_targets',
      missing.map((target_num) => ({ target_num, host })),
    );
  return missing.length > 0;
}

/** Takes the first free row whose number no other row has given away (2011.3 could make a number twice). */
async function take(tx: Tx, volumeId: number, pool: readonly IscsiTargetRow[]): Promise<number> {
  const inUse = new Set(pool.filter((row) => row.volume_id !== null).map((row) => row.target_num));
  for (const row of pool) {
    if (row.volume_id !== null || row.target_num === null || inUse.has(row.target_num)) continue;
    const taken = await tx.update('iscsi_targets', { volume_id: volumeId }, 'id = ? AND volume_id IS NULL', [row.id]);
    if (taken > 0) return row.target_num;
  }
  throw new NoMoreTargets();
}

/** Gives a volume's target number on a host back to the pool. A repeated call changes nothing. */
export async function releaseTarget(db: Queryable, volumeId: number, host: string): Promise<void> {
  await db.update('iscsi_targets', { volume_id: null }, 'volume_id = ? AND host = ?', [volumeId, host]);
}
