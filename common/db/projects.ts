import { ProjectExists, ProjectMembershipNotFound, ProjectNotFound } from '../errors.js';
import type { Db, Queryable, Tx } from './db.js';
import { isUniqueViolation } from './failures.js';
import { disassociateNetworks } from './networks.js';
import type { ProjectRow } from './rows.js';
import { insertOnce, userById } from './users.js';
import { softDelete } from './where.js';

const columns = 'id, name, description, project_manager';
/** A project: `id` is its name, `project_manager` a users.id. */
export type Project = Pick<ProjectRow, 'id' | 'name' | 'description' | 'project_manager'>;

/** A project by id. Throws ProjectNotFound. */
export async function projectById(db: Queryable, id: string): Promise<Project> {
  const projects = await db.all<Project>(`SELECT ${columns} FROM projects WHERE id = ? AND deleted = ?`, [id, false]);
  const project = projects.find((candidate) => candidate.id === id);
  if (project === undefined) throw new ProjectNotFound(id);
  return project;
}

/** Every project, or those of which the user is a member, by id. */
export async function listProjects(db: Queryable, userId?: string): Promise<Project[]> {
  if (userId === undefined) {
    return db.all<Project>(`SELECT ${columns} FROM projects WHERE deleted = ? ORDER BY id`, [false]);
  }
  return db.all<Project>(
    `SELECT ${columns} FROM projects WHERE deleted = ? AND id IN ` +
      '(SELECT project_id FROM user_project_association WHERE user_id = ? AND deleted = ?) ORDER BY id',
    [false, userId, false],
  );
}

/**
 * Makes a project whose manager is its first member, with further members. Throws UserNotFound for the manager or a member
 * and ProjectExists; of two racing callers one makes it.
 */
export async function createProject(
  db: Db,
  id: string,
  managerId: string,
  description: string = id,
  memberIds: readonly string[] = [],
): Promise<void> {
  try {
    await db.transaction(async (tx) => {
      await userById(tx, managerId);
      await tx.insert('projects', { id, name: id, description, project_manager: managerId });
      for (const userId of new Set([managerId, ...memberIds])) {
        if (userId !== managerId) await userById(tx, userId);
        await tx.insert('user_project_association', { user_id: userId, project_id: id });
      }
    });
  } catch (error) {
    throw isUniqueViolation(error) ? new ProjectExists(id) : error;
  }
}

/** What {@link modifyProject} changes; undefined leaves a column alone. */
export interface ProjectChanges {
  readonly managerId?: string;
  readonly description?: string;
}

/** Changes manager or description, only what differs; a new manager becomes a member. Throws ProjectNotFound, UserNotFound. */
export async function modifyProject(db: Db, id: string, changes: ProjectChanges): Promise<void> {
  const { managerId, description } = changes;
  await insertOnceOrAgain(db, async (tx) => {
    const project = await projectById(tx, id);
    if (managerId !== undefined) await userById(tx, managerId);
    const values: { project_manager?: string; description?: string } = {};
    if (managerId !== undefined && managerId !== project.project_manager) values.project_manager = managerId;
    if (description !== undefined && description !== project.description) values.description = description;
    if (Object.keys(values).length > 0) await tx.update('projects', values, 'id = ?', [id]);
    if (managerId !== undefined) await becomeMember(tx, id, managerId);
  });
}

/** A member who was added meanwhile breaks the transaction once; then the row is there. */
async function insertOnceOrAgain(db: Db, work: (tx: Tx) => Promise<void>): Promise<void> {
  try {
    await db.transaction(work);
  } catch (error) {
    if (!isUniqueViolation(error)) throw error;
    await db.transaction(work);
  }
}

/**
 * Deletes a project with its memberships and project roles. Throws ProjectNotFound. Instances, volumes, addresses and
 * quotas of the project stay, as in 2011.3. In one transaction.
 */
export async function deleteProject(db: Db, id: string): Promise<void> {
  await db.transaction(async (tx) => {
    await projectById(tx, id);
    await tx.run('DELETE FROM user_project_role_association WHERE project_id = ?', [id]);
    await tx.run('DELETE FROM user_project_association WHERE project_id = ?', [id]);
    await tx.run('DELETE FROM projects WHERE id = ?', [id]);
  });
}

/** The ids of a project's members, sorted. */
export async function projectMembers(db: Queryable, projectId: string): Promise<string[]> {
  const rows = await db.all<{ user_id: string }>(
    'SELECT user_id FROM user_project_association WHERE project_id = ? AND deleted = ? ORDER BY user_id',
    [projectId, false],
  );
  return rows.map((row) => row.user_id);
}

async function becomeMember(tx: Tx, projectId: string, userId: string): Promise<void> {
  const row = await tx.first('SELECT user_id FROM user_project_association WHERE project_id = ? AND user_id = ?', [
    projectId,
    userId,
  ]);
  if (row === undefined) await tx.insert('user_project_association', { user_id: userId, project_id: projectId });
}

