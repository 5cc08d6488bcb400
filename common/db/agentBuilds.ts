import type { Db, Queryable } from './db.js';
import type { AgentBuildRow } from './rows.js';
import { anything, lockWhere, rowsWhere, softDelete } from './where.js';

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
  return rowsWhere(db, 'agent_builds', { deleted: false, hypervisor: hypervisor ?? anything });
}

/** Changes the first agent build for these guests; false when there is none. The last of racing callers wins. */
export async function changeAgentBuild(db: Db, key: AgentBuildKey, content: AgentBuildContent): Promise<boolean> {
  return db.transaction(async (tx) => {
    const row = await lockWhere(tx, 'agent_builds', { ...key, deleted: false });
    if (row === undefined) return false;
    await tx.update('agent_builds', { ...content }, 'id = ?', [row.id]);
    return true;
  });
}

/** Deletes (softly) the agent builds for these guests; answers how many there were. */
export async function deleteAgentBuild(db: Queryable, key: AgentBuildKey): Promise<number> {
  return softDelete(db, 'agent_builds', { ...key });
}
