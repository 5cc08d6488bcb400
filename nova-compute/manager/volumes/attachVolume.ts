import type { Context } from '../../../common/context.js';
import { recordAttachment, recordDetachment } from '../../../common/db/attachments.js';
import type { InstanceRow, VolumeRow } from '../../../common/db/rows.js';
import { claimVolumeForAttach, getVolume } from '../../../common/db/volumes.js';
import { ApiError, InstanceNotRunning, InvalidInput } from '../../../common/errors.js';
import type { InstanceId } from '../../../common/rpc/compute.js';
import type { Delivery } from '../../../common/rpc/types.js';
import { connectVolume, disconnectVolume } from '../../../common/volumes/connector.js';
import { stepOptions } from '../claimedWork.js';
import { unlessLocked } from '../locks.js';
import { machineName, type ComputeParts } from '../parts.js';
import { unplugDisk } from '../release.js';
import { runSteps, type Step } from '../steps.js';

interface Attachment {
  readonly parts: ComputeParts;
  readonly instance: InstanceRow;
  readonly volume: VolumeRow;
  readonly mountpoint: string;
  readonly name: string;
  devicePath: string;
  /** The machine has the disk and can't be rid of it: the volume can be nobody else's. */
  stuck: boolean;
}

/** From a volume which is claimed for the instance to one which its guest sees. */
const steps: readonly Step<Attachment>[] = [
  { name: 'claim volume', run: async () => undefined, undoElsewhere: release },
  { name: 'connect volume', run: connect, undoHere: disconnect },
  { name: 'plug into machine', run: plug, undoHere: unplug },
  { name: 'record attachment', run: record },
];

/**
 * Attaches an available volume to an instance of this host. The volume is claimed first (there is no state between
 * available and in-use in 2011.3), so that of two who want it one is refused before anything is touched; a failure makes
 * it available again, unless the machine keeps the disk: then the recovery takes it back. A second delivery, and nova-manage's reattach, repeat the steps for the volume which the
 * instance has already. Throws InstanceNotFound, VolumeNotFound, ApiError, InstanceNotRunning.
 */
export async function attachVolume(
  parts: ComputeParts,
  context: Context,
  args: { instance_id: InstanceId; volume_id: number; mountpoint: string },
  delivery: Delivery,
): Promise<null | false> {
  const { volume_id: volumeId, mountpoint } = args;
  if (!Number.isInteger(volumeId)) throw new InvalidInput(`${String(volumeId)} is no volume id`);
  if (typeof mountpoint !== 'string' || mountpoint === '') throw new InvalidInput('the mountpoint is no device name');
  const call = { method: 'attach_volume', instanceId: args.instance_id, delivery };
  return unlessLocked(parts, context, call, async (instance) => {
    await attach(parts, instance, volumeId, mountpoint, delivery);
  });
}

async function attach(
  parts: ComputeParts,
  instance: InstanceRow,
  volumeId: number,
  mountpoint: string,
  delivery: Delivery,
): Promise<void> {
  const name = machineName(parts, instance);
  const leaving = instance.task_state === 'deleting' || instance.task_state === 'stopping';
  if (instance.host !== parts.runtime.host || leaving || (await parts.driver.info(name)) === undefined) {
    throw new InstanceNotRunning(instance.id);
  }
  const volume = await getVolume(parts.db, volumeId);
  const claim = await claimVolumeForAttach(parts.db, volumeId, instance.id, mountpoint);
  if (claim === 'refused') {
    throw new ApiError(
      `Volume ${volumeId} cannot be attached to instance ${instance.id} at ${mountpoint}: ` +
        'it is not available, or the device is taken',
    );
  }
  delivery.accept();
  parts.logger.audit(`${name}: attaching volume ${volumeId} to ${mountpoint}`);
  const attachment: Attachment = { parts, instance, volume, mountpoint, name, devicePath: '', stuck: false };
  // What was attached before this message came stays so, even if it cannot be repeated.
  const scope = async (): Promise<'all' | 'nothing'> => (claim === 'claimed' ? 'all' : 'nothing');
  await runSteps(steps, attachment, {
    ...stepOptions(parts, instance, `attach_volume ${volumeId}`),
    scope,
  });
}

async function release({ parts, instance, volume, stuck }: Attachment): Promise<void> {
  if (stuck) return;
  // whatever was noted of it goes, too: the note may have been written though its answer was lost
  await recordDetachment(parts.db, instance.id, volume.id);
}

async function connect(attachment: Attachment): Promise<void> {
  attachment.devicePath = await connectVolume(attachment.parts, attachment.volume);
}

async function disconnect({ parts, volume, stuck }: Attachment): Promise<void> {
  if (stuck) return;
  await disconnectVolume(parts, volume);
}

async function plug({ parts, name, devicePath, mountpoint }: Attachment): Promise<void> {
  await parts.driver.attachVolume(name, { devicePath, mountpoint });
}

async function unplug(attachment: Attachment): Promise<void> {
  const { parts, instance, name, mountpoint } = attachment;
  try {
    await unplugDisk(parts, name, mountpoint);
  } catch (error) {
    attachment.stuck = true;
    parts.unfinished.add(instance.id, error);
    throw error;
  }
}

async function record({ parts, instance, volume, mountpoint }: Attachment): Promise<void> {
  await recordAttachment(parts.db, instance.id, volume.id, mountpoint);
}
