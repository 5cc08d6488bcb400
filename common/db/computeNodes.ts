import type { Db, Values } from './db.js';
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
