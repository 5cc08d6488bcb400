import type { User } from '../../common/db/users.js';
import { action, done, type Ec2Actions, type Ec2Result } from './action.js';
import { operationParam } from './operation.js';
import { bool, required, text } from './params.js';

/** Users and roles at the Admin endpoint (nova 2011.3, nova/api/ec2/admin.py). */
export const adminUserActions: Ec2Actions = {
  DescribeUser: action({
    roles: [],
    params: { Name: required(text) },
    run: async (cloud, context, { Name: name }) => userItem(await cloud.users.get(context, name)),
  }),

  DescribeUsers: action({
    roles: [],
    params: {},
    run: async (cloud, context) => ({ userSet: (await cloud.users.list(context)).map((user) => userItem(user)) }),
  }),

  RegisterUser: action({
    roles: [],
    params: { Name: required(text) },
    run: async (cloud, context, { Name: name }) => userItem(await cloud.users.register(context, name)),
  }),

  DeregisterUser: action({
    roles: [],
    params: { Name: required(text) },
    async run(cloud, context, { Name: name }) {
      await cloud.users.deregister(context, name);
      return done;
    },
  }),

  DescribeRoles: action({
    roles: [],
    params: { ProjectRoles: bool },
    run: async (cloud, context, { ProjectRoles: inProjects }) =>
      roleSet(cloud.users.roles(context, inProjects ?? true)),
  }),

  DescribeUserRoles: action({
    roles: [],
    params: { User: required(text), Project: text },
    run: async (cloud, context, { User: user, Project: project }) =>
      roleSet(await cloud.users.rolesOf(context, user, project)),
  }),

  ModifyUserRole: action({
    roles: [],
    params: { User: required(text), Role: required(text), Project: text, Operation: operationParam('add') },
    async run(cloud, context, { User: user, Role: role, Project: project, Operation: operation }) {
      if (operation === 'add') await cloud.users.grant(context, user, role, project);
      else await cloud.users.revoke(context, user, role, project);
      return done;
    },
  }),

  GenerateX509ForUser: action({
    roles: [],
    params: { Name: required(text), Project: text },
    async run(cloud, context, { Name: name, Project: project }) {
      const { user, zip } = await cloud.credentials.ofUser(context, name, project ?? name);
      return userItem(user, zip.toString('base64'));
    },
  }),
};

function userItem(user: User, file: string | null = null): Ec2Result {
  return { username: user.id, accesskey: user.access_key, secretkey: user.secret_key, file };
}

function roleSet(roles: readonly string[]): Ec2Result {
  return { roles: roles.map((role) => ({ role })) };
}
