import type { Context } from '../../common/context.js';
import { changeClaimed, failClaimed } from '../../common/db/instanceClaims.js';
import { changeInstance, findInstance } from '../../common/db/instances.js';
import type { InstanceRow } from '../../common/db/rows.js';
import {
  ImageNotFound,
  ImageRotationNotAllowed,
  InstanceNotFound,
  InstanceNotRunning,
  NovaPlainError,
  RotationRequiredForBackup,
  errorText,
} from '../../common/errors.js';
import type { Image, ImageFields } from '../../common/images/imageService.js';
import type { SnapshotArgs } from '../../common/rpc/compute.js';
import type { Delivery } from '../../common/rpc/types.js';
import { withClaim } from './claimedWork.js';
import { reasonOfCutOff, type CutOff } from './cutOff.js';
import { reasonOf } from './failures.js';
import { inLane } from './locks.js';
import { machineName, powerStateOf, type ComputeParts } from './parts.js';

/** The tasks in which an instance is while its disk is read, by the type of the image. */
const snapshotTasks = { snapshot: 'image_snapshot', backup: 'image_backup' } as const;
type ImageType = keyof typeof snapshotTasks;

/** Whether an instance in this task is having its disk read. */
export function isSnapshotTask(task: string | null): boolean {
  return Object.values(snapshotTasks).some((known) => known === task);
}

/** States in which an instance has a machine whose disk can be read, and `stopped`, whose disk is its image. */
const possibleIn = ['active', 'paused', 'suspended', 'rescued', 'stopped'];

/** A snapshot on its way to the image service. */
interface Snapshot {
  readonly parts: ComputeParts;
  readonly context: Context;
  readonly instance: InstanceRow;
  readonly name: string;
  readonly imageId: string;
  readonly args: SnapshotArgs;
}

/**
 * Gives a registered image the bits of an instance's disk (nova 2011.3, snapshot_instance); the instance keeps its state
 * and is in a task meanwhile. When it fails the image is removed, as nobody would ever fill it, and the reason noted.
 * Throws InstanceNotFound, ImageRotationNotAllowed, RotationRequiredForBackup, and what the image service throws.
 */
export async function snapshotInstance(
  parts: ComputeParts,
  context: Context,
  args: SnapshotArgs,
  delivery: Delivery,
): Promise<null> {
  const type = imageTypeOf(args);
  const found = await inLane(parts, args.instance_id, async (id) => {
    const instance = await findInstance(parts.db, id);
    if (instance === undefined) return false;
    const name = machineName(parts, instance);
    const state = { parts, context: context.elevated(), instance, name, imageId: String(args.image_id), args };
    await snapshot(state, type, delivery);
    return true;
  });
  if (found !== true) throw new InstanceNotFound(args.instance_id);
  return null;
}

async function snapshot(state: Snapshot, type: ImageType, delivery: Delivery): Promise<void> {
  const { parts, instance, name, args } = state;
  const { db, runtime } = parts;
  const task = snapshotTasks[type];
  const claim = { instanceId: instance.id, host: runtime.host, taskState: task };
  await withClaim(parts, instance, {
    method: 'snapshot_instance',
    delivery,
    doing: 'snapshotting',
    claim: async () => {
      const idle = { host: runtime.host, vmState: possibleIn, taskState: [null] };
      if (await changeInstance(db, instance.id, { task_state: task }, idle)) return true;
      // Whoever asked made an image for it.
      if (!delivery.redelivered) await removeImage(state);
      throw new NovaPlainError(
        `No snapshot can be made of an instance which is ${instance.vm_state}/${instance.task_state}`,
      );
    },
    run: async () => {
      await fillImage(state);
      if (type === 'backup') await rotate(state, args.backup_type ?? '', args.rotation ?? 0);
      await changeClaimed(db, claim, { ...(await changedPower(parts, name, instance)), task_state: null });
    },
    fail: async (error) => {
      await removeImage(state);
      const reason = reasonOf(error, 'No image could be made of the instance');
      const vmState = instance.vm_state ?? 'active';
      await failClaimed(db, { ...claim, vmState }, { action: 'snapshot_instance', reason, vmState });
    },
  });
}