/** Makes a user a member; a member stays one, also when two callers race. Throws ProjectNotFound, UserNotFound. */
export async function addMember(db: Db, projectId: string, userId: string): Promise<void> {
  await insertOnce(db, async (tx) => {
    await userById(tx, userId);
    await projectById(tx, projectId);
    await becomeMember(tx, projectId, userId);
  });
}

/** Takes membership and project roles away. Throws ProjectNotFound, UserNotFound, ProjectMembershipNotFound. */
export async function removeMember(db: Db, projectId: string, userId: string): Promise<void> {
  await db.transaction(async (tx) => {
    await userById(tx, userId);
    await projectById(tx, projectId);
    await tx.run('DELETE FROM user_project_role_association WHERE project_id = ? AND user_id = ?', [projectId, userId]);
    const removed = await tx.run('DELETE FROM user_project_association WHERE project_id = ? AND user_id = ?', [
      projectId,
      userId,
    ]);
    if (removed === 0) throw new ProjectMembershipNotFound(projectId, userId);
  });
}

/** The user's roles in the project, sorted. */
export async function projectRoles(db: Queryable, userId: string, projectId: string): Promise<string[]> {
  const rows = await db.all<{ role: string }>(
    'SELECT role FROM user_project_role_association WHERE user_id = ? AND project_id = ? ORDER BY role',
    [userId, projectId],
  );
  return rows.map((row) => row.role);
}

/**
 * Grants a role in a project; a role which the user has stays as it is, also when two callers race. Throws
 * ProjectNotFound, UserNotFound, ProjectMembershipNotFound.
 */
export async function addProjectRole(db: Db, userId: string, projectId: string, role: string): Promise<void> {
  await insertOnce(db, async (tx) => {
    await userById(tx, userId);
    await projectById(tx, projectId);
    if (!(await projectMembers(tx, projectId)).includes(userId)) throw new ProjectMembershipNotFound(projectId, userId);
    if ((await projectRoles(tx, userId, projectId)).includes(role)) return;
    await tx.insert('user_project_role_association', { user_id: userId, project_id: projectId, role });
  });
}

/** Takes a project role away; false when the user didn't have it. */
export async function removeProjectRole(
  db: Queryable,
  userId: string,
  projectId: string,
  role: string,
): Promise<boolean> {
  const removed = await db.run(
    'DELETE FROM user_project_role_association WHERE user_id = ? AND project_id = ? AND role = ?',
    [userId, projectId, role],
  );
  return removed > 0;
}

/** What one project says about one user, for authentication. */
export interface Standing {
  /** Undefined when there is no such project. */
  readonly project: { readonly id: string; readonly managerId: string | null } | undefined;
  readonly isMember: boolean;
  readonly globalRoles: readonly string[];
  readonly projectRoles: readonly string[];
}

/** Project, membership and all roles of a user in one statement: every signed request asks for them. */
export async function standing(db: Queryable, userId: string, projectId: string): Promise<Standing> {
  const rows = await db.all<{ kind: string; id: string; detail: string | null }>(
    "SELECT 'project' AS kind, id, project_manager AS detail FROM projects WHERE id = ? AND deleted = ? " +
      "UNION ALL SELECT 'member', project_id, NULL FROM user_project_association " +
      'WHERE user_id = ? AND project_id = ? AND deleted = ? ' +
      "UNION ALL SELECT 'global', user_id, role FROM user_role_association WHERE user_id = ? " +
      "UNION ALL SELECT 'local', project_id, role FROM user_project_role_association WHERE user_id = ? AND project_id = ?",
    [projectId, false, userId, projectId, false, userId, userId, projectId],
  );
  // MySQL compares without case and trailing blanks; names here are exact.
  const of = (kind: string, id: string): typeof rows => rows.filter((row) => row.kind === kind && row.id === id);
  const project = of('project', projectId)[0];
  const roles = (kind: string, id: string): string[] =>
    of(kind, id).flatMap((row) => (row.detail === null ? [] : [row.detail]));
  return {
    project: project === undefined ? undefined : { id: project.id, managerId: project.detail },
    isMember: of('member', projectId).length > 0,
    globalRoles: roles('global', userId),
    projectRoles: roles('local', projectId),
  };
}

/**
 * Takes a project's networks away from it (project and host become null) and deletes its security groups with their
 * memberships and every rule of or about them (soft), in one transaction.
 */
export async function scrubProject(db: Db, id: string): Promise<void> {
  await db.transaction(async (tx) => {
    await tx.lock(`network-project:${id}`);
    await tx.lock(`security-groups:${id}`);
    await disassociateNetworks(tx, id);
    const gone = { deleted: true, deleted_at: tx.now() };
    const keep = { updatedAt: false };
    const groups = 'SELECT id FROM security_groups WHERE project_id = ? AND deleted = ?';
    const rules = `(group_id IN (${groups}) OR parent_group_id IN (${groups})) AND deleted = ?`;
    await tx.update('security_group_rules', gone, rules, [id, false, id, false, false], keep);
    const memberships = `security_group_id IN (${groups}) AND deleted = ?`;
    await tx.update('security_group_instance_association', gone, memberships, [id, false, false], keep);
    await softDelete(tx, 'security_groups', { project_id: id });
  });
}
