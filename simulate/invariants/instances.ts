import { powerState } from '../../nova-compute/virt/driver.js';
import type { InstanceRow } from '../../common/db/rows.js';
import type { View } from './view.js';

/** States of rest in which an instance has a machine. */
const withMachine: readonly (string | null)[] = ['active', 'rescued'];
const atRest: readonly (string | null)[] = [...withMachine, 'stopped', 'error'];

export function describe(instance: InstanceRow): string {
  const { id, host, vm_state: vm, task_state: task, power_state: power, deleted } = instance;
  return `instance ${id} (host ${host}, ${deleted ? 'deleted, ' : ''}${vm}/${task}, power ${power})`;
}

/** It is at rest, and has a machine which runs. */
export function hasMachine(instance: InstanceRow | undefined): boolean {
  return instance !== undefined && withMachine.includes(instance.vm_state);
}

/** Every instance runs, is stopped, is gone, or is in `error` with a reason; none is on its way. */
export function instancesAtRest(view: View): string[] {
  // The newest action's: what went wrong earlier, and was overcome, is no reason.
  const reasons = new Map(view.rows('instance_actions').map((row) => [row.instance_id, row.error]));
  return view.rows('instances').flatMap((row) => {
    // One which no host had is deleted as it was, as in 2011.3.
    if (row.deleted)
      return row.vm_state === 'deleted' || row.host === null ? [] : [`${describe(row)} is deleted in this state`];
    if (!atRest.includes(row.vm_state) || row.task_state !== null) return [`${describe(row)} is not at rest`];
    if (row.vm_state === 'error' && !reasons.get(row.id)) return [`${describe(row)} is in error without a reason`];
    if (hasMachine(row) && row.host === null) return [`${describe(row)} has no host`];
    return [];
  });
}

/** The hypervisors run exactly the machines which the database says; power states agree. */
export function machinesMatch(view: View): string[] {
  const problems: string[] = [];
  const rows = new Map(view.rows('instances').map((row) => [row.id, row]));
  const found = new Map<number, string>();
  for (const host of view.hosts) {
    for (const machine of view.machinesOf(host.name)) {
      const row = rows.get(machine.instanceId);
      const where = `machine ${machine.name} on ${host.name} (state ${machine.state})`;
      if (row === undefined) problems.push(`${where} has no row`);
      else if (row.deleted) problems.push(`${where} is of a deleted instance: ${describe(row)}`);
      else if (row.host !== host.name) problems.push(`${where} is not where its row says: ${describe(row)}`);
      else if (row.vm_state === 'stopped') problems.push(`${where} is of a stopped instance: ${describe(row)}`);
      else if (hasMachine(row) && machine.state !== powerState.running)
        problems.push(`${where} does not run: ${describe(row)}`);
      if (found.has(machine.instanceId))
        problems.push(`${where} is there twice, also on ${found.get(machine.instanceId)}`);
      found.set(machine.instanceId, host.name);
    }
  }
  for (const row of view.live('instances')) {
    if (view.isLost(row.host)) continue;
    if (
      row.vm_state === 'error' &&
      row.launched_at !== null &&
      (row.power_state !== powerState.nostate) !== found.has(row.id)
    )
      problems.push(`${describe(row)} ${found.has(row.id) ? 'has a machine still' : 'has lost its machine'}`);
    if (!hasMachine(row)) continue;
    if (!found.has(row.id)) problems.push(`${describe(row)} has no machine`);
    else if (row.power_state !== powerState.running)
      problems.push(`${describe(row)} has another power state than its machine`);
  }
  return problems;
}

/** An instance in `error` whose build failed has nothing left: no machine, no address, no volume. */
export function failedBuildsHoldNothing(view: View): string[] {
  const problems: string[] = [];
  for (const row of view.live('instances')) {
    if (row.vm_state !== 'error' || row.launched_at !== null || view.isLost(row.host)) continue;
    const machine = view.hosts.some((host) => view.machinesOf(host.name).some((one) => one.instanceId === row.id));
    if (machine) problems.push(`${describe(row)} was never built and has a machine`);
    const addresses = view.live('fixed_ips').filter((one) => one.instance_id === row.id);
    if (addresses.length > 0)
      problems.push(`${describe(row)} was never built and holds ${addresses.map((one) => one.address).join(', ')}`);
    const volumes = view.live('volumes').filter((one) => one.instance_id === row.id);
    if (volumes.length > 0)
      problems.push(`${describe(row)} was never built and holds volumes ${volumes.map((one) => one.id).join(', ')}`);
  }
  return problems;
}
