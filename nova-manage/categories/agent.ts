import { changeAgentBuild, createAgentBuild, deleteAgentBuild, listAgentBuilds } from '../../common/db/agentBuilds.js';
import { type Argument, type Category, type Command, CommandError, json, printOrJson } from '../command.js';

const named = (name: string, help: string, required = true): Argument => ({ name, required, help });
const build: readonly Argument[] = [
  named('os', 'Operating system of the guest'),
  named('architecture', 'Architecture of the guest'),
];
const content: readonly Argument[] = [
  named('version', 'Version of the agent'),
  named('url', 'Where guests download it'),
  named('md5hash', 'MD5 of the download'),
];
const hypervisor = named('hypervisor', 'Hypervisor (xen)', false);

const list: Command = {
  summary: 'Lists all agent builds.',
  arguments: [named('hypervisor', 'Only those of this hypervisor', false), json],
  async run(environment, values) {
    const rows = await listAgentBuilds(await environment.database(), values['hypervisor']);
    const shown = rows.map(({ hypervisor: of, os, architecture, version, url, md5hash }) => {
      return { hypervisor: of, os, architecture, version, url, md5hash };
    });
    printOrJson(environment, values, shown, () => {
      for (const name of new Set(rows.map((row) => row.hypervisor))) {
        const dashes = [10, 8, 12, 32].map((width) => '-'.repeat(width)).join('  ');
        environment.print(`Hypervisor: ${name}`);
        environment.print(dashes);
        for (const row of rows.filter((candidate) => candidate.hypervisor === name)) {
          const columns = [
            (row.os ?? '').padEnd(10),
            (row.architecture ?? '').padEnd(8),
            (row.version ?? '').padStart(12),
            row.md5hash ?? '',
          ];
          environment.print(columns.join('  '));
          environment.print(`    ${row.url ?? ''}`);
        }
        environment.print('');
      }
    });
  },
};

/** `nova-manage agent` (nova 2011.3, bin/nova-manage AgentBuildCommands): agents which hypervisors put into their guests. */
export const agent: Category = {
  commands: {
    create: {
      summary: 'Creates a new agent build.',
      arguments: [...build, ...content, hypervisor],
      async run(environment, values) {
        await createAgentBuild(await environment.database(), {
          hypervisor: values['hypervisor'] ?? 'xen',
          os: values['os']!,
          architecture: values['architecture']!,
          version: values['version']!,
          url: values['url']!,
          md5hash: values['md5hash']!,
        });
      },
    },
    delete: {
      summary: 'Deletes an existing agent build.',
      arguments: [...build, hypervisor],
      async run(environment, values) {
        const of = {
          os: values['os']!,
          architecture: values['architecture']!,
          hypervisor: values['hypervisor'] ?? 'xen',
        };
        await deleteAgentBuild(await environment.database(), of);
      },
    },
    list,
    modify: {
      summary: 'Update an existing agent build.',
      arguments: [...build, ...content, hypervisor],
      async run(environment, values) {
        const of = {
          os: values['os']!,
          architecture: values['architecture']!,
          hypervisor: values['hypervisor'] ?? 'xen',
        };
        const changed = await changeAgentBuild(await environment.database(), of, {
          version: values['version']!,
          url: values['url']!,
          md5hash: values['md5hash']!,
        });
        if (!changed)
          throw new CommandError(`There is no agent build for ${of.os} ${of.architecture} on ${of.hypervisor}.`);
      },
    },
  },
};
