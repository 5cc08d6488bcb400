import { listFixedIps, reserveFixedIp } from '../../common/db/fixedIps.js';
import { FixedIpNotFoundForAddress, FixedIpNotFoundForHost } from '../../common/errors.js';
import { type Argument, type Category, type Command, CommandError, json, type ManageEnvironment } from '../command.js';
import { printTable } from '../table.js';

const address: Argument = { name: 'address', option: '--address', required: true, help: 'IP address' };
/** What these commands of 2011.3 end with when something isn't there. */
const notFound = (error: Error): CommandError => new CommandError(`error: ${error.message}`, 2);

const list: Command = {
  summary: 'Lists all fixed ips (optionally by host)',
  arguments: [{ name: 'host', option: '--host', help: 'Host' }, json],
  async run(environment, values) {
    const host = values['host'] ?? null;
    const rows = await listFixedIps(await environment.database(), host);
    if (rows.length === 0 && host !== null) throw notFound(new FixedIpNotFoundForHost(host));
    printTable(
      environment,
      values,
      [
        { heading: 'network', width: 18, key: 'network', value: (row) => row.cidr },
        { heading: 'IP address', width: 15, key: 'address', value: (row) => row.address },
        { heading: 'MAC address', width: 17, key: 'mac_address', value: (row) => row.mac },
        { heading: 'hostname', width: 15, key: 'hostname', value: (row) => row.hostname },
        { heading: 'host', width: 0, key: 'host', value: (row) => row.instance_host ?? row.host },
      ],
      rows,
      '\t',
    );
  },
};

async function setReserved(environment: ManageEnvironment, text: string, reserved: boolean): Promise<void> {
  if (!(await reserveFixedIp(await environment.database(), text, reserved))) {
    throw notFound(new FixedIpNotFoundForAddress(text));
  }
}

/** `nova-manage fixed` (nova 2011.3, bin/nova-manage FixedIpCommands). */
export const fixed: Category = {
  commands: {
    list,
    reserve: {
      summary: 'Mark fixed ip as reserved: it is not handed out',
      arguments: [address],
      run: (environment, values) => setReserved(environment, values['address']!, true),
    },
    unreserve: {
      summary: 'Mark fixed ip as free to use',
      arguments: [address],
      run: (environment, values) => setReserved(environment, values['address']!, false),
    },
  },
};
