import type { Queryable } from './db.js';
import type { ComputeNodeRow, ServiceRow } from './rows.js';
import { firstWhere } from './where.js';

/** What the instances of one project on a host take. */
export interface ProjectUsage {
  vcpus: number;
  memory_mb: number;
  local_gb: number;
}

/** nova-compute's services row of a host, disabled or not, with its compute_nodes row when there is one. */
export async function findComputeHost(
  db: Queryable,
  host: string,
  topic: string,
): Promise<{ service: ServiceRow; node: ComputeNodeRow | undefined } | undefined> {
  const service = await firstWhere(db, 'services', { host, topic, deleted: false });
  if (service === undefined) return undefined;
  const node = await firstWhere(db, 'compute_nodes', { service_id: service.id, deleted: false });
  return { service, node };
}

/** What each project's instances on a host take, by project. */
export async function hostUsage(db: Queryable, host: string): Promise<Record<string, ProjectUsage>> {
  const rows = await db.all<ProjectUsage & { project_id: string | null }>(
    `SELECT project_id, COALESCE(SUM(vcpus), 0) AS vcpus, COALESCE(SUM(memory_mb), 0) AS memory_mb,
            COALESCE(SUM(local_gb), 0) AS local_gb
       FROM instances WHERE host = ? AND deleted = ? GROUP BY project_id ORDER BY project_id`,
    [host, false],
  );
  return Object.fromEntries(
    rows.map(({ project_id: project, vcpus, memory_mb, local_gb }) => [project ?? '', { vcpus, memory_mb, local_gb }]),
  );
}
