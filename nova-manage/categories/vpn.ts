import { VpnDirectory } from '../../common/cloud/vpns.js';
import { listProjects } from '../../common/db/projects.js';
import { userById } from '../../common/db/users.js';
import { InvalidInput } from '../../common/errors.js';
import { cloudOf, operator, rulesOf } from '../cloud.js';
import { type Argument, type Category, type Command, json, printOrJson, shown } from '../command.js';

const project: Argument = { name: 'project', option: '--project', help: 'Project name' };
const ec2Id = (id: number): string => `i-${id.toString(16).padStart(8, '0')}`;

const list: Command = {
  summary: 'Print a listing of the VPN data for one or all projects',
  arguments: [project, json],
  async run(environment, values) {
    const vpns = await new VpnDirectory(await rulesOf(environment)).list(operator(environment), values['project']);
    const data = vpns.map(({ projectId, endpoint, instance, state }) => ({
      project: projectId,
      ip: endpoint.address,
      port: endpoint.port,
      private_ip: instance?.address ?? null,
      host: instance?.host ?? null,
      instance: instance === null ? null : ec2Id(instance.id),
      vm_state: instance?.vm_state ?? null,
      state,
    }));
    printOrJson(environment, values, data, () => {
      environment.print('WARNING: This method only works with deprecated auth');
      const row = (cells: readonly string[]): void => environment.print(cells.join('\t'));
      row(['project'.padEnd(12), 'ip:port'.padEnd(20), 'private_ip'.padEnd(20), 'state']);
      for (const vpn of data) {
        const cells = [vpn.project.padEnd(12), `${shown(vpn.ip)}:${shown(vpn.port)}`.padEnd(20)];
        if (vpn.instance === null) row([...cells, 'None']);
        else {
          const state = vpn.state === 'running' ? 'up' : 'down';
          row([...cells, shown(vpn.private_ip).padEnd(20), shown(vpn.host), vpn.instance, shown(vpn.vm_state), state]);
        }
      }
    });
  },
};

const change: Command = {
  summary: "Change the ip and port for a vpn: on all of the project's networks",
  arguments: [
    { ...project, required: true },
    { name: 'ip', option: '--ip', required: true, help: 'IP address at which users reach it' },
    { name: 'port', option: '--port', required: true, help: 'Port at which users reach it' },
  ],
  async run(environment, values) {
    const port = values['port']!;
    if (!/^\d{1,5}$/.test(port)) throw new InvalidInput(`--port=${port} must be a number`);
    const vpns = new VpnDirectory(await rulesOf(environment));
    await vpns.change(operator(environment), values['project']!, values['ip']!, Number(port));
  },
};

const run: Command = {
  summary: 'Start the VPN for a given project',
  arguments: [
    { ...project, required: true },
    { name: 'user', option: '--user', help: "Accepted; the instance belongs to the project's manager" },
  ],
  async run(environment, values) {
    if (values['user'] !== undefined) await userById(await environment.database(), values['user']);
    const cloud = await cloudOf(environment);
    const id = await cloud.vpns.start(operator(environment), values['project']!);
    environment.print(`${values['project']}: ${ec2Id(id)}`);
  },
};

const spawn: Command = {
  summary: 'Run all VPNs: starts one for each project which has none',
  arguments: [],
  async run(environment) {
    const cloud = await cloudOf(environment);
    for (const { id: name } of await listProjects(await environment.database())) {
      environment.print(`${name}: ${ec2Id(await cloud.vpns.start(operator(environment), name))}`);
    }
  },
};

/** `nova-manage vpn` (nova 2011.3, bin/nova-manage VpnCommands): cloudpipes. */
export const vpn: Category = { commands: { change, list, run, spawn } };
