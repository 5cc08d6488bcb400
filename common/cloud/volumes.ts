import type { Context } from '../context.js';
import { keepToken, madeWithToken } from '../db/clientTokens.js';
import type { Tx } from '../db/db.js';
import { findInstance } from '../db/instances.js';
import { lockQuota } from '../db/quotas.js';
import type { InstanceRow, SnapshotRow, VolumeRow } from '../db/rows.js';
import { changeSnapshotStatus, getSnapshot, listSnapshots, requestSnapshot } from '../db/snapshots.js';
import {
  changeVolumeStatus,
  describeVolumes,
  findVolume,
  getVolume,
  insertVolume,
  releaseVolume,
  requestVolumeDelete,
  updateVolumeTexts,
  type VolumeDetails,
} from '../db/volumes.js';
import { getVolumeType } from '../db/volumeTypes.js';
import {
  ApiError,
  InstanceNotFound,
  InvalidParameterValue,
  MessageNotDelivered,
  SnapshotNotFound,
  VolumeNotFound,
  errorText,
} from '../errors.js';
import type { Logger } from '../log.js';
import { isoTimeOf } from '../time.js';
import { checkToken, type ClientTokens } from './clientTokens.js';
import type { CloudParts } from './parts.js';
import type { Quotas } from './quotas.js';

/** What a new volume shall be. Without a size it gets its snapshot's. */
export interface VolumeWish {
  /** GB */
  size?: number | undefined;
  snapshotId?: number | undefined;
  name?: string | undefined;
  description?: string | undefined;
  /** The flag storage_availability_zone when absent. */
  availabilityZone?: string | undefined;
  volumeTypeId?: number | undefined;
  metadata?: Readonly<Record<string, string>> | undefined;
  /** A request which repeats one with the same token makes nothing new. */
  clientToken?: string | undefined;
}

/** How users call a volume or snapshot. */
export interface Texts {
  name?: string | undefined;
  description?: string | undefined;
}

/** An attachment which was asked for, or is to end. */
export interface Attachment {
  volume: VolumeRow;
  instanceId: number;
  /** Device of the instance, e.g. `/dev/vdb`. */
  device: string;
  /** `YYYY-MM-DDTHH:MM:SSZ`; null when the daemon which attached it wrote none. */
  attachTime: string | null;
}

const longestText = 255;
const largestSize = 2 ** 31 - 1;
/** What a device is called (nova 2011.3, nova/compute/api.py attach_volume). */
const deviceForm = /^\/dev\/[a-z]d[a-z]+$/;
/** States of an instance to which a volume can be attached: its machine exists. */
const attachableStates: readonly (string | null)[] = ['active', 'paused', 'suspended', 'rescued'];

/** Volumes, their attachments and snapshots. */
export class Volumes {
  constructor(
    private readonly parts: CloudParts,
    private readonly cloud: { readonly quotas: Quotas; readonly clientTokens: ClientTokens },
  ) {}

