import { makeNetworks, type NetworkRequest } from '../../common/cloud/networks.js';
import { changeNetwork, deleteNetwork, listNetworks, networkByCidr } from '../../common/db/networks.js';
import type { NetworkRow } from '../../common/db/rows.js';
import { Invalid, InvalidInput, NetworkNotFound, NetworkNotFoundForCidr } from '../../common/errors.js';
import type { Flags } from '../../common/flags/flags.js';
import { parseCidr } from '../../common/ipAddress.js';
import {
  type Argument,
  type ArgumentValues,
  type Category,
  type Command,
  json,
  type ManageEnvironment,
  printOrJson,
  shown,
} from '../command.js';
import { type Column, printTable } from '../table.js';

const argument = (name: string, option: `--${string}`, help: string): Argument => ({ name, option, help });

const create: Command = {
  summary: 'Creates fixed ips for host by range',
  arguments: [
    argument('label', '--label', 'Label for network, e.g. public'),
    argument('fixed_range_v4', '--fixed_range_v4', 'IPv4 subnet, e.g. 10.0.0.0/8'),
    argument('num_networks', '--num_networks', 'Number of networks to create'),
    argument('network_size', '--network_size', 'Number of addresses per network'),
    argument('multi_host', '--multi_host', "Multi host: 'T' or 'F'"),
    argument('vlan_start', '--vlan', 'First VLAN id'),
    argument('vpn_start', '--vpn', 'First VPN port'),
    argument('fixed_range_v6', '--fixed_range_v6', 'IPv6 subnet, e.g. fe80::/64'),
    argument('gateway_v6', '--gateway_v6', 'IPv6 gateway'),
    argument('bridge', '--bridge', 'Bridge, e.g. br100'),
    argument('bridge_interface', '--bridge_interface', 'Interface which the bridge is on'),
    argument('dns1', '--dns1', 'First DNS'),
    argument('dns2', '--dns2', 'Second DNS'),
    argument('project_id', '--project_id', 'Project which the network belongs to'),
    argument('priority', '--priority', 'Accepted; used by Quantum alone'),
    argument('uuid', '--uuid', 'UUID of the network'),
  ],
  async run(environment, values) {
    const { flags, random } = environment.runtime;
    const request = requestOf(environment, flags, inOrder(values));
    await makeNetworks({ db: await environment.database(), random }, request);
  },
};

/** In 2011.2 the range came first and the label was an option; a script of then is recognised by it. */
function inOrder(values: ArgumentValues): ArgumentValues {
  if (values['label'] === undefined || parseCidr(values['label']) === null) return values;
  const {
    label,
    fixed_range_v4: count,
    num_networks: size,
    network_size: vlan,
    multi_host: vpn,
    vlan_start: rangeV6,
    ...rest
  } = values;
  return {
    ...rest,
    label: 'public',
    fixed_range_v4: label,
    num_networks: count,
    network_size: size,
    vlan_start: vlan,
    vpn_start: vpn,
    fixed_range_v6: rangeV6,
  };
}

function requestOf(environment: ManageEnvironment, flags: Flags, values: ArgumentValues): NetworkRequest {
  const number = (name: string, fallback: number): number => {
    const text = values[name];
    if (text === undefined || text === '') return fallback;
    if (!/^\d{1,9}$/.test(text)) throw new InvalidInput(`${name} must be a number, not ${text}`);
    return Number(text);
  };
  const count = number('num_networks', flags.num_networks);
  const usesVlans = flags.network_manager.endsWith('VlanManager');
  return {
    label: values['label'] ?? '',
    rangeV4: values['fixed_range_v4'] || null,
    rangeV6: values['fixed_range_v6'] || null,
    gatewayV6: values['gateway_v6'] || null,
    count,
    size: number('network_size', 0) || defaultSize(environment, flags, values['fixed_range_v4'], count),
    multiHost: values['multi_host'] === undefined ? flags.multi_host : values['multi_host'] === 'T',
    bridge: values['bridge'] || flags.flat_network_bridge,
    bridgeInterface: values['bridge_interface'] || flags.flat_interface || flags.vlan_interface,
    dns1: values['dns1'] || flags.flat_network_dns || null,
    dns2: values['dns2'] || null,
    projectId: values['project_id'] || null,
    uuid: values['uuid'] || null,
    vpnClients: usesVlans ? flags.cnt_vpn_clients : 0,
    ...(usesVlans && {
      vlan: { start: number('vlan_start', flags.vlan_start), vpnStart: number('vpn_start', flags.vpn_start) },
    }),
  };
}

