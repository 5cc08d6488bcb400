import type { Db, Queryable, Values } from './db.js';
import { findService } from './services.js';

/** A host's figures in `compute_nodes`. */
export type ComputeNodeFigures = Required<
  Pick<
    Values<'compute_nodes'>,
    | 'vcpus'
    | 'memory_mb'
    | 'local_gb'
    | 'vcpus_used'
    | 'memory_mb_used'
    | 'local_gb_used'
    | 'hypervisor_type'
    | 'hypervisor_version'
    | 'cpu_info'
  >
>;

/**
 * Writes the figures of a compute host into the row which hangs on its services row, making it where there is none.
 * False when the host has no services row. Only the host's own daemon writes them; racing calls leave one row.
 */
export async function writeComputeNode(db: Db, host: string, figures: ComputeNodeFigures): Promise<boolean> {
  return db.transaction(async (tx) => {
    const service = await findService(tx, host, 'nova-compute');
    if (service === undefined) return false;
    await tx.lock(`compute_node:${host}`);
    const known = await tx.first<{ id: number }>(
      'SELECT id FROM compute_nodes WHERE service_id = ? AND deleted = ? ORDER BY id LIMIT 1',
      [service.id, false],
    );
    if (known === undefined) await tx.insert('compute_nodes', { service_id: service.id, ...figures });
    else await tx.update('compute_nodes', figures, 'id = ?', [known.id]);
    return true;
  });
}

/** What a compute host has left, as its own row says; null where it has none. */
export interface FreeResources {
  host: string;
  memory_mb: number | null;
  local_gb: number | null;
}

/** What the hosts of a topic which are not disabled have left, by the age of their rows. One query. */
export async function listFreeResources(db: Queryable, topic: string): Promise<FreeResources[]> {
  return db.all<FreeResources>(
    'SELECT s.host AS host, c.memory_mb - c.memory_mb_used AS memory_mb, c.local_gb - c.local_gb_used AS local_gb ' +
      'FROM services s LEFT JOIN compute_nodes c ON c.service_id = s.id AND c.deleted = ? WHERE s.topic = ? AND ' +
      's.host IS NOT NULL AND s.disabled = ? AND s.deleted = ? ORDER BY s.id',
    [false, topic, false, false],
  );
}

/**
 * Whether a compute host has memory and disk left for an instance, by what it reported and what its other instances were
 * given; true for a host which reported nothing. One query, which races with those who place others there.
 */
export async function hasRoomFor(
  db: Queryable,
  host: string,
  instance: { id: number; memory_mb: number | null; local_gb: number | null },
): Promise<boolean> {
  const given = (column: string): string =>
    `(SELECT COALESCE(SUM(${column}), 0) FROM instances WHERE host = ? AND deleted = ? AND id <> ?)`;
  const others = [host, false, instance.id];
  const left = await db.first<{ memory_mb: number; local_gb: number }>(
    `SELECT c.memory_mb - ${given('memory_mb')} AS memory_mb, c.local_gb - ${given('local_gb')} AS local_gb ` +
      'FROM compute_nodes c JOIN services s ON s.id = c.service_id ' +
      'WHERE s.host = ? AND s.deleted = ? AND c.deleted = ? ORDER BY c.id LIMIT 1',
    [...others, ...others, host, false, false],
  );
  return (
    left === undefined || (left.memory_mb >= (instance.memory_mb ?? 0) && left.local_gb >= (instance.local_gb ?? 0))
  );
}
