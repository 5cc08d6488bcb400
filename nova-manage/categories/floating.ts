import { createFloatingIps, deleteFloatingIps, listFloatingIps } from '../../common/db/floatingIps.js';
import { FloatingIpNotFoundForHost, Invalid, InvalidInput, NoFloatingIpsDefined } from '../../common/errors.js';
import { addressAt, isIPv4, parseCidr } from '../../common/ipAddress.js';
import { type Category, type Command, json, shown } from '../command.js';

/** More addresses than this at a time are a mistyped prefix. */
const largestRange = 65_536n;

/** Every address of a CIDR, the first and the last included; or the one address which is given. */
function addressesOf(range: string): string[] {
  if (isIPv4(range)) return [range];
  const cidr = parseCidr(range);
  if (cidr === null || cidr.version !== 4) throw new Invalid(`invalid IPNetwork ${range}`);
  if (cidr.size > largestRange) throw new InvalidInput(`${range} has more than ${largestRange} addresses`);
  return Array.from({ length: Number(cidr.size) }, (_, index) => addressAt(cidr, index));
}

const create: Command = {
  summary: 'Creates floating ips for zone by range',
  arguments: [
    { name: 'ip_range', option: '--ip_range', required: true, help: 'IP range, e.g. 4.4.4.0/24' },
    { name: 'old_range', help: 'the range, when the first argument is the host which releases before 2011.3 wanted' },
  ],
  async run(environment, values) {
    const range = values['old_range'] ?? values['ip_range']!;
    await createFloatingIps(await environment.database(), addressesOf(range));
  },
};

const remove: Command = {
  summary: 'Deletes floating ips by range',
  arguments: [{ name: 'ip_range', option: '--ip_range', required: true, help: 'IP range' }],
  async run(environment, values) {
    await deleteFloatingIps(await environment.database(), addressesOf(values['ip_range']!));
  },
};

const list: Command = {
  summary: 'Lists all floating ips (optionally by host)',
  arguments: [{ name: 'host', option: '--host', help: 'Host' }, json],
  async run(environment, values) {
    const rows = await listFloatingIps(await environment.database(), values['host'] ?? null);
    if (values['json']) {
      environment.print(JSON.stringify(rows, null, 2));
      return;
    }
    if (rows.length === 0 && values['host'] !== undefined) throw new FloatingIpNotFoundForHost(values['host']);
    if (rows.length === 0) throw new NoFloatingIpsDefined();
    for (const row of rows) environment.print(`${shown(row.host)}\t${row.address}\t${shown(row.instance_hostname)}`);
  },
};

/** `nova-manage floating` (nova 2011.3, bin/nova-manage FloatingIpCommands). */
export const floating: Category = { commands: { create, delete: remove, list } };
