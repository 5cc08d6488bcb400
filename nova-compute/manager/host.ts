import { InvalidInput } from '../../common/errors.js';
import type { ComputeParts } from './parts.js';

const powerActions = ['startup', 'shutdown', 'reboot'] as const;

/** Starts, stops or reboots the host itself; what the hypervisor answers. Throws InvalidInput for another action. */
export async function hostPowerAction(parts: ComputeParts, args: { action: string }): Promise<string | null> {
  const action = powerActions.find((known) => known === args.action);
  if (action === undefined) throw new InvalidInput(`${String(args.action)} is no power action of a host`);
  parts.logger.audit(`Power action of this host: ${action}`);
  return parts.driver.hostPowerAction(action);
}

/** Whether the host is to take new instances; what the hypervisor answers. */
export async function setHostEnabled(parts: ComputeParts, args: { enabled: boolean }): Promise<string | null> {
  if (typeof args.enabled !== 'boolean') throw new InvalidInput('a host is enabled, or not');
  return parts.driver.setHostEnabled(args.enabled);
}

/** Throws InvalidCPUInfo when a guest of a host with this CPU could not run here. */
export async function compareCpu(parts: ComputeParts, args: { cpu_info: string }): Promise<null> {
  await parts.driver.compareCpu(String(args.cpu_info));
  return null;
}
