import type { Context } from '../../../common/context.js';
import { failedBuildsHoldingAddresses } from '../../../common/db/fixedIps.js';
import { findInstance } from '../../../common/db/instances.js';
import { errorText } from '../../../common/errors.js';
import { machineName, type ComputeParts } from '../parts.js';
import { deallocateNetwork } from '../release.js';

/**
 * Gives back what instances hold whose build failed on this host. A nova-network which slept until the build had given up
 * on it, and was told to free what it had not allocated yet, allocates all the same when it wakes.
 */
export async function freeAddressesOfFailedBuilds(parts: ComputeParts, context: Context): Promise<void> {
  const { db, runtime, logger } = parts;
  if (runtime.flags.stub_network) return;
  const ids = (await failedBuildsHoldingAddresses(db, runtime.host)).filter((id) => !parts.lanes.has(id));
  if (ids.length === 0) return;
  const machines = new Set((await parts.driver.list()).map((machine) => machine.name));
  for (const id of ids) {
    const name = machineName(parts, { id });
    // Whatever made it, it may use the address.
    if (machines.has(name)) continue;
    try {
      const instance = await findInstance(db, id);
      if (instance === undefined) continue;
      logger.info(`${name}: its build failed, and it got addresses after that; they are given back`);
      await deallocateNetwork(parts, context.elevated(), instance);
    } catch (error) {
      logger.error(`${name}: its addresses could not be given back (yet): ${errorText(error)}`);
    }
  }
}
