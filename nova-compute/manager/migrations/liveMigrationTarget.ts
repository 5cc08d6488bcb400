import type { Context } from '../../../common/context.js';
import { findInstance, getInstance } from '../../../common/db/instances.js';
import { getVolume, listVolumesOfInstance } from '../../../common/db/volumes.js';
import { FixedIpNotFoundForInstance, InstanceNotFound } from '../../../common/errors.js';
import type { InstanceId } from '../../../common/rpc/compute.js';
import { disconnectVolume } from '../../../common/volumes/connector.js';
import { inLane } from '../locks.js';
import { connectedVolumes, machineSpecOf, networkInfoOf } from '../building/machineSpec.js';
import { machineName, type ComputeParts } from '../parts.js';

/**
 * At the destination of a live migration: connects the volumes and makes ready for the machine (nova 2011.3,
 * pre_live_migration). Throws InstanceNotFound, FixedIpNotFoundForInstance, and what keeps the machine from coming.
 */
export async function prepareArrival(
  parts: ComputeParts,
  caller: Context,
  args: { instance_id: InstanceId; disk?: string | null },
): Promise<null> {
  const found = await inLane(parts, args.instance_id, async (id) => {
    const instance = await getInstance(parts.db, id);
    parts.logger.audit(`${machineName(parts, instance)}: coming from ${instance.host}`);
    const networkInfo = await networkInfoOf(parts, caller.elevated(), instance);
    if (networkInfo.length === 0 && !parts.runtime.flags.stub_network) throw new FixedIpNotFoundForInstance(id);
    const volumes = await connectedVolumes(parts, instance);
    const spec = await machineSpecOf(parts, instance, { networkInfo, volumes });
    await parts.driver.prepareIncoming(spec, typeof args.disk === 'string' ? args.disk : null);
    return true;
  });
  if (found !== true) throw new InstanceNotFound(args.instance_id);
  return null;
}

/** At the destination, when the machine has come: it is this host's now. */
export async function completeArrival(
  parts: ComputeParts,
  caller: Context,
  args: { instance_id: InstanceId },
): Promise<null> {
  const found = await inLane(parts, args.instance_id, async (id) => {
    const instance = await getInstance(parts.db, id);
    await networkInfoOf(parts, caller.elevated(), instance);
    await parts.driver.completeIncoming(machineName(parts, instance));
    return true;
  });
  if (found !== true) throw new InstanceNotFound(args.instance_id);
  return null;
}

/** At the destination, when the machine doesn't come: what was made ready goes. Any other machine is left alone. */
export async function cancelArrival(parts: ComputeParts, args: { instance_id: InstanceId }): Promise<null> {
  await inLane(parts, args.instance_id, async (id) => {
    const name = machineName(parts, { id });
    if ((await parts.driver.info(name))?.role !== 'incoming') return;
    parts.logger.audit(`${name}: does not come`);
    await parts.driver.destroy(name);
    const instance = await findInstance(parts.db, id);
    if (instance?.host === parts.runtime.host) return;
    for (const volume of await listVolumesOfInstance(parts.db, id)) await disconnectVolume(parts, volume);
  });
  return null;
}

/** Takes a volume's connection off this host (nova 2011.3, remove_volume). Throws VolumeNotFound. */
export async function removeVolume(parts: ComputeParts, args: { volume_id: number }): Promise<null> {
  await disconnectVolume(parts, await getVolume(parts.db, args.volume_id));
  return null;
}
