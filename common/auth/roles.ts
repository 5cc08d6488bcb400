/** The flags which say what a role means (nova 2011.3, nova/auth/manager.py). */
export interface RoleFlags {
  /** Roles which may be granted. */
  readonly allowed_roles: readonly string[];
  /** Roles which bypass authorization. */
  readonly superuser_roles: readonly string[];
  /** Roles which hold in every project and are granted without one. */
  readonly global_roles: readonly string[];
}

/** What the database says about a user, and about the user in one project. */
export interface RoleFacts {
  /** users.is_admin. */
  readonly isAdmin: boolean;
  readonly globalRoles: readonly string[];
  /** Those of the project at hand. */
  readonly projectRoles: readonly string[];
  readonly isProjectManager: boolean;
}

/** May everything: the admin mark, or a global role of superuser_roles. */
function isSuperuser(flags: RoleFlags, facts: RoleFacts): boolean {
  return facts.isAdmin || facts.globalRoles.some((role) => flags.superuser_roles.includes(role));
}

/** What becomes the context's is_admin: a superuser, or whoever has a role of global_roles (so itsec too, as in 2011.3). */
export function isAdministrator(flags: RoleFlags, facts: RoleFacts): boolean {
  return isSuperuser(flags, facts) || facts.globalRoles.some((role) => flags.global_roles.includes(role));
}

/**
 * Whether the user has the role in the project. A role counts when it is held globally and, unless it is one of
 * global_roles, in the project too (the intersection; the help of 2011.3 says union, its code does not).
 * `projectmanager` is never granted: it is the project's manager.
 */
export function hasRole(flags: RoleFlags, facts: RoleFacts, role: string): boolean {
  if (role === 'projectmanager') return facts.isProjectManager;
  if (!facts.globalRoles.includes(role)) return false;
  return flags.global_roles.includes(role) || facts.projectRoles.includes(role);
}

/** The roles of a request's context: those of allowed_roles, and projectmanager, which the user has in the project. */
export function activeRoles(flags: RoleFlags, facts: RoleFacts): string[] {
  return [...flags.allowed_roles, 'projectmanager'].filter((role) => hasRole(flags, facts, role));
}
