import type { Db } from '../../common/db/db.js';
import type { FlagName } from '../../common/flags/flags.js';
import { addMember, addProjectRole, createProject } from '../../common/db/projects.js';
import { addGlobalRole, createUser } from '../../common/db/users.js';

/** A user of the clouds which tests of the API start, and what the user may. */
export interface TestUser {
  readonly name: string;
  readonly project: string;
  readonly isAdmin?: boolean;
  /** Held globally and in the project; only the two together count. */
  readonly roles?: readonly string[];
  readonly globalRoles?: readonly string[];
  readonly projectRoles?: readonly string[];
}

const projectRoles = ['sysadmin', 'netadmin', 'developer'];

/** The users which the cloud has; the first one of a project manages it. */
export const testUsers = {
  admin: { name: 'admin', project: 'admin', isAdmin: true },
  manager: { name: 'manager', project: 'demo' },
  demo: { name: 'demo', project: 'demo', roles: ['sysadmin', 'netadmin'] },
  roleless: { name: 'roleless', project: 'demo' },
  netadmin: { name: 'netadmin', project: 'demo', roles: ['netadmin'] },
  sysadmin: { name: 'sysadmin', project: 'demo', roles: ['sysadmin'] },
  developer: { name: 'developer', project: 'demo', roles: ['developer'] },
  globally: { name: 'globally', project: 'demo', globalRoles: projectRoles },
  locally: { name: 'locally', project: 'demo', projectRoles },
  itsec: { name: 'itsec', project: 'demo', globalRoles: ['itsec'] },
  cloudadmin: { name: 'cloudadmin', project: 'demo', globalRoles: ['cloudadmin'] },
  other: { name: 'other', project: 'other', roles: ['sysadmin', 'netadmin'] },
} as const satisfies Record<string, TestUser>;
export type UserName = keyof typeof testUsers;

export const accessKeyOf = (name: string): string => `${name}-access`;
export const secretKeyOf = (name: string): string => `${name}-secret`;

/** No project runs out of anything. */
export const unlimited: Partial<Record<FlagName, unknown>> = {
  quota_instances: -1,
  quota_cores: -1,
  quota_ram: -1,
  quota_volumes: -1,
  quota_gigabytes: -1,
  quota_floating_ips: -1,
  quota_metadata_items: 128,
  quota_security_groups: -1,
  quota_security_group_rules: -1,
  quota_key_pairs: -1,
};

/** Makes {@link testUsers}, their projects and roles. */
export async function makeUsers(db: Db): Promise<void> {
  const projects = new Set<string>();
  for (const user of Object.values(testUsers) as TestUser[]) {
    const { name, project, isAdmin = false, roles = [] } = user;
    const { globalRoles = [], projectRoles: roleNames = [] } = user;
    await createUser(db, { id: name, accessKey: accessKeyOf(name), secretKey: secretKeyOf(name), isAdmin });
    if (projects.has(project)) await addMember(db, project, name);
    else await createProject(db, project, name);
    projects.add(project);
    for (const role of [...roles, ...globalRoles]) await addGlobalRole(db, name, role);
    for (const role of [...roles, ...roleNames]) await addProjectRole(db, name, project, role);
  }
}
