import { join } from 'node:path';
import { ObjectClient, ObjectNotFetched, type S3Keys } from '../bundles/objectClient.js';
import { manifestLimits, parseManifest, type Manifest } from '../bundles/manifest.js';
import { Unbundling } from '../bundles/unbundle.js';
import { adminContext, type Context } from '../context.js';
import { CertificateAuthority } from '../crypto/ca.js';
import type { Queryable } from '../db/db.js';
import { findSnapshot } from '../db/snapshots.js';
import { userById } from '../db/users.js';
import { findVolume } from '../db/volumes.js';
import { ApiError, errorText, Invalid, UserNotFound } from '../errors.js';
import type { Image, ImageService } from '../images/imageService.js';
import { Slots } from '../lanes.js';
import type { Logger } from '../log.js';
import type { Runtime } from '../runtime/runtime.js';
import { requireOwnBlockDevices, type BlockDevice } from './blockDevices.js';
import { checkImageTexts } from './images.js';

/** What an image is registered with. Absent means that the request doesn't say. */
export interface RegisterWish {
  /** `BUCKET/KEY` of the manifest; absent for an image of volumes alone. */
  readonly location?: string;
  readonly name?: string;
  readonly description?: string;
  readonly architecture?: string;
  /** Decimal ids of the image service. */
  readonly kernelId?: string;
  readonly ramdiskId?: string;
  readonly rootDeviceName?: string;
  readonly blockDevices: readonly BlockDevice[];
}

/** The steps of a registration, and the states in which it ends when one fails (nova 2011.3, nova/image/s3.py). */
const failedStates: Readonly<Record<string, string>> = {
  pending: 'failed_download',
  downloading: 'failed_download',
  decrypting: 'failed_decrypt',
  untarring: 'failed_untar',
  uploading: 'failed_upload',
};

/** Property of an image which is being registered: the nova-api which does it. */
const workerProperty = 'registered_by';
/** Property of one whose registration failed: why, in a sentence. */
const reasonProperty = 'image_state_reason';

interface BundlesParts {
  readonly runtime: Runtime;
  readonly db: Queryable;
  readonly images: ImageService;
}

/**
 * Images out of bundles in the objectstore. Registering answers at once; the image's property image_state tells how far
 * the work is (`pending`, `downloading`, `decrypting`, `untarring`, `uploading`), and ends as `available` or
 * `failed_download`, `failed_decrypt`, `failed_untar`, `failed_upload`, also when the daemon dies meanwhile.
 */
export class Bundles {
  readonly #client: ObjectClient;
  readonly #slots: Slots;
  readonly #running = new Set<Promise<void>>();
  readonly #stopping = new AbortController();
  readonly #logger: Logger;
  /** Tells what this daemon began from what one before it did under the same name. */
  readonly #run: string;

  constructor(private readonly parts: BundlesParts) {
    const { runtime } = parts;
    this.#client = new ObjectClient(runtime);
    this.#slots = new Slots(runtime.flags.bundle_concurrency);
    this.#logger = runtime.log.logger('nova.image.s3');
    this.#run = runtime.random.uuid();
  }

  /**
   * Registers the image which a manifest describes, and begins to unpack it. The bundle is read with the caller's own
   * keys, so that nobody registers what he may not read. An image without a manifest, of volumes alone, has no bits and
   * is available at once (2011.3 had none such). Throws ApiError, InvalidManifest, VolumeNotFound and SnapshotNotFound for
   * what is not the caller's own.
   */
  async register(context: Context, wish: RegisterWish): Promise<Image> {
    const named = wish.blockDevices.map((device) => ({
      volume_id: device.volumeId ?? null,
      snapshot_id: device.snapshotId ?? null,
    }));
    const find = { volume: findVolume, snapshot: findSnapshot };
    await requireOwnBlockDevices(this.parts.db, context, named, find);
    checkImageTexts(wish);
    if (wish.location === undefined) return this.#registerVolumes(context, wish);
    const { bucket, key } = splitLocation(wish.location);
    const keys = await this.#keysOf(context);
    const manifest = parseManifest(await this.#readManifest(keys, bucket, key));
    const properties = { ...propertiesOf(context, wish, manifest), [workerProperty]: `${this.#worker()}/${this.#run}` };
    const image = await this.parts.images.create(context, {
      ...(wish.name !== undefined && { name: wish.name }),
      disk_format: manifest.kind,
      container_format: manifest.kind,
      is_public: false,
      properties,
    });
    this.#begin(context, image, { bucket, keys, manifest });
    return image;
  }

  #registerVolumes(context: Context, wish: RegisterWish): Promise<Image> {
    const properties = { ...propertiesOf(context, wish, null), image_state: 'available' };
    const fields = { disk_format: 'ami', container_format: 'ami', is_public: false, properties };
    const noBits = new Blob([]).stream();
    return this.parts.images.create(
      context,
      { ...fields, ...(wish.name !== undefined && { name: wish.name }) },
      noBits,
    );
  }

