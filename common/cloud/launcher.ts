import type { Context } from '../context.js';
import { failInstance } from '../db/instanceActions.js';
import { getInstanceTypeWithSpecs } from '../db/instanceTypes.js';
import { viewInstances, type InstanceView, type KnownParts } from '../db/instanceViews.js';
import { findKeyPair, type KeyPair } from '../db/keyPairs.js';
import { createReservation, type CreatedReservation } from '../db/reservations.js';
import { defaultGroupName } from '../db/securityGroups.js';
import { findSnapshot } from '../db/snapshots.js';
import { findVolume } from '../db/volumes.js';
import { errorText, KeypairNotFound } from '../errors.js';
import type { Image } from '../images/imageService.js';
import type { RequestSpec } from '../rpc/compute.js';
import { mappingRows, requireOwnBlockDevices } from './blockDevices.js';
import type { ClientTokens } from './clientTokens.js';
import type { Images } from './images.js';
import { terminatedSince } from './instanceOperation.js';
import {
  checkTexts,
  instanceColumns,
  namesOf,
  requestSpec,
  wishedCounts,
  type Launch,
  type LaunchWish,
} from './launch.js';
import type { CloudParts } from './parts.js';
import type { Quotas } from './quotas.js';
import type { GroupRef, SecurityGroups } from './securityGroups.js';

/** The rules which a launch asks. */
export interface LaunchRules {
  readonly clientTokens: ClientTokens;
  readonly images: Images;
  readonly quotas: Quotas;
  readonly securityGroups: SecurityGroups;
}

/** A reservation with its instances. */
export interface Reserved {
  reservationId: string;
  instances: InstanceView[];
}

/** The launch of instances: what it names is looked up, rows are made, the scheduler is told. */
export class Launcher {
  constructor(
    private readonly parts: CloudParts,
    private readonly cloud: LaunchRules,
  ) {}

  /**
   * Makes the instances of a reservation and asks the scheduler to place each. Answers them as they are then, newest
   * first; one which the scheduler could not be told of is in `error`, with the reason. A repeated client token answers
   * the earlier reservation. Throws ImageNotFound, InstanceTypeNotFoundByName, KeypairNotFound, SecurityGroupNotFound…,
   * VolumeNotFound, SnapshotNotFound, QuotaError and ApiError; then nothing was made.
   */
  async run(context: Context, wish: LaunchWish): Promise<Reserved> {
    const { db, runtime } = this.parts;
    const projectId = context.requireProject();
    const { minCount, maxCount } = wishedCounts(wish);
    checkTexts(wish);

    const launch = await this.#resolve(context, wish);
    const mappings = mappingRows(launch.image, launch.type, wish.blockDevices);
    await requireOwnBlockDevices(db, context, mappings, { volume: findVolume, snapshot: findSnapshot });
    if (wish.metadata !== undefined) {
      const items = Object.entries(wish.metadata).map(([key, value]) => ({ key, value }));
      await this.cloud.quotas.checkMetadata(context, items, items.length);
    }
    const groups = await this.#securityGroups(context, wish.securityGroups);

    const row = instanceColumns(context, wish, launch);
    const { clientToken, ...repeatable } = wish;
    const token = await this.cloud.clientTokens.of('RunInstances', clientToken, repeatable);
    const created = await createReservation(db, runtime.flags, {
      projectId,
      reservationId: launch.reservationId,
      minCount,
      maxCount,
      type: launch.type,
      row,
      securityGroupIds: groups.map(({ id }) => id),
      mappings,
      metadata: wish.metadata ?? {},
      uuid: () => runtime.random.uuid(),
      names: (id) => namesOf(id, wish.displayName),
      ...(token === undefined ? {} : { token }),
    });
    await this.#schedule(context, requestSpec(row, wish, launch), wish, created);

    const { reservationId, repeated } = created;
    if (repeated) {
      const all = { projectId, reservationId, deletedSince: terminatedSince(runtime) };
      return { reservationId, instances: await viewInstances(db, all) };
    }
    const known: KnownParts = {
      typeName: launch.type.name,
      fixedIps: [],
      groups,
      metadata: Object.entries(wish.metadata ?? {}).map(([key, value]) => ({ key, value })),
      ...(mappings.length === 0 ? { volumes: [] } : {}),
    };
    // by id: a server which has planned before its tables grew looks through the whole project for a reservation
    const made = { projectId, ids: created.instanceIds };
    return { reservationId, instances: await viewInstances(db, made, known) };
  }