  /**
   * Creates a volume for the caller's project. Its row is `creating`; or `error` when no scheduler could be told. A
   * repeated client token answers the earlier volume, and VolumeNotFound once that is gone. Throws QuotaError, SnapshotNotFound, ApiError for a snapshot which isn't ready, VolumeTypeNotFound, InvalidParameterValue.
   */
  async create(context: Context, wish: VolumeWish): Promise<VolumeRow> {
    const { db, rpc, runtime } = this.parts;
    const projectId = context.requireProject();
    const size = await this.#sizeOf(context, wish);
    const texts = columns(wish);
    const items = Object.entries(wish.metadata ?? {}).map(([key, value]) => ({ key, value }));
    if (items.length > 0) await this.cloud.quotas.checkMetadata(context, items, items.length);
    checkToken(wish.clientToken);
    const { clientToken, ...repeatable } = wish;
    const token = await this.cloud.clientTokens.of('CreateVolume', clientToken, repeatable);
    let made: VolumeRow | undefined;
    const make = async (tx: Tx): Promise<{ volume: VolumeRow; repeated: boolean }> => {
      const earlier = token === undefined ? null : await madeWithToken(tx, projectId, token);
      if (earlier !== null) return { volume: await getVolume(tx, Number(earlier)), repeated: true };
      await this.cloud.quotas.checkVolume(tx, context, size);
      if (wish.volumeTypeId !== undefined) await getVolumeType(tx, wish.volumeTypeId);
      const values = {
        user_id: context.userId,
        project_id: projectId,
        size,
        availability_zone: wish.availabilityZone ?? runtime.flags.storage_availability_zone,
        display_name: null,
        display_description: null,
        ...texts,
        snapshot_id: wish.snapshotId ?? null,
        volume_type_id: wish.volumeTypeId ?? null,
      };
      made = await insertVolume(tx, values, wish.metadata);
      if (token !== undefined) await keepToken(tx, projectId, token, String(made.id));
      return { volume: made, repeated: false };
    };
    const { volume, repeated } = await db.transaction(make, async (tx) => {
      if (made === undefined) return undefined;
      // held by the first run for as long as it may still commit
      await lockQuota(tx, projectId);
      const found = await findVolume(tx, made.id);
      // MySQL may give the id of a row which was not committed to another one
      const isOurs = found?.project_id === projectId && found.created_at === made.created_at;
      return isOurs ? { volume: found, repeated: false } : undefined;
    });
    if (repeated) return volume;
    const args = { topic: runtime.flags.volume_topic, volume_id: volume.id, snapshot_id: volume.snapshot_id };
    try {
      await rpc.scheduler.cast.create_volume(context, args);
    } catch (error) {
      if (!(error instanceof MessageNotDelivered)) throw error;
      this.#log().error(`Volume ${volume.id} goes to error, no scheduler could be told of it: ${errorText(error)}`);
      await changeVolumeStatus(db, volume.id, ['creating'], 'error');
      return getVolume(db, volume.id);
    }
    return volume;
  }

  /** Volumes the caller may see (an administrator all), or those with the given ids, by id. Throws VolumeNotFound. */
  async list(context: Context, ids: readonly number[] = []): Promise<VolumeDetails[]> {
    const wanted = ids.length > 0 ? [...new Set(ids)] : null;
    const found = await describeVolumes(this.parts.db, visibleProject(context), wanted);
    const missing = wanted?.find((id) => !found.some(({ volume }) => volume.id === id));
    if (missing !== undefined) throw new VolumeNotFound(missing);
    return found;
  }

  /** One volume. Throws VolumeNotFound. */
  async get(context: Context, id: number): Promise<VolumeDetails> {
    return (await this.list(context, [id]))[0]!;
  }

  /** Changes name and description, those which are given. Throws VolumeNotFound. */
  async update(context: Context, id: number, texts: Texts): Promise<void> {
    await this.#row(context, id);
    const changes = columns(texts);
    if (Object.keys(changes).length === 0) return;
    if (!(await updateVolumeTexts(this.parts.db, id, changes))) throw new VolumeNotFound(id);
  }

  /**
   * Begins the deletion of a volume which is `available` or failed. One which no host has is deleted at once. Throws
   * VolumeNotFound, ApiError; MessageNotDelivered when its host could not be told: then it is in `error_deleting`, from
   * where it can be tried again.
   */
  async delete(context: Context, id: number): Promise<void> {
    const { db, rpc } = this.parts;
    await this.#row(context, id);
    const request = await requestVolumeDelete(db, id);
    if (!request.taken) throw notAvailable(request.volume);
    if (request.host === null) return;
    try {
      await rpc.volumeOn(request.host).cast.delete_volume(context, { volume_id: id });
    } catch (error) {
      if (error instanceof MessageNotDelivered) await changeVolumeStatus(db, id, ['deleting'], 'error_deleting');
      throw error;
    }
  }

