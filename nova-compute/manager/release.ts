import type { Context } from '../../common/context.js';
import { recordDetachment } from '../../common/db/attachments.js';
import type { InstanceRow, VolumeRow } from '../../common/db/rows.js';
import { listVolumesOfInstance, releaseVolume } from '../../common/db/volumes.js';
import { errorText, MessageNotDelivered } from '../../common/errors.js';
import type { NetworkInfo } from '../../common/rpc/network.js';
import { disconnectVolume } from '../../common/volumes/connector.js';
import { machineName, type ComputeParts } from './parts.js';

/** Seconds which a stop or an end waits for nova-network at most. */
const releaseSeconds = 5;
/** Seconds for which a message that frees addresses is sent again while nobody consumes it. */
const deliverySeconds = 15;

/** The instance's interfaces and addresses. Throws RemoteError, RpcTimeout, MessageNotDelivered. */
export async function fetchNetworkInfo(
  parts: ComputeParts,
  context: Context,
  instance: InstanceRow,
): Promise<NetworkInfo> {
  return parts.rpc.network.call.get_instance_nw_info(context, {
    instance_id: instance.id,
    instance_type_id: instance.instance_type_id ?? 0,
    host: instance.host,
  });
}

/**
 * Gives an instance's addresses back, as nova 2011.3 does before it stops or ends a machine: looks them up, then tells
 * nova-network. The look-up may fail; that nova-network hears of it must not. Throws MessageNotDelivered.
 */
export async function releaseNetwork(parts: ComputeParts, context: Context, instance: InstanceRow): Promise<void> {
  if (parts.runtime.flags.stub_network) return;
  try {
    await fetchNetworkInfo(parts, context, instance);
  } catch (error) {
    parts.logger.warn(`Instance ${instance.id}: no network information: ${errorText(error)}`);
  }
  await deallocateNetwork(parts, context, instance);
}

/**
 * Tells nova-network to free what the instance holds; resolves once the broker has the message. After a restart of the
 * broker nova-network's queue is missing for a moment, so that is waited for. Throws MessageNotDelivered.
 */
export async function deallocateNetwork(parts: ComputeParts, context: Context, instance: InstanceRow): Promise<void> {
  const { runtime, rpc } = parts;
  if (runtime.flags.stub_network) return;
  const args = { instance_id: instance.id, project_id: instance.project_id };
  const end = runtime.clock.now() + deliverySeconds * 1000;
  for (let pauseMs = 250; ; pauseMs = Math.min(pauseMs * 2, 2000)) {
    try {
      await rpc.network.cast.deallocate_for_instance(context, args);
      return;
    } catch (error) {
      if (!(error instanceof MessageNotDelivered) || runtime.clock.now() + pauseMs > end) throw error;
      await runtime.sleep(pauseMs);
    }
  }
}

/**
 * Waits until nova-network has freed what the instance held. As long as it is at it, the row must not say that the
 * instance has stopped or is gone: a nova-network of 2011.3 stops half-way when the row is deleted, and a start which
 * follows at once gets addresses that the late end of the deallocation takes away. A nova-network which is away is not
 * waited for longer than some seconds: it will find the message when it is back.
 */
export async function awaitNetworkReleased(parts: ComputeParts, instance: InstanceRow): Promise<void> {
  if (parts.runtime.flags.stub_network) return;
  if (await parts.releases.released(instance.id, releaseSeconds)) return;
  parts.logger.warn(`Instance ${instance.id}: nova-network has not freed its addresses (yet)`);
  // its message may be lost: the recovery looks again
  parts.unfinished.add(instance.id);
}

/**
 * Takes all volumes from an instance which stops or ends; their mappings stay. What cannot be unplugged is logged: the
 * machine goes away in a moment, and the volume must not go with it.
 */
export async function detachAllVolumes(parts: ComputeParts, instance: InstanceRow): Promise<void> {
  for (const volume of await listVolumesOfInstance(parts.db, instance.id)) {
    await unplug(parts, instance, volume);
    await releaseVolume(parts.db, volume.id, instance.id);
  }
}

/**
 * Takes back one attachment which was not completed, or whose instance has gone. Throws when the machine keeps the disk:
 * then the volume stays its instance's.
 */
export async function undoAttachment(parts: ComputeParts, instance: InstanceRow, volume: VolumeRow): Promise<void> {
  const name = machineName(parts, instance);
  if (volume.mountpoint !== null) await unplugDisk(parts, name, volume.mountpoint);
  await quietly(parts, name, volume, () => disconnectVolume(parts, volume));
  await recordDetachment(parts.db, instance.id, volume.id);
}

/**
 * Unplugs a disk from a machine. A hypervisor which says that it failed is asked what the machine has: when the disk is
 * gone all the same, that is what counts. Throws what the hypervisor said when the disk is still there, or may be.
 */
export async function unplugDisk(parts: ComputeParts, name: string, mountpoint: string): Promise<void> {
  const { driver, logger } = parts;
  try {
    await driver.detachVolume(name, mountpoint);
  } catch (error) {
    const disks = await driver.volumeDisks(name).catch(() => null);
    if (disks === null || disks.some((disk) => disk.mountpoint === mountpoint)) throw error;
    logger.warn(`${name}: the disk ${mountpoint} is unplugged, although the hypervisor said: ${errorText(error)}`);
  }
}

async function unplug(parts: ComputeParts, instance: InstanceRow, volume: VolumeRow): Promise<void> {
  const name = machineName(parts, instance);
  const { mountpoint } = volume;
  if (mountpoint !== null) await quietly(parts, name, volume, () => unplugDisk(parts, name, mountpoint));
  await quietly(parts, name, volume, () => disconnectVolume(parts, volume));
}

async function quietly(
  parts: ComputeParts,
  name: string,
  volume: VolumeRow,
  attempt: () => Promise<void>,
): Promise<void> {
  try {
    await attempt();
  } catch (error) {
    parts.logger.warn(`${name}: volume ${volume.id} cannot be unplugged: ${errorText(error)}`);
  }
}