/** Brings the bits and the description in one request: the image is whole or not there. */
async function fillImage(state: Snapshot): Promise<void> {
  const { parts, context, instance, name, imageId } = state;
  const base = await baseImage(state);
  const fields = describe(instance, base);
  if ((await parts.driver.info(name)) !== undefined) {
    await parts.driver.snapshot(name, async (bits) => {
      await parts.images.update(context, imageId, fields, bits);
    });
    return;
  }
  // A stopped instance has no machine here; when it starts its disk is made from its image.
  if (instance.vm_state !== 'stopped' || base === undefined) throw new InstanceNotRunning(instance.id);
  await parts.images.update(context, imageId, fields, await parts.images.download(context, base.id));
}

async function baseImage({ parts, context, instance }: Snapshot): Promise<Image | undefined> {
  if (instance.image_ref === null) return undefined;
  try {
    return await parts.images.show(context, instance.image_ref);
  } catch (error) {
    if (error instanceof ImageNotFound) return undefined;
    throw error;
  }
}

/** Raw bits, called what the base image is called (nova 2011.3, nova/virt/libvirt/connection.py snapshot). */
function describe(instance: InstanceRow, base: Image | undefined): ImageFields {
  const architecture = base?.properties['architecture'] ?? instance.architecture;
  return {
    is_public: false,
    disk_format: base?.disk_format ?? 'raw',
    container_format: base?.container_format ?? 'bare',
    properties: {
      kernel_id: instance.kernel_id,
      ramdisk_id: instance.ramdisk_id,
      image_location: 'snapshot',
      image_state: 'available',
      owner_id: instance.project_id,
      project_id: instance.project_id,
      ...(architecture == null ? {} : { architecture }),
    },
  };
}

/** Deletes the oldest backups of a type beyond those which are to stay. One which can't be deleted stays, with a warning. */
async function rotate({ parts, context, instance, name }: Snapshot, type: string, rotation: number): Promise<void> {
  const isBackup = ({ properties }: Image): boolean =>
    properties['image_type'] === 'backup' &&
    properties['backup_type'] === type &&
    properties['instance_uuid'] === instance.uuid;
  const backups = (await parts.images.detail(context)).filter(isBackup).sort(newestFirst);
  for (const image of backups.slice(rotation)) {
    try {
      await parts.images.delete(context, image.id);
    } catch (error) {
      parts.logger.warn(`${name}: backup ${image.id} is not rotated out: ${errorText(error)}`);
    }
  }
}

function newestFirst(a: Image, b: Image): number {
  const [one, other] = [a.created_at ?? '', b.created_at ?? ''];
  return one === other ? Number(b.id) - Number(a.id) : one < other ? 1 : -1;
}

async function removeImage({ parts, context, imageId, name }: Snapshot): Promise<void> {
  try {
    await parts.images.delete(context, imageId);
  } catch (error) {
    parts.logger.warn(`${name}: image ${imageId} stays without bits: ${errorText(error)}`);
  }
}

async function changedPower(
  parts: ComputeParts,
  name: string,
  instance: InstanceRow,
): Promise<{ power_state?: number }> {
  if (instance.vm_state === 'stopped') return {};
  const power = await powerStateOf(parts, name);
  return power.power_state === instance.power_state ? {} : power;
}

function imageTypeOf({ image_type: type = 'snapshot', rotation = null }: SnapshotArgs): ImageType {
  if (type !== 'snapshot' && type !== 'backup') throw new NovaPlainError(`Image type not recognized ${type}`);
  if (type === 'snapshot' && rotation !== null) throw new ImageRotationNotAllowed();
  if (type === 'backup' && (typeof rotation !== 'number' || rotation < 0)) throw new RotationRequiredForBackup();
  return type;
}

/** A snapshot which was cut off: the instance is free again, and the image which nobody will fill is removed. */
export async function recoverSnapshot(
  parts: ComputeParts,
  context: Context,
  instance: InstanceRow,
  cutOff: CutOff,
): Promise<void> {
  const { db, images, runtime } = parts;
  const unfilled = ({ status, properties }: Image): boolean =>
    status !== 'active' &&
    properties['instance_uuid'] === instance.uuid &&
    Object.keys(snapshotTasks).includes(properties['image_type'] ?? '');
  try {
    for (const image of (await images.detail(context)).filter(unfilled)) await images.delete(context, image.id);
  } catch (error) {
    parts.logger.warn(`Instance ${instance.id}: its unfinished images could not be removed: ${errorText(error)}`);
  }
  const vmState = instance.vm_state ?? 'active';
  const claim = { instanceId: instance.id, host: runtime.host, vmState, taskState: instance.task_state };
  const reason = reasonOfCutOff(runtime.host, cutOff, 'an image was made of the instance');
  await failClaimed(db, claim, { action: 'snapshot_instance', reason, vmState });
}
