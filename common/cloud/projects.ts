import type { Context } from '../context.js';
import {
  addMember,
  createProject,
  deleteProject,
  listProjects,
  modifyProject,
  projectById,
  projectMembers,
  removeMember,
  scrubProject,
  type Project,
  type ProjectChanges,
} from '../db/projects.js';
import { userById } from '../db/users.js';
import { InvalidParameterValue } from '../errors.js';
import type { Logger } from '../log.js';
import type { CloudParts } from './parts.js';
import { requireAdmin } from './requireAdmin.js';
import { checkAccountName } from './users.js';

/** `projects.description` is VARCHAR(255). */
const longestDescription = 255;

/** Throws InvalidParameterValue for a description which the database can't hold. */
function checkDescription(description: string | undefined): void {
  if ((description?.length ?? 0) <= longestDescription) return;
  throw new InvalidParameterValue(
    `Value for parameter Description is invalid. At most ${longestDescription} characters are expected.`,
  );
}

/**
 * Projects and their members (nova 2011.3, nova/auth/manager.py). Every method throws AdminRequired unless the caller is
 * an administrator.
 */
export class Projects {
  readonly #log: Logger;

  constructor(private readonly parts: Pick<CloudParts, 'runtime' | 'db'>) {
    this.#log = parts.runtime.log.logger('nova.auth.manager');
  }

  /** Every project, or those of a user, by name. Throws UserNotFound. */
  async list(context: Context, userId?: string): Promise<Project[]> {
    requireAdmin(context);
    if (userId !== undefined) await userById(this.parts.db, userId);
    return listProjects(this.parts.db, userId);
  }

  /** Throws ProjectNotFound. */
  async get(context: Context, id: string): Promise<Project> {
    requireAdmin(context);
    return projectById(this.parts.db, id);
  }

  /**
   * Makes a project with its manager and further members. Throws ProjectExists, UserNotFound, InvalidParameterValue; then
   * nothing was made.
   */
  async register(
    context: Context,
    wish: { id: string; managerId: string; description?: string; memberIds?: readonly string[] },
  ): Promise<Project> {
    requireAdmin(context);
    checkAccountName('Name', wish.id);
    checkDescription(wish.description);
    const { id, managerId, description, memberIds = [] } = wish;
    await createProject(this.parts.db, id, managerId, description ?? id, memberIds);
    this.#log.audit(`Created project ${id} with manager ${managerId}`);
    return projectById(this.parts.db, id);
  }

  /**
   * Changes manager or description; a new manager becomes a member. Throws ProjectNotFound, UserNotFound,
   * InvalidParameterValue.
   */
  async modify(context: Context, id: string, changes: ProjectChanges): Promise<void> {
    requireAdmin(context);
    checkDescription(changes.description);
    await modifyProject(this.parts.db, id, changes);
    this.#log.audit(`Modified project ${id}`);
  }

  /** Deletes a project with memberships and project roles. Throws ProjectNotFound. */
  async deregister(context: Context, id: string): Promise<void> {
    requireAdmin(context);
    await deleteProject(this.parts.db, id);
    this.#log.audit(`Deleting project ${id}`);
  }

  /** The members' names, sorted. Throws ProjectNotFound. */
  async members(context: Context, id: string): Promise<string[]> {
    requireAdmin(context);
    await projectById(this.parts.db, id);
    return projectMembers(this.parts.db, id);
  }

  /** Makes a user a member; a member stays one. Throws ProjectNotFound, UserNotFound. */
  async addMember(context: Context, id: string, userId: string): Promise<void> {
    requireAdmin(context);
    await addMember(this.parts.db, id, userId);
    this.#log.audit(`Adding user ${userId} to project ${id}`);
  }

  /** Takes membership and project roles away. Throws ProjectNotFound, UserNotFound, ProjectMembershipNotFound. */
  async removeMember(context: Context, id: string, userId: string): Promise<void> {
    requireAdmin(context);
    await removeMember(this.parts.db, id, userId);
    this.#log.audit(`Remove user ${userId} from project ${id}`);
  }

  /**
   * Takes a project's networks away from it and destroys its security groups. Works for a project which was deleted, and
   * changes nothing for one which has neither.
   */
  async scrub(context: Context, id: string): Promise<void> {
    requireAdmin(context);
    await scrubProject(this.parts.db, id);
    this.#log.audit(`Scrubbed project ${id}`);
  }
}
