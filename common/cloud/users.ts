import type { Context } from '../context.js';
import { addProjectRole, projectById, projectMembers, projectRoles, removeProjectRole } from '../db/projects.js';
import {
  addGlobalRole,
  createUser,
  deleteUser,
  globalRoles,
  listUsers,
  removeGlobalRole,
  userById,
  type User,
} from '../db/users.js';
import { Invalid, InvalidParameterValue, UserRoleNotFound } from '../errors.js';
import type { Logger } from '../log.js';
import type { CloudParts } from './parts.js';
import { requireAdmin } from './requireAdmin.js';

/** `users.id` and `projects.id` are VARCHAR(255). */
const longestName = 255;

/** Throws InvalidParameterValue for what can't be the name of a user or project. */
export function checkAccountName(parameter: string, name: string): void {
  // eslint-disable-next-line no-control-regex -- control characters are the point
  if (name === '' || name.length > longestName || /[\u0000-\u001f\u007f]/.test(name)) {
    throw new InvalidParameterValue(
      `Value (${name.slice(0, 100)}) for parameter ${parameter} is invalid. 1 to ${longestName} printable characters are expected.`,
    );
  }
}

/**
 * Users and their roles (nova 2011.3, nova/auth/manager.py). Every method throws AdminRequired unless the caller is an
 * administrator.
 */
export class Users {
  readonly #log: Logger;

  constructor(private readonly parts: Pick<CloudParts, 'runtime' | 'db'>) {
    this.#log = parts.runtime.log.logger('nova.auth.manager');
  }

  /** Every user, by name. */
  async list(context: Context): Promise<User[]> {
    requireAdmin(context);
    return listUsers(this.parts.db);
  }

  /** Throws UserNotFound. */
  async get(context: Context, name: string): Promise<User> {
    requireAdmin(context);
    return userById(this.parts.db, name);
  }

  /** Makes a user with random keys, or the given ones. Throws UserExists, Invalid for an access key which is taken. */
  async register(
    context: Context,
    name: string,
    wish: { isAdmin?: boolean; accessKey?: string | undefined; secretKey?: string | undefined } = {},
  ): Promise<User> {
    requireAdmin(context);
    checkAccountName('Name', name);
    const { db, runtime } = this.parts;
    const { isAdmin = false } = wish;
    await createUser(db, {
      id: name,
      accessKey: wish.accessKey || runtime.random.uuid(),
      secretKey: wish.secretKey || runtime.random.uuid(),
      isAdmin,
    });
    this.#log.audit(`Created user ${name} (admin: ${isAdmin ? 'True' : 'False'})`);
    return userById(db, name);
  }

  /** Deletes a user with roles, memberships and key pairs. Throws UserNotFound, Invalid while the user manages a project. */
  async deregister(context: Context, name: string): Promise<void> {
    requireAdmin(context);
    await deleteUser(this.parts.db, name);
    this.#log.audit(`Deleting user ${name}`);
  }

  /** The roles which may be granted; `inProjects`: those which may be granted in a project. */
  roles(context: Context, inProjects: boolean): string[] {
    requireAdmin(context);
    const { allowed_roles: allowed, global_roles: global } = this.parts.runtime.flags;
    return inProjects ? allowed.filter((role) => !global.includes(role)) : [...allowed];
  }

  /** The user's global roles, or those in a project. Throws UserNotFound, ProjectNotFound. */
  async rolesOf(context: Context, name: string, projectId?: string): Promise<string[]> {
    requireAdmin(context);
    const { db } = this.parts;
    await userById(db, name);
    if (projectId === undefined) return globalRoles(db, name);
    await projectById(db, projectId);
    return projectRoles(db, name, projectId);
  }

  /**
   * Grants a role, globally or in a project; one which the user has stays. Throws UserRoleNotFound for a role which is not
   * in the flag allowed_roles, Invalid for one of global_roles with a project, UserNotFound, ProjectNotFound,
   * ProjectMembershipNotFound.
   */
  async grant(context: Context, name: string, role: string, projectId?: string): Promise<void> {
    requireAdmin(context);
    const { allowed_roles: allowed, global_roles: global } = this.parts.runtime.flags;
    const { db } = this.parts;
    if (!allowed.includes(role)) throw new UserRoleNotFound(role);
    if (projectId !== undefined && global.includes(role)) throw new Invalid(`Unable to use global role ${role}`);
    await (projectId === undefined ? addGlobalRole(db, name, role) : addProjectRole(db, name, projectId, role));
    this.#log.audit(`Adding role ${role} to user ${name}${projectId === undefined ? '' : ` in project ${projectId}`}`);
  }

  /** Takes a role away; one which the user doesn't have is no error. Throws UserNotFound, ProjectNotFound. */
  async revoke(context: Context, name: string, role: string, projectId?: string): Promise<void> {
    requireAdmin(context);
    const { db } = this.parts;
    await userById(db, name);
    if (projectId !== undefined) await projectById(db, projectId);
    await (projectId === undefined ? removeGlobalRole(db, name, role) : removeProjectRole(db, name, projectId, role));
    this.#log.audit(
      `Removing role ${role} from user ${name}${projectId === undefined ? '' : ` for project ${projectId}`}`,
    );
  }

  /** Whether the user is a member of the project. */
  async isMember(context: Context, name: string, projectId: string): Promise<boolean> {
    requireAdmin(context);
    return (await projectMembers(this.parts.db, projectId)).includes(name);
  }
}
