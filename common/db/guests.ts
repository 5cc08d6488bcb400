import type { Queryable } from './db.js';

/**
 * The live instance which has this fixed or floating address; the newest of several. Undefined when there is none. A
 * read: an address which is moved at the same moment is found at its old or its new place.
 */
export async function instanceIdAtAddress(db: Queryable, address: string): Promise<number | undefined> {
  const row = await db.first<{ id: number }>(
    // each part finds its row by an index; one condition over both tables would have to look at all of them
    'SELECT i.id FROM instances i WHERE i.deleted = ? AND i.id IN (' +
      'SELECT instance_id FROM fixed_ips WHERE address = ? AND deleted = ? UNION ' +
      'SELECT f.instance_id FROM floating_ips l JOIN fixed_ips f ON f.id = l.fixed_ip_id ' +
      'WHERE l.address = ? AND l.deleted = ? AND f.deleted = ?) ORDER BY i.id DESC LIMIT 1',
    [false, address, false, address, false, false],
  );
  return row?.id;
}

/** What the instances of a project tell each other. */
export interface Peer {
  readonly keyName: string | null;
  /** Its first fixed address. */
  readonly address: string;
  readonly vcpus: number;
}

/** The live instances of a project which have an address, newest first. */
export async function peersOfProject(db: Queryable, projectId: string): Promise<Peer[]> {
  const rows = await db.all<{ id: number; key_name: string | null; vcpus: number | null; address: string }>(
    'SELECT i.id, i.key_name, i.vcpus, f.address FROM instances i JOIN fixed_ips f ON f.instance_id = i.id ' +
      'WHERE i.project_id = ? AND i.deleted = ? AND f.deleted = ? ORDER BY i.id DESC, f.id',
    [projectId, false, false],
  );
  return rows
    .filter((row, index) => row.id !== rows[index - 1]?.id)
    .map((row) => ({ keyName: row.key_name, address: row.address, vcpus: row.vcpus ?? 0 }));
}
