import {
  createInstanceType,
  destroyInstanceType,
  getInstanceTypeByName,
  listInstanceTypes,
  purgeInstanceType,
} from '../../common/db/instanceTypes.js';
import type { InstanceTypeRow } from '../../common/db/rows.js';
import { InstanceTypeExists, InstanceTypeNotFoundByName } from '../../common/errors.js';
import { type Category, type Command, json, type ManageEnvironment } from '../command.js';

function describe(row: InstanceTypeRow): string {
  return (
    `${row.name}: Memory: ${row.memory_mb}MB, VCPUS: ${row.vcpus}, Storage: ${row.local_gb}GB, FlavorID: ${row.flavorid}, ` +
    `Swap: ${row.swap}MB, RXTX Quota: ${row.rxtx_quota}GB, RXTX Cap: ${row.rxtx_cap}MB${row.deleted ? ', inactive' : ''}`
  );
}

/** A whole number of at least `minimum`; undefined when the text is none. */
function wholeNumber(text: string | undefined, minimum: number): number | undefined {
  const value = text !== undefined && /^\d{1,9}$/.test(text) ? Number(text) : undefined;
  return value !== undefined && value >= minimum ? value : undefined;
}

const create: Command = {
  summary: 'creates instance types / flavors',
  arguments: [
    { name: 'name', option: '--name', required: true, help: 'Name of instance type/flavor' },
    { name: 'memory', option: '--memory', required: true, help: 'Memory size in MB' },
    { name: 'vcpus', option: '--cpu', required: true, help: 'Number of virtual CPUs' },
    { name: 'local_gb', option: '--local_gb', required: true, help: 'Size of the local disk in GB' },
    { name: 'flavorid', option: '--flavor', required: true, help: 'Flavor ID' },
    { name: 'swap', option: '--swap', help: 'Swap in MB (0)' },
    { name: 'rxtx_quota', option: '--rxtx_quota', help: 'RXTX quota in GB (0)' },
    { name: 'rxtx_cap', option: '--rxtx_cap', help: 'RXTX cap in MB/s (0)' },
  ],
  async run(environment, values) {
    const numbers = {
      memory_mb: wholeNumber(values['memory'], 1),
      vcpus: wholeNumber(values['vcpus'], 1),
      local_gb: wholeNumber(values['local_gb'], 0),
      flavorid: wholeNumber(values['flavorid'], 1),
      swap: wholeNumber(values['swap'] ?? '0', 0),
      rxtx_quota: wholeNumber(values['rxtx_quota'] ?? '0', 0),
      rxtx_cap: wholeNumber(values['rxtx_cap'] ?? '0', 0),
    };
    const { memory_mb, vcpus, local_gb, flavorid, swap, rxtx_quota, rxtx_cap } = numbers;
    if (
      memory_mb === undefined ||
      vcpus === undefined ||
      local_gb === undefined ||
      flavorid === undefined ||
      swap === undefined ||
      rxtx_quota === undefined ||
      rxtx_cap === undefined
    ) {
      environment.print('Must supply valid parameters to create instance_type');
      environment.print('Invalid input received: create arguments must be positive integers');
      return 1;
    }
    const db = await environment.database();
    const name = values['name']!;
    try {
      await createInstanceType(db, { name, memory_mb, vcpus, local_gb, flavorid, swap, rxtx_quota, rxtx_cap });
    } catch (error) {
      if (!(error instanceof InstanceTypeExists)) throw error;
      ['', '', '', ''].forEach(environment.print);
      environment.print(`Cannot create instance_type with name ${name} and flavorid ${flavorid}`);
      environment.print('Please ensure instance_type name and flavorid are unique.');
      environment.print('To complete remove a instance_type, use the --purge flag:');
      environment.print('\n     # nova-manage instance_type delete <name> --purge\n');
      environment.print('Currently defined instance_type names and flavorids:');
      await printAll(environment, true);
      return 2;
    }
    environment.print(`${name} created`);
    return 0;
  },
};

const remove: Command = {
  summary: 'Marks instance types / flavors as deleted',
  arguments: [
    { name: 'name', option: '--name', required: true, help: 'Name of instance type/flavor' },
    { name: 'purge', option: '--purge', help: 'purge record from database', isSwitch: true },
  ],
  async run(environment, values) {
    const db = await environment.database();
    const name = values['name']!;
    const purge = values['purge'] !== undefined;
    try {
      await (purge ? purgeInstanceType(db, name) : destroyInstanceType(db, name));
    } catch (error) {
      if (!(error instanceof InstanceTypeNotFoundByName)) throw error;
      environment.print('Valid instance type name is required');
      return 1;
    }
    environment.print(`${name} ${purge ? 'purged' : 'deleted'}`);
    return 0;
  },
};

async function printAll(environment: ManageEnvironment, inactive: boolean): Promise<void> {
  const rows = await listInstanceTypes(await environment.database(), { deleted: inactive ? 'any' : 'no' });
  rows.forEach((row) => environment.print(describe(row)));
}

const list: Command = {
  summary: 'Lists all active or specific instance types / flavors',
  arguments: [
    { name: 'name', option: '--name', help: 'Name of instance type/flavor; --all shows inactive ones too' },
    { name: 'all', option: '--all', help: 'show inactive ones too', isSwitch: true },
    json,
  ],
  async run(environment, values) {
    const db = await environment.database();
    const all = values['all'] !== undefined || values['name'] === '--all';
    const name = values['name'] === '--all' ? undefined : values['name'];
    const rows =
      name === undefined
        ? await listInstanceTypes(db, { deleted: all ? 'any' : 'no' })
        : [await getInstanceTypeByName(db, name)];
    if (values['json']) environment.print(JSON.stringify(rows, null, 2));
    else rows.forEach((row) => environment.print(describe(row)));
  },
};

/** `nova-manage instance_type`, also called `flavor` (nova 2011.3, bin/nova-manage InstanceTypeCommands). */
export const instanceType: Category = { commands: { create, delete: remove, list } };