  /**
   * Ends what a predecessor of this daemon left half-done: an image whose bits are all there becomes available, the
   * others fail. Called when a nova-api starts; tries again while the image registry is away.
   */
  async recover(): Promise<void> {
    const { runtime, images } = this.parts;
    const context = adminContext(runtime);
    await this.#removeFolders();
    for (let seconds = 1; !this.#stopping.signal.aborted; seconds = Math.min(seconds * 2, 30)) {
      try {
        for (const image of await images.detail(context)) {
          const { image_state: state, [workerProperty]: worker } = image.properties;
          const isPredecessors = worker?.startsWith(`${this.#worker()}/`) === true && !worker.endsWith(`/${this.#run}`);
          if (!isPredecessors || state == null || !Object.hasOwn(failedStates, state)) continue;
          const bitsAreThere = image.status === 'active';
          const reason = 'The nova-api which registered the image ended before it was done';
          await this.#setState(
            context,
            image.id,
            bitsAreThere ? 'available' : failedStates[state]!,
            bitsAreThere ? undefined : reason,
          );
          this.#logger.warn(`Image ${image.id} was ${state} when its nova-api ended`);
        }
        return;
      } catch (error) {
        this.#logger.warn(`Cannot look for images which were half registered: ${errorText(error)}`);
        await runtime.sleep(seconds * 1000, this.#stopping.signal).catch(() => undefined);
      }
    }
  }

  /** Breaks off what runs; those images end as failed. Resolves when they have. */
  async stop(): Promise<void> {
    this.#stopping.abort(new Invalid('The nova-api was stopped before it was done'));
    await Promise.all(this.#running);
  }

  /** Resolves when nothing is being registered. */
  async idle(): Promise<void> {
    while (this.#running.size > 0) await Promise.all(this.#running);
  }

  #begin(context: Context, image: Image, source: { bucket: string; keys: S3Keys; manifest: Manifest }): void {
    const { signal } = this.#stopping;
    const work = this.#slots
      .run(() => this.#unbundle(context, image, source), signal)
      .catch((error: unknown) => this.#fail(context, image, 'pending', error))
      .finally(() => this.#running.delete(work));
    this.#running.add(work);
  }

  async #unbundle(
    context: Context,
    image: Image,
    source: { bucket: string; keys: S3Keys; manifest: Manifest },
  ): Promise<void> {
    const { runtime, images } = this.parts;
    const folder = join(runtime.flags.image_decryption_dir, `${this.#prefix()}${this.#run}-${runtime.random.uuid()}`);
    let state = 'pending';
    const enter = async (next: string): Promise<void> => {
      await this.#setState(context, image.id, next);
      state = next;
    };
    try {
      await enter('downloading');
      const privateKey = await runtime.files.read(
        new CertificateAuthority(runtime).privateKeyPath(image.properties['project_id'] ?? null),
      );
      const unbundling = new Unbundling(
        runtime,
        this.#client,
        { ...source, privateKey },
        folder,
        this.#stopping.signal,
      );
      await unbundling.download();
      await enter('decrypting');
      await unbundling.decrypt();
      await enter('untarring');
      await unbundling.untar();
      await enter('uploading');
      await images.update(context.elevated(), image.id, {}, unbundling.image());
      await this.#setState(context, image.id, 'available');
      this.#logger.audit(`Image ${image.id} was registered from a bundle`);
    } catch (error) {
      await this.#fail(context, image, state, error);
    } finally {
      await runtime.files.remove(folder).catch((error: unknown) => {
        this.#logger.warn(`${folder} stays behind: ${errorText(error)}`);
      });
    }
  }

  async #fail(context: Context, image: Image, state: string, error: unknown): Promise<void> {
    const known = error instanceof Invalid || error instanceof ObjectNotFetched;
    const reason = known ? errorText(error) : 'The cloud failed to register the image; its log says why';
    this.#logger.error(`Image ${image.id} failed while ${state}: ${errorText(error)}`, known ? undefined : error);
    await this.#setState(context, image.id, failedStates[state]!, reason).catch((failure: unknown) => {
      // The next start finds it as it is.
      this.#logger.error(`The state of image ${image.id} cannot be written: ${errorText(failure)}`);
    });
  }

