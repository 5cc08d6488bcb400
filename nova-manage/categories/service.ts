import { listServices, setServiceDisabled } from '../../common/db/services.js';
import type { ServiceRow } from '../../common/db/rows.js';
import { parseTime } from '../../common/time.js';
import { adminContext } from '../../common/context.js';
import { type ArgumentValues, type Category, type Command, json, type ManageEnvironment } from '../command.js';
import { printTable } from '../table.js';

/** Seconds without heartbeat up to which `service list` shows a smile; fixed in nova 2011.3, whatever service_down_time is. */
const smilingSeconds = 15;

const list: Command = {
  summary: 'Show a list of all running services. Filter by host & service name.',
  arguments: [
    { name: 'host', option: '--host', help: 'Host' },
    { name: 'service', option: '--service', help: 'Nova service' },
    json,
  ],
  async run(environment, values) {
    const db = await environment.database();
    const now = environment.runtime.clock.now();
    const rows = (await listServices(db)).filter(
      (row) =>
        (values['host'] === undefined || row.host === values['host']) &&
        (values['service'] === undefined || row.binary === values['service']),
    );
    // a time of tomorrow is that of a host whose clock is wrong, not a sign of life
    const isUp = (row: ServiceRow): boolean => {
      const seen = row.updated_at ?? row.created_at;
      return seen !== null && Math.abs(now - parseTime(seen)) < (smilingSeconds + 1) * 1000;
    };
    printTable(
      environment,
      values,
      [
        { heading: 'Binary', width: 16, key: 'binary', value: (row) => row.binary },
        { heading: 'Host', width: 36, key: 'host', value: (row) => row.host },
        { heading: 'Zone', width: 16, key: 'zone', value: (row) => row.availability_zone },
        { heading: 'Status', width: 10, key: 'status', value: (row) => (row.disabled ? 'disabled' : 'enabled') },
        { heading: 'State', width: 5, key: 'state', value: (row) => (isUp(row) ? ':-)' : 'XXX') },
        { heading: 'Updated_At', width: 10, key: 'updated_at', value: (row) => row.updated_at },
      ],
      rows,
    );
  },
};

const hostAndService = [
  { name: 'host', option: '--host', required: true, help: 'Host' },
  { name: 'service', option: '--service', required: true, help: 'Nova service, e.g. nova-compute' },
] as const;

async function setDisabled(environment: ManageEnvironment, values: ArgumentValues, disabled: boolean): Promise<void> {
  await setServiceDisabled(await environment.database(), values['host']!, values['service']!, disabled);
}

const describeResource: Command = {
  summary: 'describes cpu/memory/hdd info for host.',
  arguments: [{ name: 'host', option: '--host', required: true, help: 'Host' }, json],
  async run(environment, values) {
    const host = values['host']!;
    const rpc = await environment.rpc();
    const { resource, usage } = await rpc.scheduler.call.show_host_resources(adminContext(environment.runtime), {
      host,
    });
    const inUse = usage as Record<string, { vcpus: number; memory_mb: number; local_gb: number }>;
    const sum = (key: 'vcpus' | 'memory_mb' | 'local_gb'): number =>
      Object.values(inUse).reduce((total, project) => total + project[key], 0);
    const used = { vcpus: sum('vcpus'), memory_mb: sum('memory_mb'), local_gb: sum('local_gb') };
    if (values['json']) {
      const total = { vcpus: resource['vcpus'], memory_mb: resource['memory_mb'], local_gb: resource['local_gb'] };
      const now = {
        vcpus: resource['vcpus_used'],
        memory_mb: resource['memory_mb_used'],
        local_gb: resource['local_gb_used'],
      };
      environment.print(JSON.stringify({ total, used_now: now, used_max: used, projects: inUse }, null, 2));
      return;
    }
    environment.print('HOST\t\t\tPROJECT\t\tcpu\tmem(mb)\tdisk(gb)');
    const row = (name: string, ...figures: (number | undefined)[]): void =>
      environment.print(`${name}\t\t\t${figures.join('\t')}`);
    row(`${host}(total)`, resource['vcpus'], resource['memory_mb'], resource['local_gb']);
    row(`${host}(used_now)`, resource['vcpus_used'], resource['memory_mb_used'], resource['local_gb_used']);
    row(`${host}(used_max)`, used.vcpus, used.memory_mb, used.local_gb);
    for (const [project, { vcpus, memory_mb: memory, local_gb: disk }] of Object.entries(inUse)) {
      environment.print(`${host}\t\t${project}\t\t${vcpus}\t${memory}\t${disk}`);
    }
  },
};

const updateResource: Command = {
  summary: 'updates available vcpu/memory/disk info for host.',
  arguments: [{ name: 'host', option: '--host', required: true, help: 'Host' }],
  async run(environment, values) {
    const host = values['host']!;
    const services = (await listServices(await environment.database())).filter((row) => row.host === host);
    if (services.length === 0) {
      environment.print(`${host} does not exist.`);
      return 1;
    }
    if (!services.some((row) => row.topic === 'compute')) {
      environment.print(`${host} is not compute node.`);
      return 1;
    }
    const rpc = await environment.rpc();
    await rpc.computeOn(host).call.update_available_resource(adminContext(environment.runtime), {});
    return 0;
  },
};

/** `nova-manage service` (nova 2011.3, bin/nova-manage ServiceCommands). */
export const service: Category = {
  commands: {
    list,
    enable: {
      summary: 'Enable scheduling for a service.',
      arguments: hostAndService,
      run: (environment, values) => setDisabled(environment, values, false),
    },
    disable: {
      summary: 'Disable scheduling for a service.',
      arguments: hostAndService,
      run: (environment, values) => setDisabled(environment, values, true),
    },
    describe_resource: describeResource,
    update_resource: updateResource,
  },
};
