import type { Queryable } from './db.js';

/** How much each host carries: live instances, or volumes. Hosts without any are left out. */
export async function countByHost(db: Queryable, table: 'instances' | 'volumes'): Promise<Map<string, number>> {
  const rows = await db.all<{ host: string; total: number }>(
    `SELECT host, COUNT(*) AS total FROM ${table} WHERE deleted = ? AND host IS NOT NULL GROUP BY host`,
    [false],
  );
  return new Map(rows.map((row) => [row.host, row.total]));
}
