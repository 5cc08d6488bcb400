import { Hosts } from '../../common/cloud/hosts.js';
import { type Category, type Command, json } from '../command.js';
import { operator, rulesOf } from '../cloud.js';
import { printTable } from '../table.js';

const list: Command = {
  summary: 'Show a list of all physical hosts. Filter by zone.',
  arguments: [{ name: 'zone', help: 'Only hosts of this availability zone' }, json],
  async run(environment, values) {
    const hosts = await new Hosts(await rulesOf(environment)).list(operator(environment));
    printTable(
      environment,
      values,
      [
        { heading: 'host', width: 25, key: 'host', value: (host) => host.name },
        { heading: 'zone', width: 15, key: 'zone', value: (host) => host.zone },
      ],
      hosts.filter((host) => values['zone'] === undefined || host.zone === values['zone']),
      '\t',
    );
  },
};

/** `nova-manage host` (nova 2011.3, bin/nova-manage HostCommands). */
export const host: Category = { commands: { list } };