/** An equal share of the range, but no more than the flag network_size, which is said. */
function defaultSize(environment: ManageEnvironment, flags: Flags, rangeV4: string | undefined, count: number): number {
  const cidr = rangeV4 === undefined ? null : parseCidr(rangeV4);
  if (cidr === null) return flags.network_size;
  const share = Number(cidr.size) / count;
  if (share <= flags.network_size) return Math.max(1, 2 ** Math.floor(Math.log2(share)));
  const prefix = 32 - Math.ceil(Math.log2(flags.network_size));
  environment.print(`Subnet(s) too large, defaulting to /${prefix}.  To override, specify network_size flag.`);
  return flags.network_size;
}

const list: Command = {
  summary: 'List all created networks',
  arguments: [json],
  async run(environment, values) {
    const rows = await listNetworks(await environment.database());
    if (rows.length === 0 && values['json'] === undefined) throw new Invalid('No networks defined.');
    const column = (heading: string, width: number, key: keyof NetworkRow): Column<NetworkRow> => ({
      heading,
      width,
      key,
      value: (row: NetworkRow) => row[key],
    });
    printTable(
      environment,
      values,
      [
        column('id', 5, 'id'),
        column('IPv4', 18, 'cidr'),
        column('IPv6', 15, 'cidr_v6'),
        column('start address', 15, 'dhcp_start'),
        column('DNS1', 15, 'dns1'),
        column('DNS2', 15, 'dns2'),
        column('VlanID', 15, 'vlan'),
        column('project', 15, 'project_id'),
        column('uuid', 15, 'uuid'),
      ],
      rows,
      '\t',
    );
  },
};

const quantumList: Command = {
  summary: 'List all created networks with Quantum-relevant fields',
  arguments: [json],
  async run(environment, values) {
    const rows = await listNetworks(await environment.database());
    const data = rows.map(({ uuid, project_id: project, priority, cidr, cidr_v6 }) => {
      return { uuid, project, priority, cidr_v4: cidr, cidr_v6 };
    });
    printOrJson(environment, values, data, () => {
      const line = (uuid: string, project: string, priority: string, ranges: string): void =>
        environment.print([uuid.padEnd(32), project.padEnd(10), priority.padEnd(10), ranges].join('\t'));
      line('uuid', 'project', 'priority', 'cidr_v4 , cidr_v6');
      for (const row of data) {
        line(shown(row.uuid), shown(row.project), shown(row.priority), `${shown(row.cidr_v4)} , ${shown(row.cidr_v6)}`);
      }
    });
  },
};

const network: Argument = {
  name: 'fixed_range',
  option: '--network',
  required: true,
  help: 'Network, e.g. 10.0.0.0/24',
};

async function networkOf(environment: ManageEnvironment, values: ArgumentValues): Promise<NetworkRow> {
  const row = await networkByCidr(await environment.database(), values['fixed_range']!);
  if (row === undefined) throw new NetworkNotFoundForCidr(values['fixed_range']!);
  return row;
}

const remove: Command = {
  summary: 'Deletes a network with its fixed addresses',
  arguments: [network],
  async run(environment, values) {
    const row = await networkOf(environment, values);
    switch (await deleteNetwork(await environment.database(), row.id)) {
      case 'has a project':
        throw new Invalid(`Network must be disassociated from project ${row.project_id} before delete`);
      case 'in use':
        throw new Invalid(`Instances have addresses in network ${row.cidr}: terminate them before delete`);
      case 'not found':
        throw new NetworkNotFound(row.id);
      case 'deleted':
    }
  },
};

const modify: Command = {
  summary: 'Associate/Disassociate Network with Project and/or Host',
  arguments: [
    network,
    argument('project', '--project', 'Project name'),
    argument('host', '--host', 'Host'),
    {
      name: 'disassociate_project',
      option: '--disassociate-project',
      help: 'Disassociate from its project',
      isSwitch: true,
    },
    { name: 'disassociate_host', option: '--disassociate-host', help: 'Disassociate from its host', isSwitch: true },
  ],
  async run(environment, values) {
    const row = await networkOf(environment, values);
    const project = values['disassociate_project'] ? null : values['project'];
    const host = values['disassociate_host'] ? null : values['host'];
    await changeNetwork(await environment.database(), row.id, {
      ...(project !== undefined && { project_id: project }),
      ...(host !== undefined && { host }),
    });
  },
};

/** `nova-manage network` (nova 2011.3, bin/nova-manage NetworkCommands). */
export const networks: Category = {
  commands: { create, delete: remove, list, modify, quantum_list: quantumList },
};
