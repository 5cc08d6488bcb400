import type { VolumeRow } from '../../common/db/rows.js';
import { usedByInstances, usedByVolumes, usedFloatingIps } from '../../common/db/quotas.js';
import { filterOf } from '../drivers.js';
import { users } from '../plan.js';
import { hasMachine } from './instances.js';
import type { View } from './view.js';

/** Nobody has more than its quota, and what counts against it is what there is. */
export async function quotas(view: View): Promise<string[]> {
  const problems: string[] = [];
  const flags = view.cloud.flagsOf('cloud1');
  const sum = (values: readonly (number | null)[]): number =>
    values.reduce<number>((total, one) => total + (one ?? 0), 0);
  for (const project of new Set(users.map((user) => user.project))) {
    const instances = view.live('instances').filter((row) => row.project_id === project);
    const volumes = view.live('volumes').filter((row) => row.project_id === project);
    const floating = view.live('floating_ips').filter((row) => row.project_id === project);
    const counted = await usedByInstances(view.cloud.db, project);
    const stored = await usedByVolumes(view.cloud.db, project);
    const figures: readonly (readonly [string, number, number, number])[] = [
      ['instances', counted.instances, instances.length, flags.quota_instances],
      ['cores', counted.cores, sum(instances.map((row) => row.vcpus)), flags.quota_cores],
      ['ram', counted.ram, sum(instances.map((row) => row.memory_mb)), flags.quota_ram],
      ['volumes', stored.volumes, volumes.length, flags.quota_volumes],
      ['gigabytes', stored.gigabytes, sum(volumes.map((row) => row.size)), flags.quota_gigabytes],
      ['floating addresses', await usedFloatingIps(view.cloud.db, project), floating.length, flags.quota_floating_ips],
    ];
    for (const [what, used, there, limit] of figures) {
      if (used !== there) problems.push(`project ${project} is charged ${used} ${what} and has ${there}`);
      if (there > limit) problems.push(`project ${project} has ${there} ${what}, and may have ${limit}`);
    }
  }
  return problems;
}

/** The simple scheduler gives no host more than it can carry. */
export function hostsNotOverfilled(view: View): string[] {
  const { scheduler_driver: driver, max_cores: most } = view.cloud.flagsOf('cloud1');
  if (!driver.endsWith('SimpleScheduler')) return [];
  const used = new Map<string, number>();
  for (const { host, vcpus } of view.live('instances')) {
    if (host !== null) used.set(host, (used.get(host) ?? 0) + (vcpus ?? 0));
  }
  const over = [...used].filter(([, cores]) => cores > most);
  return over.map(([host, cores]) => `the instances on ${host} have ${cores} cores, and it can carry ${most}`);
}

/** Each machine's packet filter lets in what the rules of its groups say now; there is none without a machine. */
export async function filtersMatch(view: View): Promise<string[]> {
  const problems: string[] = [];
  for (const host of view.hosts) {
    for (const machine of view.machinesOf(host.name)) {
      const row = view.live('instances').find((one) => one.id === machine.instanceId);
      if (!hasMachine(row) || row?.host !== host.name) continue;
      const wanted = await filterOf(view.cloud.db, machine.instanceId);
      const found = host.filters.get(machine.name);
      if (found !== wanted)
        problems.push(`${machine.name} on ${host.name} lets in [${found ?? 'anything'}] and should let in [${wanted}]`);
    }
    const there = new Set(view.machinesOf(host.name).map((machine) => machine.name));
    for (const name of host.filters.keys()) {
      if (!there.has(name)) problems.push(`${host.name} has a filter for ${name}, which is not there`);
    }
  }
  return problems;
}

/** Every call got an answer or an error, and none of them tells of a defect. */
export function callsAnswered(view: View): string[] {
  const open = [...view.users.open].map((sent) => `no answer since ${sent.at} ms to: ${sent.what}`);
  return [...open, ...view.users.broken, ...view.cloud.log.defects];
}

/** Nothing waits on the bus, and every queue has whoever consumes it. What is on its way just now has some seconds. */
export async function busIdle(view: View): Promise<string[]> {
  for (let attempt = 0; attempt < 3 && unrest(view).length > 0; attempt++) await view.cloud.world.sleep(1700);
  return unrest(view);
}

function unrest(view: View): string[] {
  const problems: string[] = [];
  const { bus } = view.cloud.broker;
  for (const name of bus.queueNames) {
    const depth = bus.depth(name);
    if (depth === null || view.isLost(name.split('.')[1] ?? null)) continue;
    if (depth.consumers === 0) problems.push(`queue ${name} has no consumer, and ${depth.ready} messages`);
    else if (depth.ready + depth.unacked > 0)
      problems.push(`queue ${name} holds ${depth.ready} messages which wait and ${depth.unacked} which are worked on`);
  }
  if (bus.openCalls > 0) problems.push(`${bus.openCalls} calls wait for their answer`);
  for (const daemon of view.cloud.daemons.values()) {
    if (!daemon.host.lost && !daemon.serves) problems.push(`${daemon.name} does not serve`);
  }
  return problems;
}

/** When users have given everything back, nothing is left but what was on hosts which are lost. */
export function nothingLeft(view: View): string[] {
  const instances = view.live('instances').filter((row) => !view.isLost(row.host));
  const held = new Set(view.live('instances').map((row) => row.id));
  const isStuck = (row: VolumeRow): boolean =>
    view.isLost(row.host) || (row.instance_id !== null && held.has(row.instance_id));
  const volumes = view.live('volumes').filter((row) => !isStuck(row));
  const stuck = new Set(view.rows('volumes').flatMap((row) => (isStuck(row) ? [row.id] : [])));
  const snapshots = view.live('snapshots').filter((row) => !stuck.has(row.volume_id));
  const fixed = view.live('fixed_ips').filter((row) => row.instance_id !== null && !held.has(row.instance_id));
  const floating = view.live('floating_ips').filter((row) => row.project_id !== null);
  return [
    ...instances.map((row) => `instance ${row.id} is left (${row.vm_state}/${row.task_state})`),
    ...volumes.map((row) => `volume ${row.id} is left (${row.status})`),
    ...snapshots.map((row) => `snapshot ${row.id} is left (${row.status})`),
    ...fixed.map((row) => `fixed address ${row.address} is left to instance ${row.instance_id}`),
    ...floating.map((row) => `floating address ${row.address} is left to ${row.project_id}`),
  ];
}
