import { placeholders, type Queryable } from './db.js';

/** What the IPv6 address of an instance is made of. */
export interface InterfaceV6 {
  readonly instanceId: number;
  readonly mac: string;
  readonly cidr: string;
  readonly projectId: string | null;
}

/** More ids than this are not named in one statement. */
const mostIds = 500;

/** The interfaces of these instances' first fixed addresses, where the network of it has IPv6. */
export async function listInterfacesV6(db: Queryable, ids: readonly number[]): Promise<InterfaceV6[]> {
  const found: InterfaceV6[] = [];
  for (let at = 0; at < ids.length; at += mostIds) {
    const some = ids.slice(at, at + mostIds);
    const rows = await db.all<{ instance_id: number; mac: string; cidr_v6: string | null; project_id: string | null }>(
      'SELECT f.instance_id, v.address AS mac, n.cidr_v6, n.project_id FROM fixed_ips f ' +
        'JOIN virtual_interfaces v ON v.id = f.virtual_interface_id JOIN networks n ON n.id = f.network_id ' +
        `WHERE f.instance_id IN ${placeholders(some)} AND f.deleted = ? AND n.deleted = ? ORDER BY f.id`,
      [...some, false, false],
    );
    const seen = new Set<number>();
    for (const { instance_id: instanceId, mac, cidr_v6: cidr, project_id: projectId } of rows) {
      if (!seen.has(instanceId) && cidr !== null) found.push({ instanceId, mac, cidr, projectId });
      seen.add(instanceId);
    }
  }
  return found;
}
