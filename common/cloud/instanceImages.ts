import type { Context } from '../context.js';
import { blockDeviceMappingsOf } from '../db/blockDeviceMappings.js';
import type { InstanceRow } from '../db/rows.js';
import { ImageNotFound, InvalidInput, RotationRequiredForBackup, errorText } from '../errors.js';
import type { Image } from '../images/imageService.js';
import type { Volumes } from './volumes.js';
import { checkImageTexts, type Images } from './images.js';
import type { CloudParts } from './parts.js';
import { incorrectState, ownPlaced, refuseLocked } from './instanceOperation.js';

/** States in which an instance has a disk to read; that of a stopped one is its image. */
const possibleIn: readonly string[] = ['active', 'paused', 'suspended', 'rescued', 'stopped'];
const longestName = 255;

/** What becomes of the image of an instance. */
interface ImageWish {
  readonly name: string;
  /** Further properties; those which say what the image is can't be overridden. */
  readonly properties?: Readonly<Record<string, string | null>>;
}

/**
 * Images made of instances. The image is registered at once, without bits (property image_state `creating`), and the
 * instance's host is asked to fill it (nova 2011.3, nova/compute/api.py _create_image). Methods throw InstanceNotFound,
 * ApiError in a state which doesn't allow it, InvalidInput, what the image service throws, MessageNotDelivered; then
 * there is no image.
 */
export class InstanceImages {
  constructor(
    private readonly parts: CloudParts,
    private readonly cloud: { readonly images: Images; readonly volumes: Volumes },
  ) {}

  /** An image of the instance's root disk as it is now. */
  async snapshot(context: Context, id: number, wish: ImageWish): Promise<Image> {
    const { row, host } = await this.#snapshotable(context, id);
    return this.#create(context, row, host, wish, { type: 'snapshot', backupType: null, rotation: null });
  }

  /** As {@link snapshot}; of the backups of this type (`daily`, …) the newest `rotation` stay, the others are deleted. */
  async backup(
    context: Context,
    id: number,
    wish: ImageWish & { backupType: string; rotation: number },
  ): Promise<Image> {
    if (!Number.isInteger(wish.rotation) || wish.rotation < 0) throw new RotationRequiredForBackup();
    if (wish.backupType.length > longestName) throw new InvalidInput('the type of the backup is too long');
    const { row, host } = await this.#snapshotable(context, id);
    const { backupType, rotation } = wish;
    return this.#create(context, row, host, wish, { type: 'backup', backupType, rotation });
  }

  /**
   * EC2's CreateImage: an image of the root disk, and snapshots of those volumes which were made from snapshots, which
   * instances of the image get again. The hypervisor reads the disk at one moment, so the instance needn't be stopped
   * for it, whatever the request says; 2011.3 stops it, by which its local disk would be lost.
   */
  async createImage(context: Context, id: number, wish: ImageWish): Promise<Image> {
    const description = wish.properties?.['description'] ?? undefined;
    checkImageTexts({ name: wish.name, ...(description !== undefined && { description }) });
    const { row, host } = await this.#snapshotable(context, id);
    if (row.vm_state !== 'active' && row.vm_state !== 'stopped') throw incorrectState(row);
    const base = await this.#baseOf(context, row);
    const inherited = ['mappings', 'root_device_name', 'architecture'].flatMap((key) => {
      const value = base?.properties[key];
      return value == null ? [] : [[key, value] as const];
    });
    const devices = await this.#snapshotVolumes(context, row);
    const properties = {
      ...Object.fromEntries(inherited),
      ...(row.root_device_name === null ? {} : { root_device_name: row.root_device_name }),
      ...(devices.length === 0 ? {} : { block_device_mapping: JSON.stringify(devices) }),
      ...wish.properties,
    };
    const kind = { type: 'snapshot', backupType: null, rotation: null } as const;
    return this.#create(context, row, host, { ...wish, properties }, kind);
  }

  async #snapshotable(context: Context, id: number): Promise<{ row: InstanceRow; host: string }> {
    const placed = await ownPlaced(this.parts, context, id);
    refuseLocked(context, placed.row);
    const { vm_state: vm, task_state: task } = placed.row;
    if (!possibleIn.includes(vm ?? '') || task !== null) throw incorrectState(placed.row);
    return placed;
  }

  async #create(
    context: Context,
    row: InstanceRow,
    host: string,
    wish: ImageWish,
    kind: { type: 'snapshot' | 'backup'; backupType: string | null; rotation: number | null },
  ): Promise<Image> {
    const { images, rpc } = this.parts;
    if (wish.name.length > longestName) throw new InvalidInput('the name of the image is too long');
    const image = await images.create(context, {
      name: wish.name,
      is_public: false,
      properties: {
        ...wish.properties,
        instance_uuid: row.uuid,
        user_id: context.userId,
        // 2011.3 leaves it out; by it the whole project sees the image
        project_id: row.project_id,
        image_state: 'creating',
        image_type: kind.type,
        backup_type: kind.backupType,
      },
    });
    try {
      await rpc.computeOn(host).cast.snapshot_instance(context, {
        instance_id: row.id,
        image_id: image.id,
        image_type: kind.type,
        backup_type: kind.backupType,
        rotation: kind.rotation,
      });
    } catch (error) {
      await images.delete(context, image.id).catch((undoing: unknown) => {
        this.#log().warn(`image ${image.id} of instance ${row.id} stays without bits: ${errorText(undoing)}`);
      });
      throw error;
    }
    return image;
  }

  async #snapshotVolumes(context: Context, row: InstanceRow): Promise<Record<string, unknown>[]> {
    const devices: Record<string, unknown>[] = [];
    for (const mapping of await blockDeviceMappingsOf(this.parts.db, row.id)) {
      if (mapping.volume_id === null || mapping.snapshot_id === null) continue;
      const texts = { description: `made for an image of instance ${row.id}` };
      const snapshot = await this.cloud.volumes.createSnapshot(context, mapping.volume_id, texts, true);
      devices.push({
        device_name: mapping.device_name,
        snapshot_id: snapshot.id,
        ...(mapping.volume_size === null ? {} : { volume_size: mapping.volume_size }),
        delete_on_termination: mapping.delete_on_termination ?? false,
      });
    }
    return devices;
  }

  async #baseOf(context: Context, row: InstanceRow): Promise<Image | undefined> {
    if (row.image_ref === null) return undefined;
    try {
      return await this.cloud.images.get(context, row.image_ref);
    } catch (error) {
      if (error instanceof ImageNotFound) return undefined;
      throw error;
    }
  }

  #log(): ReturnType<CloudParts['runtime']['log']['logger']> {
    return this.parts.runtime.log.logger('nova.cloud.instanceImages');
  }
}
