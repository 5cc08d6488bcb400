import { hasRole } from '../../common/auth/roles.js';
import {
  addProjectRole,
  projectById,
  projectMembers,
  projectRoles,
  removeProjectRole,
} from '../../common/db/projects.js';
import { addGlobalRole, globalRoles, removeGlobalRole, userById } from '../../common/db/users.js';
import { Invalid, UserRoleNotFound } from '../../common/errors.js';
import { type Argument, type Category, type Command, type ManageEnvironment, shown } from '../command.js';

const roleArguments: readonly Argument[] = [
  { name: 'user', option: '--user', required: true, help: 'User name' },
  { name: 'role', option: '--role', required: true, help: 'Role, e.g. sysadmin or netadmin' },
  { name: 'project', option: '--project', help: 'Project name' },
];

const add: Command = {
  summary: 'adds role to user; if project is specified, adds project specific role',
  arguments: roleArguments,
  async run(environment, values) {
    const { allowed_roles: allowed, global_roles: global } = environment.runtime.flags;
    const db = await environment.database();
    const [user, role, project] = [values['user']!, values['role']!, values['project']];
    if (project !== undefined && !(await projectMembers(db, project)).includes(user)) {
      environment.print(`${user} not a member of ${project}`);
      return;
    }
    if (!allowed.includes(role)) throw new UserRoleNotFound(role);
    if (project !== undefined && global.includes(role)) throw new Invalid(`Unable to use global role ${role}`);
    await (project === undefined ? addGlobalRole(db, user, role) : addProjectRole(db, user, project, role));
    audit(environment, `Adding role ${role} to user ${user}${project === undefined ? '' : ` in project ${project}`}`);
  },
};

const has: Command = {
  summary:
    'checks to see if user has role; if project is specified, returns True if user has the global role and the project role',
  arguments: roleArguments,
  async run(environment, values) {
    const { flags } = environment.runtime;
    const db = await environment.database();
    const user = await userById(db, values['user']!);
    const project = values['project'] === undefined ? undefined : await projectById(db, values['project']);
    const role = values['role']!;
    const held = await globalRoles(db, user.id);
    const facts = {
      isAdmin: user.is_admin === true,
      globalRoles: held,
      // Without a project the global role decides alone.
      projectRoles: project === undefined ? held : await projectRoles(db, user.id, project.id),
      isProjectManager: project?.project_manager === user.id,
    };
    environment.print(shown(hasRole(flags, facts, role)));
  },
};

const remove: Command = {
  summary: 'removes role from user; if project is specified, removes project specific role',
  arguments: roleArguments,
  async run(environment, values) {
    const db = await environment.database();
    const [user, role, project] = [values['user']!, values['role']!, values['project']];
    await userById(db, user);
    await (project === undefined ? removeGlobalRole(db, user, role) : removeProjectRole(db, user, project, role));
    audit(
      environment,
      `Removing role ${role} from user ${user}${project === undefined ? '' : ` for project ${project}`}`,
    );
  },
};

function audit(environment: ManageEnvironment, message: string): void {
  environment.runtime.log.logger('nova.auth.manager').audit(message);
}

/** `nova-manage role` (nova 2011.3, bin/nova-manage RoleCommands). */
export const role: Category = { commands: { add, has, remove } };
