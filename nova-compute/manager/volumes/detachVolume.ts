import type { Context } from '../../../common/context.js';
import { recordDetachment } from '../../../common/db/attachments.js';
import type { InstanceRow } from '../../../common/db/rows.js';
import { getVolume } from '../../../common/db/volumes.js';
import { InvalidInput } from '../../../common/errors.js';
import type { InstanceId } from '../../../common/rpc/compute.js';
import type { Delivery } from '../../../common/rpc/types.js';
import { disconnectVolume } from '../../../common/volumes/connector.js';
import { unlessLocked } from '../locks.js';
import { machineName, type ComputeParts } from '../parts.js';
import { unplugDisk } from '../release.js';

type Args = { instance_id: InstanceId; volume_id: number };

/**
 * Detaches a volume from an instance of this host. There is no state to claim, and every step may be repeated: the
 * message is acknowledged when the rows say that the volume is free, so that a daemon which dies before gets it again.
 * When the hypervisor refuses, and the machine still has the disk, the volume stays in-use. Throws InstanceNotFound, VolumeNotFound.
 */
export async function detachVolume(
  parts: ComputeParts,
  context: Context,
  args: Args,
  delivery: Delivery,
): Promise<null | false> {
  if (!Number.isInteger(args.volume_id)) throw new InvalidInput(`${String(args.volume_id)} is no volume id`);
  const call = { method: 'detach_volume', instanceId: args.instance_id, delivery };
  return unlessLocked(parts, context, call, async (instance) => {
    await detach(parts, instance, args.volume_id);
    delivery.accept();
  });
}

async function detach(parts: ComputeParts, instance: InstanceRow, volumeId: number): Promise<void> {
  const name = machineName(parts, instance);
  const volume = await getVolume(parts.db, volumeId);
  if (volume.instance_id !== instance.id) {
    parts.logger.info(`${name}: volume ${volumeId} is not attached (any more)`);
    return;
  }
  parts.logger.audit(`${name}: detaching volume ${volumeId} from ${volume.mountpoint ?? 'no device'}`);
  if ((await parts.driver.info(name)) === undefined) {
    parts.logger.warn(`${name}: detaching volume ${volumeId} from a machine which does not exist`);
  } else if (volume.mountpoint !== null) {
    await unplugDisk(parts, name, volume.mountpoint);
  }
  await disconnectVolume(parts, volume);
  await recordDetachment(parts.db, instance.id, volumeId);
}