  /**
   * Asks an instance's host to attach a volume; it answers nothing. `device` may lack its `/dev/`. Throws VolumeNotFound,
   * InstanceNotFound, and ApiError for a device of the wrong form, a volume which isn't available, an instance which
   * isn't running.
   */
  async attach(context: Context, volumeId: number, instanceId: number, device: string): Promise<Attachment> {
    const { rpc, runtime } = this.parts;
    const mountpoint = device.startsWith('/') ? device : `/dev/${device}`;
    if (!deviceForm.test(mountpoint) || mountpoint.length > longestText) {
      throw new ApiError(`Invalid device specified: ${device.slice(0, 100)}. Example device: /dev/vdb`);
    }
    const volume = await this.#row(context, volumeId);
    if (volume.status !== 'available') throw notAvailable(volume);
    if (volume.attach_status === 'attached') throw new ApiError('Volume is already attached', undefined, 'VolumeInUse');
    const instance = await this.#instance(context, instanceId);
    if (instance.host === null || !attachableStates.includes(instance.vm_state) || instance.task_state === 'deleting') {
      throw new ApiError('Instance must be running');
    }
    const args = { instance_id: instance.id, volume_id: volumeId, mountpoint };
    await rpc.computeOn(instance.host).cast.attach_volume(context, args);
    return { volume, instanceId: instance.id, device: mountpoint, attachTime: isoTimeOf(runtime.clock.now()) };
  }

  /**
   * Asks the host of the instance which has the volume to detach it. A volume whose instance is gone is made available
   * here. Throws VolumeNotFound, and ApiError for one which isn't attached.
   */
  async detach(context: Context, volumeId: number): Promise<Attachment> {
    const { db, rpc } = this.parts;
    const volume = await this.#row(context, volumeId);
    if (volume.instance_id === null) throw new ApiError("Volume isn't attached to anything!");
    if (volume.status === 'available') throw new ApiError('Volume is already detached');
    const instance = await findInstance(db, volume.instance_id);
    if (instance === undefined || instance.host === null) {
      await releaseVolume(db, volumeId, volume.instance_id);
    } else {
      const args = { instance_id: instance.id, volume_id: volumeId };
      await rpc.computeOn(instance.host).cast.detach_volume(context, args);
    }
    return {
      volume,
      instanceId: volume.instance_id,
      device: volume.mountpoint ?? '',
      attachTime: volume.attach_time,
    };
  }

  /**
   * Creates a snapshot of a volume which is `available`; with `force` also of one in use. Its row is `creating`, or
   * `error` when no scheduler could be told. Throws VolumeNotFound, ApiError.
   */
  async createSnapshot(context: Context, volumeId: number, texts: Texts, force = false): Promise<SnapshotRow> {
    const { db, rpc, runtime } = this.parts;
    const volume = await this.#row(context, volumeId);
    const values = {
      volume_id: volume.id,
      user_id: context.userId,
      project_id: context.requireProject(),
      display_name: null,
      display_description: null,
      ...columns(texts),
    };
    const request = await requestSnapshot(db, values, force);
    if (!request.taken) throw new ApiError('Volume status must be available');
    const { snapshot } = request;
    const args = { topic: runtime.flags.volume_topic, volume_id: volume.id, snapshot_id: snapshot.id };
    try {
      await rpc.scheduler.cast.create_snapshot(context, args);
    } catch (error) {
      if (!(error instanceof MessageNotDelivered)) throw error;
      this.#log().error(`Snapshot ${snapshot.id} goes to error, no scheduler could be told of it: ${errorText(error)}`);
      await changeSnapshotStatus(db, snapshot.id, ['creating'], { status: 'error' });
      return getSnapshot(db, snapshot.id);
    }
    return snapshot;
  }

