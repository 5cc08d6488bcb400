import { resolve } from 'node:path';
import { Projects } from '../../common/cloud/projects.js';
import { ProjectNotFound } from '../../common/errors.js';
import { projectById } from '../../common/db/projects.js';
import { projectLimits, quotaResources, setQuota, type QuotaResource } from '../../common/db/quotas.js';
import { InvalidInput, NotFound } from '../../common/errors.js';
import { credentialsOf, operator, rulesOf } from '../cloud.js';
import {
  type Argument,
  type Category,
  type Command,
  CommandError,
  json,
  type ManageEnvironment,
  printOrJson,
} from '../command.js';

const project: Argument = { name: 'project', option: '--project', required: true, help: 'Project name' };
const userName: Argument = { name: 'user', option: '--user', required: true, help: 'User name' };
const description: Argument = { name: 'desc', option: '--desc', help: 'Description' };

/** The resources which nova 2011.3 has, in its order; others are printed when they are set. */
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
    json,
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
    const shownLimit = (resource: QuotaResource): number | 'unlimited' =>
      limits[resource] === Infinity ? 'unlimited' : limits[resource];
    const data = Object.fromEntries(quotaResources.map((resource) => [resource, shownLimit(resource)]));
    printOrJson(environment, values, data, () => {
      const others = quotaResources.filter((one) => one === values['key'] && !printedResources.includes(one));
      for (const resource of [...printedResources, ...others]) {
        environment.print(`${resource}: ${shownLimit(resource)}`);
      }
    });
  },
};

const rules = async (environment: ManageEnvironment): Promise<Projects> => new Projects(await rulesOf(environment));

const fileArgument = (fallback: string): Argument => ({
  name: 'file',
  option: '--file',
  help: `File name (Default: ${fallback}); - is standard output`,
});

/** Writes credentials for their owner alone, or to standard output. */
async function deliver(environment: ManageEnvironment, file: string, content: Buffer): Promise<void> {
  if (file !== '-') await environment.runtime.files.writeAtomic(resolve(file), content, 0o600);
  else if (environment.write) environment.write(content);
  else environment.print(content.toString().replace(/\n$/, ''));
}

/** Without authentication a project needs no row, so that one which isn't there is worth a warning only. */
async function warnOfUnknown(environment: ManageEnvironment, id: string): Promise<void> {
  try {
    await projectById(await environment.database(), id);
  } catch (error) {
    if (!(error instanceof ProjectNotFound)) throw error;
    environment.runtime.log.logger('nova.auth.manager').warn(error.message);
  }
}

const environmentFile: Command = {
  summary: 'Exports environment variables to a file which a shell sources',
  arguments: [project, userName, fileArgument('novarc')],
  async run(environment, values) {
    const [name, user] = [values['project']!, values['user']!];
    await warnOfUnknown(environment, name);
    const text = await (await credentialsOf(environment)).rcFile(user, name);
    await deliver(environment, values['file'] ?? 'novarc', Buffer.from(text));
  },
};

const zipfile: Command = {
  summary: 'Exports credentials for project to a zip file: rc file, a new key with its certificate, CA certificate',
  arguments: [project, userName, fileArgument('nova.zip')],
  async run(environment, values) {
    const [name, user] = [values['project']!, values['user']!];
    await warnOfUnknown(environment, name);
    const credentials = await credentialsOf(environment);
    if (!(await credentials.available())) {
      throw new CommandError(
        `There is no certificate authority in ${environment.runtime.flags.ca_path}\n` +
          'The above error may show that the certificate db has not been created.\n' +
          'Please create a database by running a nova-api server on this host.',
      );
    }
    await deliver(environment, values['file'] ?? 'nova.zip', await credentials.zip(user, name));
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
          rules(environment).then((projects) =>
            projects.addMember(operator(environment), values['project']!, values['user']!),
          ),
        ),
    },
    create: {
      summary: 'Creates a new project',
      arguments: [project, userName, description],
      async run(environment, values) {
        const [name, manager] = [values['project']!, values['user']!];
        const wish = {
          id: name,
          managerId: manager,
          ...(values['desc'] !== undefined && { description: values['desc'] }),
        };
        await (await rules(environment)).register(operator(environment), wish);
      },
    },
    delete: {
      summary: 'Deletes an existing project',
      arguments: [project],
      run: (environment, values) =>
        sayingWhat(environment, async () =>
          (await rules(environment)).deregister(operator(environment), values['project']!),
        ),
    },
    environment: environmentFile,
    list: {
      summary: 'Lists all projects',
      arguments: [{ ...userName, required: false }, json],
      async run(environment, values) {
        const found = await (await rules(environment)).list(operator(environment), values['user']);
        if (values['json']) environment.print(JSON.stringify(found, null, 2));
        else found.forEach(({ id }) => environment.print(id));
      },
    },
    modify: {
      summary: 'Modifies a project',
      arguments: [project, userName, description],
      async run(environment, values) {
        await (
          await rules(environment)
        ).modify(operator(environment), values['project']!, {
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
        (await rules(environment)).removeMember(operator(environment), values['project']!, values['user']!),
    },
    scrub: {
      summary: "Takes a project's networks away from it and destroys its security groups",
      arguments: [project],
      run: async (environment, values) => (await rules(environment)).scrub(operator(environment), values['project']!),
    },
    zipfile,
  },
};