  /** Everything that a launch names, as the caller may use it. */
  async #resolve(context: Context, wish: LaunchWish): Promise<Launch> {
    const { db, runtime } = this.parts;
    const typeName = wish.instanceType ?? runtime.flags.default_instance_type;
    const { type, extraSpecs } = await getInstanceTypeWithSpecs(db, typeName);
    const image = await this.#image(context, wish.image);
    this.cloud.images.requireAvailable(image);
    const noKernel = runtime.flags.null_kernel;
    const kernelId = await this.#imageId(context, wish.kernel, image.properties['kernel_id']);
    const ramdiskId =
      kernelId === noKernel ? null : await this.#imageId(context, wish.ramdisk, image.properties['ramdisk_id']);
    return {
      reservationId: `r-${Array.from({ length: 8 }, () => runtime.random.pick([...reservationLetters])).join('')}`,
      image,
      kernelId: kernelId === noKernel ? null : kernelId,
      ramdiskId: ramdiskId === noKernel ? null : ramdiskId,
      type,
      extraSpecs,
      keyPair: await this.#keyPair(context, wish.keyName),
      time: runtime.clock.now(),
    };
  }

  #image(context: Context, name: string): Promise<Image> {
    return /^\d{1,10}$/.test(name) ? this.cloud.images.get(context, name) : this.cloud.images.byEc2Id(context, name);
  }

  /** The image service's id of a kernel or ramdisk, which must be visible; the flag null_kernel's value stays. */
  async #imageId(
    context: Context,
    wished: string | undefined,
    property: string | null | undefined,
  ): Promise<string | null> {
    const name = wished ?? property;
    if (name == null || name === '') return null;
    if (name === this.parts.runtime.flags.null_kernel) return name;
    return (await this.#image(context, name)).id;
  }

  async #keyPair(context: Context, name: string | undefined): Promise<KeyPair | null> {
    if (name === undefined) return null;
    const userId = context.userId ?? '';
    const keyPair = await findKeyPair(this.parts.db, userId, name);
    if (keyPair === undefined) throw new KeypairNotFound(name, userId);
    return keyPair;
  }

  /** The groups which are named, each once; without any, the project's `default`, made at first use. */
  async #securityGroups(context: Context, wished: readonly GroupRef[]): Promise<{ id: number; name: string }[]> {
    const groups = this.cloud.securityGroups;
    const defaultId = await groups.ensureDefault(context);
    if (wished.length === 0) return [{ id: defaultId, name: defaultGroupName }];
    const names = wished.flatMap((ref) => ('name' in ref ? ref.name : []));
    const ids = wished.flatMap((ref) => ('id' in ref ? ref.id : []));
    const found = [...(await groups.byNames(context, names)), ...(await groups.byIds(context, ids))];
    return [...new Map(found.map(({ id, name }) => [id, { id, name: name ?? '' }])).values()];
  }

  /** Tells the scheduler of each new instance, in the order of their launch indexes. */
  async #schedule(
    context: Context,
    spec: RequestSpec,
    wish: LaunchWish,
    { instanceIds }: CreatedReservation,
  ): Promise<void> {
    const { db, rpc, runtime } = this.parts;
    const casts = instanceIds.map(async (id) => {
      try {
        await rpc.scheduler.cast.run_instance(context, {
          topic: runtime.flags.compute_topic,
          instance_id: id,
          request_spec: spec,
          availability_zone: wish.availabilityZone ?? null,
          admin_password: null,
          injected_files: null,
          requested_networks: null,
        });
      } catch (error) {
        const reason = `The scheduler could not be told of the instance: ${errorText(error)}`;
        runtime.log.logger('nova.cloud.instances').error(`instance ${id}: ${reason}`);
        await failInstance(db, id, 'run_instance', reason, ['scheduling']);
      }
    });
    await Promise.all(casts);
  }
}

/** Nova 2011.3 draws the characters of a reservation id from these. */
const reservationLetters = '0123456789abcdefghijklmnopqrstuvwxyz';
