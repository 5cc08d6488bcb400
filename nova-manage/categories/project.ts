import {
  addMember,
  createProject,
  deleteProject,
  listProjects,
  modifyProject,
  removeMember,
} from '../../common/db/projects.js';
import { projectLimits, quotaResources, setQuota, type QuotaResource } from '../../common/db/quotas.js';
import { userById } from '../../common/db/users.js';
import { InvalidInput, NotFound } from '../../common/errors.js';
import { type Argument, type Category, type Command, json, type ManageEnvironment } from '../command.js';

const project: Argument = { name: 'project', option: '--project', required: true, help: 'Project name' };
const userName: Argument = { name: 'user', option: '--user', required: true, help: 'User name' };
const description: Argument = { name: 'desc', option: '--desc', help: 'Description' };

/** The resources in the order in which nova 2011.3 prints them. */
const printedResources: readonly QuotaResource[] = [
  'metadata_items',
  'instances',
  'injected_file_content_bytes',
  'injected_files',
  'volumes',
  'gigabytes',
  'cores',
  'ram',
  'floating_ips',
];

const quota: Command = {
  summary: 'Set or display quotas for project',
  arguments: [
    project,
    { name: 'key', option: '--key', help: `Resource: ${[...quotaResources].sort().join(', ')}` },
    { name: 'value', option: '--value', help: 'Limit, or unlimited' },
  ],
  async run(environment, values) {
    const db = await environment.database();
    const projectId = values['project']!;
    if (values['key'] !== undefined) {
      const resource = quotaResources.find((candidate) => candidate === values['key']);
      if (resource === undefined) {
        throw new InvalidInput(`--key=${values['key']} is none of ${[...quotaResources].sort().join(', ')}`);
      }
      const limit = limitOf(values['value']);
      await db.transaction((tx) => setQuota(tx, projectId, resource, limit));
    }
    const limits = await projectLimits(db, environment.runtime.flags, projectId);
    for (const resource of printedResources) {
      environment.print(`${resource}: ${limits[resource] === Infinity ? 'unlimited' : limits[resource]}`);
    }
  },
};

/** Prints what is missing before the command fails of it, as these commands of 2011.3 do. */
async function sayingWhat(environment: ManageEnvironment, work: () => Promise<void>): Promise<void> {
  try {
    await work();
  } catch (error) {
    if (error instanceof NotFound) environment.print(error.message);
    throw error;
  }
}

function limitOf(text: string | undefined): number | null {
  if (text === 'unlimited' || text === '-1') return null;
  if (text === undefined || !/^\d{1,9}$/.test(text)) throw new InvalidInput('--value must be a number or unlimited');
  return Number(text);
}

/** `nova-manage project`, also called `account` (nova 2011.3, bin/nova-manage ProjectCommands). */
export const projects: Category = {
  commands: {
    add: {
      summary: 'Adds user to project',
      arguments: [project, userName],
      run: (environment, values) =>
        sayingWhat(environment, async () =>
          addMember(await environment.database(), values['project']!, values['user']!),
        ),
    },
    create: {
      summary: 'Creates a new project',
      arguments: [project, userName, description],
      async run(environment, values) {
        const [name, manager] = [values['project']!, values['user']!];
        await createProject(await environment.database(), name, manager, values['desc'] ?? name);
        environment.runtime.log.logger('nova.auth.manager').audit(`Created project ${name} with manager ${manager}`);
      },
    },
    delete: {
      summary: 'Deletes an existing project',
      arguments: [project],
      run: (environment, values) =>
        sayingWhat(environment, async () => deleteProject(await environment.database(), values['project']!)),
    },
    list: {
      summary: 'Lists all projects',
      arguments: [{ ...userName, required: false }, json],
      async run(environment, values) {
        const db = await environment.database();
        if (values['user'] !== undefined) await userById(db, values['user']);
        const found = await listProjects(db, values['user']);
        if (values['json']) environment.print(JSON.stringify(found, null, 2));
        else found.forEach(({ id }) => environment.print(id));
      },
    },
    modify: {
      summary: 'Modifies a project',
      arguments: [project, userName, description],
      async run(environment, values) {
        await modifyProject(await environment.database(), values['project']!, {
          managerId: values['user']!,
          ...(values['desc'] !== undefined && { description: values['desc'] }),
        });
      },
    },
    quota,
    remove: {
      summary: 'Removes user from project',
      arguments: [project, userName],
      run: async (environment, values) =>
        removeMember(await environment.database(), values['project']!, values['user']!),
    },
  },
};
