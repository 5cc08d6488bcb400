import type { DbTime } from '../time.js';
import type { Queryable } from './db.js';

/** A cloudpipe: the instance through which users reach their project's network. */
export interface VpnInstance {
  readonly id: number;
  readonly project_id: string | null;
  readonly host: string | null;
  readonly hostname: string | null;
  readonly vm_state: string | null;
  readonly created_at: DbTime | null;
  /** Its first fixed address. */
  readonly address: string | null;
}

/** The live cloudpipes, by ascending id: instances of the image which are not being terminated. */
export async function vpnInstances(db: Queryable, image: string): Promise<VpnInstance[]> {
  return db.all<VpnInstance>(
    'SELECT i.id, i.project_id, i.host, i.hostname, i.vm_state, i.created_at, ' +
      '(SELECT MIN(f.address) FROM fixed_ips f WHERE f.instance_id = i.id AND f.deleted = ?) AS address ' +
      'FROM instances i WHERE i.image_ref = ? AND i.deleted = ? AND (i.task_state IS NULL OR i.task_state <> ?) ORDER BY i.id',
    [false, image, false, 'deleting'],
  );
}

/** The id of the last cloudpipe which a project had, deleted or not; 0 when it never had one. */
export async function lastVpnInstance(db: Queryable, projectId: string, image: string): Promise<number> {
  const row = await db.first<{ newest: number | null }>(
    'SELECT MAX(id) AS newest FROM instances WHERE project_id = ? AND image_ref = ?',
    [projectId, image],
  );
  return row?.newest ?? 0;
}

/** Where a project's VPN is reached; null where nobody has said so yet. */
export interface VpnEndpoint {
  readonly address: string | null;
  readonly port: number | null;
}

/** The VPN endpoints by project: those of each project's first network. */
export async function vpnEndpoints(db: Queryable): Promise<Map<string, VpnEndpoint>> {
  const rows = await db.all<{ project_id: string; address: string | null; port: number | null }>(
    'SELECT project_id, vpn_public_address AS address, vpn_public_port AS port FROM networks ' +
      'WHERE project_id IS NOT NULL AND deleted = ? ORDER BY id DESC',
    [false],
  );
  return new Map(rows.map(({ project_id: project, address, port }) => [project, { address, port }]));
}

/** Says where a project's VPN is reached, on all its networks; answers how many those are. The last of racing callers wins. */
export async function setVpnEndpoint(db: Queryable, projectId: string, endpoint: VpnEndpoint): Promise<number> {
  const values = { vpn_public_address: endpoint.address, vpn_public_port: endpoint.port };
  return db.update('networks', values, 'project_id = ? AND deleted = ?', [projectId, false]);
}
