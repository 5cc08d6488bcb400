import { SnapshotNotFound, VolumeNotFound } from '../errors.js';
import { placeholders, type Db, type Queryable } from './db.js';
import type { SnapshotRow, VolumeRow } from './rows.js';
import { anything, changeWhere, firstWhere, lockWhere, rowsWhere, softDelete } from './where.js';

/** What a new snapshot is made of. */
export interface NewSnapshot {
  volume_id: number;
  user_id: string | null;
  project_id: string;
  display_name: string | null;
  display_description: string | null;
}

/** How a request for a snapshot was taken. */
export type SnapshotRequest = { taken: true; snapshot: SnapshotRow } | { taken: false; volume: VolumeRow };

/**
 * Inserts a snapshot in `creating`, `0%`, of the volume's size; with `force` also of a volume which is in use. Refused
 * when the volume's status is another. Throws VolumeNotFound. A deletion of the volume which races is either first, and
 * this is refused, or its host finds the snapshot and keeps the volume.
 */
export async function requestSnapshot(db: Db, values: NewSnapshot, force = false): Promise<SnapshotRequest> {
  return db.transaction(async (tx) => {
    const volume = await lockWhere(tx, 'volumes', { id: values.volume_id, deleted: false });
    if (volume === undefined) throw new VolumeNotFound(values.volume_id);
    const ready = volume.status === 'available' || (force && volume.status === 'in-use');
    if (!ready) return { taken: false, volume };
    const id = await tx.insert('snapshots', {
      ...values,
      status: 'creating',
      progress: '0%',
      volume_size: volume.size,
    });
    return { taken: true, snapshot: await getSnapshot(tx, id) };
  });
}

/** A snapshot which is not deleted; undefined when there is none. */
export async function findSnapshot(db: Queryable, id: number): Promise<SnapshotRow | undefined> {
  return firstWhere(db, 'snapshots', { id, deleted: false });
}

/** A snapshot which is not deleted. Throws SnapshotNotFound. */
export async function getSnapshot(db: Queryable, id: number): Promise<SnapshotRow> {
  const snapshot = await findSnapshot(db, id);
  if (snapshot === undefined) throw new SnapshotNotFound(id);
  return snapshot;
}

/** Snapshots by id: of one project or of all (null), all of them or those with the given ids. */
export async function listSnapshots(
  db: Queryable,
  projectId: string | null,
  ids: readonly number[] | null = null,
): Promise<SnapshotRow[]> {
  return rowsWhere(db, 'snapshots', { deleted: false, project_id: projectId ?? anything, id: ids ?? anything });
}

/** Names snapshots (null: takes their names away), where `was` is given only if that is the name. Answers how many it changed. */
export async function setSnapshotNames(
  db: Queryable,
  ids: readonly number[],
  name: string | null,
  was?: string,
): Promise<number> {
  if (ids.length === 0) return 0;
  const condition = was === undefined ? '' : ' AND display_name = ?';
  const params = [...ids, false, ...(was === undefined ? [] : [was])];
  return db.update(
    'snapshots',
    { display_name: name },
    `id IN ${placeholders(ids)} AND deleted = ?${condition}`,
    params,
  );
}

/** Whether a volume has a snapshot which needs it: any that is not deleted and did not fail. */
export async function volumeHasSnapshots(db: Queryable, volumeId: number): Promise<boolean> {
  const row = await db.first<{ id: number }>(
    'SELECT id FROM snapshots WHERE volume_id = ? AND deleted = ? AND status <> ? ORDER BY id LIMIT 1',
    [volumeId, false, 'error'],
  );
  return row !== undefined;
}

/** Snapshots which a host has not finished making or deleting: `creating` or `deleting`, of its volumes. */
export async function listUnfinishedSnapshots(db: Queryable, host: string): Promise<SnapshotRow[]> {
  return db.all<SnapshotRow>(
    `SELECT s.* FROM snapshots s JOIN volumes v ON v.id = s.volume_id
      WHERE v.host = ? AND v.deleted = ? AND s.deleted = ? AND s.status IN (?, ?) ORDER BY s.id`,
    [host, false, false, 'creating', 'deleting'],
  );
}

/** Changes the status (and progress) if it is one of `from`. Of racing callers one gets true. */
export async function changeSnapshotStatus(
  db: Queryable,
  id: number,
  from: readonly string[],
  to: { status: string; progress?: string },
): Promise<boolean> {
  return changeWhere(db, 'snapshots', to, { id, status: from, deleted: false });
}

/** The end of a deletion: the row is soft-deleted. False when it is not being deleted (any longer). */
export async function finishSnapshotDelete(db: Queryable, id: number): Promise<boolean> {
  return (await softDelete(db, 'snapshots', { id, status: ['deleting', 'error_deleting'] })) > 0;
}
