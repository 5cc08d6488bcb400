import type { Queryable } from '../db/db.js';
import { standing, type Standing } from '../db/projects.js';
import { userByAccessKey, type User } from '../db/users.js';
import { AccessKeyNotFound, ProjectMembershipNotFound, ProjectNotFound } from '../errors.js';
import { activeRoles, isAdministrator, type RoleFlags } from './roles.js';

/** Who an access key belongs to, and what he is in the project which he names. */
export interface Caller {
  readonly userId: string;
  readonly projectId: string;
  /** In clear; only to verify a signature with. */
  readonly secretKey: string;
  readonly isAdmin: boolean;
  readonly roles: readonly string[];
}

/** `ACCESS:PROJECT` in its parts; the first colon separates. Project undefined: the one named as the user. */
export function splitAccessKey(accessKey: string): { access: string; project: string | undefined } {
  const colon = accessKey.indexOf(':');
  if (colon === -1) return { access: accessKey, project: undefined };
  return { access: accessKey.slice(0, colon), project: accessKey.slice(colon + 1) || undefined };
}

/**
 * Looks callers up in the database (nova 2011.3, nova/auth/manager.py authenticate): two statements, shared by the
 * requests of one caller which come while they run. Nothing is kept afterwards, so that a change of keys, roles or
 * membership counts from the next request on.
 */
export class Callers {
  readonly #running = new Map<string, Promise<Caller>>();

  constructor(
    private readonly db: Queryable,
    private readonly flags: RoleFlags,
  ) {}

  /**
   * The caller of an `ACCESS[:PROJECT]`. Throws AccessKeyNotFound, ProjectNotFound, and ProjectMembershipNotFound unless
   * the user is a member or an administrator.
   */
  find(accessKey: string): Promise<Caller> {
    let running = this.#running.get(accessKey);
    if (running === undefined) {
      running = this.#look(accessKey).finally(() => this.#running.delete(accessKey));
      this.#running.set(accessKey, running);
    }
    return running;
  }

  async #look(accessKey: string): Promise<Caller> {
    const { access, project } = splitAccessKey(accessKey);
    const user = await userByAccessKey(this.db, access);
    if (user === undefined) throw new AccessKeyNotFound(access);
    const projectId = project ?? user.id;
    return this.#caller(user, projectId, await standing(this.db, user.id, projectId));
  }

  #caller(user: User, projectId: string, at: Standing): Caller {
    if (at.project === undefined) throw new ProjectNotFound(projectId);
    const facts = {
      isAdmin: user.is_admin === true,
      globalRoles: at.globalRoles,
      projectRoles: at.projectRoles,
      isProjectManager: at.project.managerId === user.id,
    };
    const isAdmin = isAdministrator(this.flags, facts);
    if (!isAdmin && !at.isMember) throw new ProjectMembershipNotFound(projectId, user.id);
    return {
      userId: user.id,
      projectId,
      secretKey: user.secret_key ?? '',
      isAdmin,
      roles: activeRoles(this.flags, facts),
    };
  }
}
