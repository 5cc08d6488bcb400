import type { Project } from '../../common/db/projects.js';
import { action, done, type Ec2Actions, type Ec2Result } from './action.js';
import { operationParam } from './operation.js';
import { list, required, text } from './params.js';

/** Projects and members at the Admin endpoint (nova 2011.3, nova/api/ec2/admin.py). */
export const adminProjectActions: Ec2Actions = {
  DescribeProject: action({
    roles: [],
    params: { Name: required(text) },
    run: async (cloud, context, { Name: name }) => projectItem(await cloud.projects.get(context, name)),
  }),

  DescribeProjects: action({
    roles: [],
    params: { User: text },
    run: async (cloud, context, { User: user }) => ({
      projectSet: (await cloud.projects.list(context, user)).map(projectItem),
    }),
  }),

  RegisterProject: action({
    roles: [],
    params: { Name: required(text), ManagerUser: required(text), Description: text, MemberUsers: list(text) },
    async run(cloud, context, params) {
      const { Name: id, ManagerUser: managerId, Description: description, MemberUsers: memberIds } = params;
      const wish = { id, managerId, memberIds, ...(description !== undefined && { description }) };
      return projectItem(await cloud.projects.register(context, wish));
    },
  }),

  ModifyProject: action({
    roles: [],
    params: { Name: required(text), ManagerUser: required(text), Description: text },
    async run(cloud, context, { Name: name, ManagerUser: managerId, Description: description }) {
      await cloud.projects.modify(context, name, { managerId, ...(description !== undefined && { description }) });
      return done;
    },
  }),

  DeregisterProject: action({
    roles: [],
    params: { Name: required(text) },
    async run(cloud, context, { Name: name }) {
      await cloud.projects.deregister(context, name);
      return done;
    },
  }),

  DescribeProjectMembers: action({
    roles: [],
    params: { Name: required(text) },
    run: async (cloud, context, { Name: name }) => ({
      members: (await cloud.projects.members(context, name)).map((member) => ({ member })),
    }),
  }),

  ModifyProjectMember: action({
    roles: [],
    params: { User: required(text), Project: required(text), Operation: operationParam('add') },
    async run(cloud, context, { User: user, Project: project, Operation: operation }) {
      if (operation === 'add') await cloud.projects.addMember(context, project, user);
      else await cloud.projects.removeMember(context, project, user);
      return done;
    },
  }),
};

function projectItem(project: Project): Ec2Result {
  return { projectname: project.id, projectManagerId: project.project_manager, description: project.description };
}
