import type { View } from './view.js';
import { describe, hasMachine } from './instances.js';

/** Every fixed address belongs to at most one live instance, as the machine has it, and to none when that is gone. */
export function fixedAddresses(view: View): string[] {
  const problems: string[] = [];
  const instances = new Map(view.live('instances').map((row) => [row.id, row]));
  const interfaces = new Map(view.rows('virtual_interfaces').map((row) => [row.id, row]));
  for (const row of view.live('fixed_ips')) {
    const what = `fixed address ${row.address} (row ${row.id}, instance ${row.instance_id}, allocated ${row.allocated})`;
    if (row.instance_id === null) {
      if (row.allocated || row.virtual_interface_id !== null) problems.push(`${what} is free and in use`);
      continue;
    }
    const instance = instances.get(row.instance_id);
    if (instance === undefined) problems.push(`${what} belongs to an instance which is gone`);
    else if (instance.vm_state === 'stopped') problems.push(`${what} belongs to a stopped one: ${describe(instance)}`);
    else if (!row.allocated) problems.push(`${what} was given back and never freed`);
    const vif = row.virtual_interface_id === null ? undefined : interfaces.get(row.virtual_interface_id);
    if (row.allocated && vif?.instance_id !== row.instance_id)
      problems.push(`${what} has no interface of its instance`);
  }
  for (const vif of interfaces.values()) {
    if (vif.instance_id === null || !instances.has(vif.instance_id))
      problems.push(`interface ${vif.id} belongs to instance ${vif.instance_id}, which is gone`);
  }
  for (const instance of instances.values()) {
    if (!hasMachine(instance)) continue;
    const own = view.live('fixed_ips').filter((row) => row.instance_id === instance.id && row.allocated);
    if (own.length !== 1) problems.push(`${describe(instance)} has ${own.length} fixed addresses`);
  }
  return [...problems, ...machineAddresses(view)];
}

/** What guests were told is what the rows say, and no two guests were told the same. */
function machineAddresses(view: View): string[] {
  const problems: string[] = [];
  const owners = new Map<string, string>();
  for (const host of view.hosts) {
    for (const machine of view.machinesOf(host.name)) {
      for (const address of machine.addresses) {
        if (owners.has(address)) problems.push(`${machine.name} and ${owners.get(address)} both have ${address}`);
        owners.set(address, machine.name);
      }
      const instance = view.live('instances').find((row) => row.id === machine.instanceId);
      if (!hasMachine(instance)) continue;
      const own = view.live('fixed_ips').filter((row) => row.instance_id === machine.instanceId && row.allocated);
      const wanted = own.map((row) => row.address).sort();
      const found = [...machine.addresses].sort();
      if (found.join() !== wanted.join())
        problems.push(`${machine.name} has the addresses [${found.join()}] and should have [${wanted.join()}]`);
    }
  }
  return problems;
}

/** Floating addresses lead to an address in use, or nowhere; and hosts forward exactly these. */
export function floatingAddresses(view: View): string[] {
  const problems: string[] = [];
  const fixed = new Map(view.live('fixed_ips').map((row) => [row.id, row]));
  const wanted = new Map<string, string>();
  for (const row of view.live('floating_ips')) {
    const what = `floating address ${row.address} (row ${row.id}, fixed ${row.fixed_ip_id}, project ${row.project_id}, host ${row.host})`;
    if (row.fixed_ip_id === null) continue;
    const target = fixed.get(row.fixed_ip_id);
    if (row.project_id === null) problems.push(`${what} is associated and belongs to nobody`);
    if (target === undefined || target.instance_id === null || !target.allocated) {
      problems.push(`${what} leads to an address which no instance uses`);
      continue;
    }
    const instance = view.live('instances').find((one) => one.id === target.instance_id);
    if (instance?.project_id !== row.project_id)
      problems.push(`${what} leads to another project's instance ${instance?.id}`);
    if (!view.isLost(row.host)) wanted.set(`${row.host} ${row.address}`, target.address!);
  }
  for (const host of view.hosts) {
    for (const [address, to] of host.forwards) {
      const right = wanted.get(`${host.name} ${address}`);
      if (right !== to)
        problems.push(`${host.name} forwards ${address} to ${to}, which should be ${right ?? 'nowhere'}`);
      wanted.delete(`${host.name} ${address}`);
    }
  }
  for (const [key, to] of wanted) problems.push(`nobody forwards ${key} to ${to}`);
  return problems;
}