  /** Snapshots the caller may see (an administrator all), or those with the given ids. Throws SnapshotNotFound. */
  async listSnapshots(context: Context, ids: readonly number[] = []): Promise<SnapshotRow[]> {
    const wanted = ids.length > 0 ? [...new Set(ids)] : null;
    const found = await listSnapshots(this.parts.db, visibleProject(context), wanted);
    const missing = wanted?.find((id) => !found.some((snapshot) => snapshot.id === id));
    if (missing !== undefined) throw new SnapshotNotFound(missing);
    return found;
  }

  /** Begins the deletion of a snapshot which is `available` or failed. Throws SnapshotNotFound, ApiError, MessageNotDelivered. */
  async deleteSnapshot(context: Context, id: number): Promise<void> {
    const { db, rpc, runtime } = this.parts;
    await this.listSnapshots(context, [id]);
    const deletable = ['available', 'error', 'error_deleting'];
    if (!(await changeSnapshotStatus(db, id, deletable, { status: 'deleting' }))) {
      throw new ApiError('Snapshot status must be available');
    }
    try {
      await rpc.scheduler.cast.delete_snapshot(context, { topic: runtime.flags.volume_topic, snapshot_id: id });
    } catch (error) {
      if (error instanceof MessageNotDelivered) {
        await changeSnapshotStatus(db, id, ['deleting'], { status: 'error_deleting' });
      }
      throw error;
    }
  }

  /** The size of a new volume, in GB, once it is known to be possible. */
  async #sizeOf(context: Context, wish: VolumeWish): Promise<number> {
    let size = wish.size;
    if (wish.snapshotId !== undefined) {
      const [snapshot] = await this.listSnapshots(context, [wish.snapshotId]);
      if (snapshot!.status !== 'available') throw new ApiError('Snapshot status must be available');
      size ??= snapshot!.volume_size ?? 0;
      if (size < (snapshot!.volume_size ?? 0)) {
        throw new InvalidParameterValue(
          `A volume of a snapshot of ${snapshot!.volume_size}G cannot be smaller than that`,
        );
      }
    }
    if (size === undefined) throw new ApiError('Size or SnapshotId must be given', 'MissingParameter');
    if (!Number.isInteger(size) || size < 0 || size > largestSize) {
      throw new InvalidParameterValue(
        `Value (${size}) for parameter Size is invalid. An integer from 0 to ${largestSize} is expected.`,
      );
    }
    // 0 is a volume of 100 MB (nova 2011.3, nova/volume/driver.py).
    return size;
  }

  async #row(context: Context, id: number): Promise<VolumeRow> {
    return (await this.get(context, id)).volume;
  }

  async #instance(context: Context, id: number): Promise<InstanceRow> {
    const instance = await findInstance(this.parts.db, id);
    const project = visibleProject(context);
    if (instance === undefined || (project !== null && instance.project_id !== project)) throw new InstanceNotFound(id);
    return instance;
  }

  #log(): Logger {
    return this.parts.runtime.log.logger('nova.volume.api');
  }
}

/** The project whose resources the caller sees; null for an administrator, who sees all. */
function visibleProject(context: Context): string | null {
  return context.isAdmin ? null : context.requireProject();
}

/** 2011.3 doesn't tell a volume which is attached from one which isn't ready; EC2 does. */
function notAvailable(volume: Pick<VolumeRow, 'status'>): ApiError {
  const awsCode = volume.status === 'in-use' ? 'VolumeInUse' : 'IncorrectState';
  return new ApiError('Volume status must be available', undefined, awsCode);
}

/** The columns of those texts which are given. Throws InvalidParameterValue for one which no database would store. */
function columns(texts: Texts): { display_name?: string; display_description?: string } {
  const check = (what: string, value: string): string => {
    if (value.length > longestText || value.includes('\0')) {
      throw new InvalidParameterValue(`The ${what} must be a text of at most ${longestText} characters`);
    }
    return value;
  };
  return {
    ...(texts.name === undefined ? {} : { display_name: check('name', texts.name) }),
    ...(texts.description === undefined ? {} : { display_description: check('description', texts.description) }),
  };
}
