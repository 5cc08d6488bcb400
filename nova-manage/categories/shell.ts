import { resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { Users } from '../../common/cloud/users.js';
import { listProjects, projectMembers, projectRoles } from '../../common/db/projects.js';
import { listUsers } from '../../common/db/users.js';
import { cloudOf, operator, rulesOf } from '../cloud.js';
import { type Category, type Command, CommandError, type ManageEnvironment } from '../command.js';

/** What a shell or a script works with. Database and bus are opened when they are asked for. */
function scopeOf(environment: ManageEnvironment): Record<string, unknown> {
  return {
    flags: environment.runtime.flags,
    runtime: environment.runtime,
    context: operator(environment),
    database: () => environment.database(),
    rpc: () => environment.rpc(),
    images: environment.images(),
    cloud: () => cloudOf(environment),
  };
}

async function interactive(environment: ManageEnvironment): Promise<void> {
  const scope = scopeOf(environment);
  environment.print(`A Node.js shell. At hand: ${Object.keys(scope).join(', ')}; e.g. (await cloud()).zones.list()`);
  const { start } = await import('node:repl');
  const shell = start({ prompt: '>>> ' });
  Object.assign(shell.context, scope);
  await new Promise<void>((ended) => shell.once('exit', () => ended()));
}

/** The shells of 2011.3 were Python's; all their names start the same Node.js shell. */
const shellCommand = (name: string): Command => ({
  summary: `Runs a Node.js shell (2011.3: ${name})`,
  arguments: [],
  run: interactive,
});

const script: Command = {
  summary: 'Runs a script: a JavaScript module whose default export is called with what the shell has at hand',
  arguments: [{ name: 'path', option: '--path', required: true, help: 'Script path' }],
  async run(environment, values) {
    const path = resolve(values['path']!);
    if (!(await environment.runtime.files.exists(path))) throw new CommandError(`${path} does not exist`);
    const module = (await import(pathToFileURL(path).href)) as { default?: unknown };
    if (typeof module.default === 'function')
      await (module.default as (scope: unknown) => unknown)(scopeOf(environment));
  },
};

/** Lines with which users, projects, credentials and roles are put into a Keystone of the time. */
async function keystoneLines(environment: ManageEnvironment): Promise<string[]> {
  const db = await environment.database();
  const users = new Map((await listUsers(db)).map((user) => [user.id, user]));
  const projects = await listProjects(db);
  const roles = new Users(await rulesOf(environment)).roles(operator(environment), true);
  const lines: string[] = [];
  const grants: string[] = [];
  for (const { id: project } of projects) {
    lines.push(`tenant add '${project}'`);
    for (const name of await projectMembers(db, project)) {
      const user = users.get(name);
      if (user === undefined) continue;
      const { access_key: access, secret_key: secret } = user;
      lines.push(`user add '${name}' '${access}' '${project}'`);
      lines.push(`credentials add 'EC2' '${access}:${project}' '${secret}' '${project}'`);
      const held = await projectRoles(db, name, project);
      grants.push(...held.map((role) => `role grant '${name}', '${role}', '${project}'),`));
    }
  }
  return [...lines, ...roles.map((role) => `role add '${role}'`), '', ...grants, ''];
}

const exportCommand: Command = {
  summary: 'Export users, projects, credentials and roles as Keystone import lines',
  arguments: [{ name: 'filename', option: '--filename', help: 'Export file path; standard output when absent' }],
  async run(environment, values) {
    const lines = await keystoneLines(environment);
    if (values['filename'] === undefined) lines.forEach((line) => environment.print(line));
    else await environment.runtime.files.writeAtomic(resolve(values['filename']), `${lines.join('\n')}\n`, 0o600);
  },
};

/** `nova-manage shell` (nova 2011.3, bin/nova-manage ShellCommands). */
export const shell: Category = {
  commands: {
    bpython: shellCommand('bpython'),
    export: exportCommand,
    ipython: shellCommand('ipython'),
    python: shellCommand('python'),
    run: {
      ...shellCommand('the first of bpython, ipython and python'),
      arguments: [{ name: 'shell', option: '--shell', help: 'Accepted; there is one shell' }],
    },
    script,
  },
};
