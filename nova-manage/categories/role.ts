import { hasRole } from '../../common/auth/roles.js';
import { Users } from '../../common/cloud/users.js';
import { projectById, projectRoles } from '../../common/db/projects.js';
import { globalRoles, userById } from '../../common/db/users.js';
import { operator, rulesOf } from '../cloud.js';
import { type Argument, type Category, type Command, json, printOrJson, shown } from '../command.js';

const roleArguments: readonly Argument[] = [
  { name: 'user', option: '--user', required: true, help: 'User name' },
  { name: 'role', option: '--role', required: true, help: 'Role, e.g. sysadmin or netadmin' },
  { name: 'project', option: '--project', help: 'Project name' },
];

const add: Command = {
  summary: 'adds role to user; if project is specified, adds project specific role',
  arguments: roleArguments,
  async run(environment, values) {
    const [user, role, project] = [values['user']!, values['role']!, values['project']];
    const users = new Users(await rulesOf(environment));
    if (project !== undefined && !(await users.isMember(operator(environment), user, project))) {
      environment.print(`${user} not a member of ${project}`);
      return;
    }
    await users.grant(operator(environment), user, role, project);
  },
};

const has: Command = {
  summary:
    'checks to see if user has role; if project is specified, returns True if user has the global role and the project role',
  arguments: [...roleArguments, json],
  async run(environment, values) {
    const { flags } = environment.runtime;
    const db = await environment.database();
    const user = await userById(db, values['user']!);
    const project = values['project'] === undefined ? undefined : await projectById(db, values['project']);
    const role = values['role']!;
    const global = await globalRoles(db, user.id);
    const facts = {
      isAdmin: user.is_admin === true,
      globalRoles: global,
      // Without a project the global role decides alone.
      projectRoles: project === undefined ? global : await projectRoles(db, user.id, project.id),
      isProjectManager: project?.project_manager === user.id,
    };
    const held = hasRole(flags, facts, role);
    printOrJson(environment, values, { has: held }, () => environment.print(shown(held)));
  },
};

const remove: Command = {
  summary: 'removes role from user; if project is specified, removes project specific role',
  arguments: roleArguments,
  async run(environment, values) {
    const users = new Users(await rulesOf(environment));
    await users.revoke(operator(environment), values['user']!, values['role']!, values['project']);
  },
};

/** `nova-manage role` (nova 2011.3, bin/nova-manage RoleCommands). */
export const role: Category = { commands: { add, has, remove } };
