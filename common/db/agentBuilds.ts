import type { Db, Queryable, SqlValue } from './db.js';
import type { AgentBuildRow } from './rows.js';

/** Which guests an agent is for. */
export interface AgentBuildKey {
  readonly hypervisor: string;
  readonly os: string;
  readonly architecture: string;
}
/** The agent itself. */
export interface AgentBuildContent {
  readonly version: string;
  readonly url: string;
  readonly md5hash: string;
}

/** Adds an agent build, also beside one for the same guests, as in 2011.3. */
export async function createAgentBuild(db: Queryable, build: AgentBuildKey & AgentBuildContent): Promise<number> {
  return db.insert('agent_builds', { ...build });
}

/** The agent builds, or those of a hypervisor, in the order in which they were added. */
export async function listAgentBuilds(db: Queryable, hypervisor?: string): Promise<AgentBuildRow[]> {
  const of = hypervisor === undefined ? '' : ' AND hypervisor = ?';
  const params: SqlValue[] = hypervisor === undefined ? [false] : [false, hypervisor];
  return db.all<AgentBuildRow>(`SELECT * FROM agent_builds WHERE deleted = ?${of} ORDER BY id`, params);
}

const ofKey = 'hypervisor = ? AND os = ? AND architecture = ? AND deleted = ?';
const keyOf = (key: AgentBuildKey): SqlValue[] => [key.hypervisor, key.os, key.architecture, false];

/** Changes the first agent build for these guests; false when there is none. The last of racing callers wins. */
export async function changeAgentBuild(db: Db, key: AgentBuildKey, content: AgentBuildContent): Promise<boolean> {
  return db.transaction(async (tx) => {
    const row = await tx.first<{ id: number }>(
      `SELECT id FROM agent_builds WHERE ${ofKey} ORDER BY id LIMIT 1${tx.forUpdate}`,
      keyOf(key),
    );
    if (row === undefined) return false;
    await tx.update('agent_builds', { ...content }, 'id = ?', [row.id]);
    return true;
  });
}

/** Deletes (softly) the agent builds for these guests; answers how many there were. */
export async function deleteAgentBuild(db: Queryable, key: AgentBuildKey): Promise<number> {
  const gone = { deleted: true, deleted_at: db.now() };
  return db.update('agent_builds', gone, ofKey, keyOf(key), { updatedAt: false });
}