  async #setState(context: Context, id: string, state: string, reason?: string): Promise<void> {
    const properties = { image_state: state, ...(reason !== undefined && { [reasonProperty]: reason.slice(0, 255) }) };
    await this.parts.images.update(context.elevated(), id, { properties });
  }

  async #readManifest(keys: S3Keys, bucket: string, key: string): Promise<Buffer> {
    try {
      return await this.#client.read(keys, bucket, key, manifestLimits.bytes);
    } catch (error) {
      if (error instanceof ObjectNotFetched) throw new ApiError(error.message, 'InvalidManifest');
      throw error;
    }
  }

  /** Those of the flags, which an operator sets for one account of the cloud's own; else the caller's. */
  async #keysOf(context: Context): Promise<S3Keys> {
    const { s3_access_key: access, s3_secret_key: secret } = this.parts.runtime.flags;
    if (access !== 'notchecked' || context.userId === null) return { access, secret };
    try {
      const user = await userById(this.parts.db, context.userId);
      return { access: `${user.access_key ?? ''}:${context.projectId ?? user.id}`, secret: user.secret_key ?? '' };
    } catch (error) {
      // Without authentication callers need not exist; an open objectstore doesn't ask who it is.
      if (error instanceof UserNotFound) return { access, secret };
      throw error;
    }
  }

  #worker(): string {
    const { runtime } = this.parts;
    return `${runtime.host}:${runtime.flags.ec2_listen_port}`;
  }

  /** How the names of folders begin in which a nova-api of this name works. */
  #prefix(): string {
    return `nova-bundle-${this.#worker().replace(/[^A-Za-z0-9._-]/g, '_')}-`;
  }

  async #removeFolders(): Promise<void> {
    const { files, flags } = this.parts.runtime;
    const folder = flags.image_decryption_dir;
    const names = await files.list(folder).catch(() => []);
    for (const name of names.filter((candidate) => candidate.startsWith(this.#prefix()))) {
      if (!name.includes(this.#run)) await files.remove(join(folder, name)).catch(() => undefined);
    }
  }
}

function splitLocation(location: string): { bucket: string; key: string } {
  const match = /^\/?([^/]+)\/(.+)$/s.exec(location);
  // eslint-disable-next-line no-control-regex -- control characters are the point
  const isUnsafe = /(^|\/)\.{1,2}(\/|$)|[\u0000-\u001f\u007f]/.test(location) || Buffer.byteLength(location) > 1024;
  if (match === null || isUnsafe) {
    throw new ApiError('ImageLocation must be BUCKET/KEY of a manifest', 'InvalidParameterValue');
  }
  return { bucket: match[1]!, key: match[2]! };
}

/** Most characters of all block devices of an image, as its registry keeps them. */
const longestMapping = 16_384;

function propertiesOf(context: Context, wish: RegisterWish, manifest: Manifest | null): Record<string, string | null> {
  const kernel = wish.kernelId ?? manifest?.kernelId ?? null;
  const ramdisk = wish.ramdiskId ?? manifest?.ramdiskId ?? null;
  const mappings = manifest?.mappings ?? [];
  const devices = wish.blockDevices.map((device) => ({
    device_name: device.deviceName,
    ...(device.virtualName !== undefined && { virtual_name: device.virtualName }),
    ...(device.noDevice === true && { no_device: true }),
    ...(device.snapshotId !== undefined && { snapshot_id: device.snapshotId }),
    ...(device.volumeId !== undefined && { volume_id: device.volumeId }),
    ...(device.volumeSize !== undefined && { volume_size: device.volumeSize }),
    ...(device.deleteOnTermination !== undefined && { delete_on_termination: device.deleteOnTermination }),
  }));
  const deviceList = JSON.stringify(devices);
  if (deviceList.length > longestMapping) {
    throw new ApiError('The block devices of an image have too long names', 'InvalidParameterValue');
  }
  return {
    ...(wish.location !== undefined && { image_location: wish.location }),
    project_id: context.projectId,
    architecture: wish.architecture ?? manifest?.architecture ?? 'x86_64',
    image_state: 'pending',
    ...(wish.description !== undefined && { description: wish.description }),
    ...(kernel !== null && { kernel_id: kernel }),
    ...(ramdisk !== null && { ramdisk_id: ramdisk }),
    ...(wish.rootDeviceName !== undefined && { root_device_name: wish.rootDeviceName }),
    ...(mappings.length > 0 && { mappings: JSON.stringify(mappings) }),
    ...(devices.length > 0 && { block_device_mapping: deviceList }),
  };
}
