import { getInstance } from '../../common/db/instances.js';
import type { InstanceId } from '../../common/rpc/compute.js';
import { powerState, type ConsoleAccess } from '../virt/driver.js';
import { machineName, type ComputeParts } from './parts.js';

/** The newest part of an instance's console, a `?` for each byte which is no ASCII. Throws InstanceNotFound. */
export async function consoleOutput(parts: ComputeParts, args: { instance_id: InstanceId }): Promise<string> {
  const instance = await getInstance(parts.db, args.instance_id);
  const limit = parts.runtime.flags.console_log_bytes;
  return ascii(await parts.driver.consoleOutput(machineName(parts, instance), limit));
}

/** The hypervisor's own figures of a running instance, else null. Throws InstanceNotFound. */
export async function diagnostics(
  parts: ComputeParts,
  args: { instance_id: InstanceId },
): Promise<Record<string, unknown> | null> {
  const instance = await getInstance(parts.db, args.instance_id);
  if (instance.power_state !== powerState.running) return null;
  return parts.driver.diagnostics(machineName(parts, instance));
}

function ascii(bytes: Buffer): string {
  return Buffer.from(bytes.map((byte) => (byte < 0x80 ? byte : 0x3f))).toString('latin1');
}

/** Where an instance's VNC or ajax console is served. Throws InstanceNotFound. */
export async function consoleAccess(
  parts: ComputeParts,
  kind: 'vnc' | 'ajax',
  args: { instance_id: InstanceId },
): Promise<ConsoleAccess> {
  const name = machineName(parts, await getInstance(parts.db, args.instance_id));
  return kind === 'vnc' ? parts.driver.vncConsole(name) : parts.driver.ajaxConsole(name);
}

/** The topic of the console proxy which serves this host. */
export function consoleTopic(parts: ComputeParts): string {
  const { console_topic: topic, console_host: host } = parts.runtime.flags;
  return `${topic}.${host}`;
}
