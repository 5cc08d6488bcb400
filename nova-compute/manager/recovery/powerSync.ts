import { idleInstancesOfHost, writePowerState } from '../../../common/db/instanceClaims.js';
import { idFromName } from '../../../common/names.js';
import { errorText } from '../../../common/errors.js';
import { powerState, type MachineEvent } from '../../virt/driver.js';
import { machineName, type ComputeParts } from '../parts.js';

/** Ids in one UPDATE; SQLite takes no more than some thousand parameters. */
const batch = 500;

/**
 * Writes the power states which the hypervisor reports (nova 2011.3, _sync_power_states): 0 for an instance without a
 * machine. Only the column power_state, and only of instances which no task works on.
 */
export async function syncPowerStates(parts: ComputeParts): Promise<void> {
  const { db, runtime, logger } = parts;
  const rows = await idleInstancesOfHost(db, runtime.host);
  if (rows.length === 0) return;
  const machines = new Map((await parts.driver.list()).map((machine) => [machine.name, machine.state]));
  const changed = new Map<number, number[]>();
  for (const row of rows) {
    const state = machines.get(machineName(parts, row)) ?? powerState.nostate;
    if (state === row.power_state) continue;
    changed.set(state, [...(changed.get(state) ?? []), row.id]);
  }
  for (const [state, ids] of changed) {
    logger.info(`Power state ${state} for instances ${ids.join(', ')}`);
    for (let start = 0; start < ids.length; start += batch) {
      await writePowerState(db, runtime.host, ids.slice(start, start + batch), state);
    }
  }
}

/** Writes what the hypervisor says of itself, at once; until the driver is closed. Never throws. */
export async function followEvents(parts: ComputeParts): Promise<void> {
  for await (const event of parts.driver.events()) {
    try {
      await take(parts, event);
    } catch (error) {
      parts.logger.warn(`${event.name}: power state ${event.state} is not recorded (yet): ${errorText(error)}`);
    }
  }
}

async function take(parts: ComputeParts, event: MachineEvent): Promise<void> {
  const id = idFromName(parts.runtime.flags.instance_name_template, event.name);
  if (id === undefined) return;
  parts.logger.info(`${event.name}: the hypervisor reports power state ${event.state}`);
  await writePowerState(parts.db, parts.runtime.host, [id], event.state);
}
