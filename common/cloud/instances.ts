import type { Context } from '../context.js';
import { hasTable } from '../db/indexes.js';
import { failInstance } from '../db/instanceActions.js';
import { instancesByIds } from '../db/instanceClaims.js';
import { findInstance, requestTermination } from '../db/instances.js';
import { extraSpecsOf, getInstanceTypeByName, listInstanceTypes } from '../db/instanceTypes.js';
import { viewInstances, type InstanceFilter, type InstanceView, type KnownParts } from '../db/instanceViews.js';
import { findKeyPair, type KeyPair } from '../db/keyPairs.js';
import { createReservation, type CreatedReservation } from '../db/reservations.js';
import type { InstanceRow, InstanceTypeRow } from '../db/rows.js';
import { defaultGroupName } from '../db/securityGroups.js';
import { findSnapshot } from '../db/snapshots.js';
import { findVolume } from '../db/volumes.js';
import { errorText, InstanceNotFound, InstanceNotRunning, KeypairNotFound } from '../errors.js';
import type { Image } from '../images/imageService.js';
import type { RequestSpec } from '../rpc/compute.js';
import { dbTime } from '../time.js';
import { mappingRows, requireOwnBlockDevices } from './blockDevices.js';
import { operate, refuseLocked, type InstanceState, type StateChange } from './instanceOperation.js';
import type { Images } from './images.js';
import type { CloudParts } from './parts.js';
import type { Quotas } from './quotas.js';
import type { Volumes } from './volumes.js';
import {
  checkTexts,
  instanceColumns,
  namesOf,
  requestHash,
  requestSpec,
  wishedCounts,
  type Launch,
  type LaunchWish,
} from './launch.js';
import type { GroupRef, SecurityGroups } from './securityGroups.js';

export type { InstanceState, StateChange } from './instanceOperation.js';

/** The rules about instances. */
export class Instances {
  /** Whether the database keeps client tokens; unknown until one comes. */
  #keepsTokens: boolean | undefined;

  constructor(
    private readonly parts: CloudParts,
    private readonly cloud: {
      readonly images: Images;
      readonly quotas: Quotas;
      readonly securityGroups: SecurityGroups;
      readonly volumes: Volumes;
    },
  ) {}

  /**
   * Makes the instances of a reservation and asks the scheduler to place each. Answers them as they are then, newest
   * first; one which the scheduler could not be told of is in `error`, with the reason. A repeated client token answers
   * the earlier reservation. Throws ImageNotFound, InstanceTypeNotFoundByName, KeypairNotFound, SecurityGroupNotFound…,
   * VolumeNotFound, SnapshotNotFound, QuotaError and ApiError; then nothing was made.
   */
  async run(context: Context, wish: LaunchWish): Promise<{ reservationId: string; instances: InstanceView[] }> {
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
    const [groups, extraSpecs] = await Promise.all([
      this.#securityGroups(context, wish.securityGroups),
      extraSpecsOf(db, launch.type.id),
    ]);

    const row = instanceColumns(context, wish, launch);
    const token = await this.#token(wish);
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
    await this.#schedule(context, requestSpec(row, wish, launch, extraSpecs), wish, created);

    const { reservationId, repeated } = created;
    const reservation: InstanceFilter = { projectId, reservationId };
    if (repeated) return { reservationId, instances: await viewInstances(db, this.#withTerminated(reservation)) };
    const known: KnownParts = {
      typeName: launch.type.name,
      fixedIps: [],
      groups,
      metadata: Object.entries(wish.metadata ?? {}).map(([key, value]) => ({ key, value })),
      ...(mappings.length === 0 ? { volumes: [] } : {}),
    };
    return { reservationId, instances: await viewInstances(db, reservation, known) };
  }

  /**
   * Instances of the caller's project (of all, for administrators), newest first. With ids also those which were
   * terminated a while ago (flag ec2_terminated_visible); unknown ids are left out.
   */
  async describe(context: Context, wish: { ids?: readonly number[] } = {}): Promise<InstanceView[]> {
    const { db, runtime } = this.parts;
    const filter: InstanceFilter = {
      ...(wish.ids === undefined ? {} : { ids: [...new Set(wish.ids)] }),
      ...(context.isAdmin
        ? {}
        : { projectId: context.requireProject(), hiddenImage: String(runtime.flags.vpn_image_id) }),
    };
    return viewInstances(db, wish.ids === undefined ? filter : this.#withTerminated(filter));
  }

  /** One live instance with everything. Throws InstanceNotFound. */
  async get(context: Context, id: number): Promise<InstanceView> {
    const [view] = (await this.describe(context, { ids: [id] })).filter(({ row }) => !row.deleted);
    if (view === undefined) throw new InstanceNotFound(id);
    return view;
  }

  /**
   * Throws InstanceNotFound, and ApiError for a locked one, when one of these instances isn't the caller's to change: before
   * any of them is.
   */
  async requireAll(context: Context, ids: readonly number[]): Promise<void> {
    const rows = new Map((await instancesByIds(this.parts.db, ids)).map((row) => [row.id, row]));
    for (const id of ids) refuseLocked(context, this.#ownRow(context, id, rows.get(id)));
  }

  /**
   * Terminates an instance in whatever state: its host is told, or, without one, it is deleted here. Repeated for an
   * instance which is being terminated, it tells the host again. One which has just been terminated is no error.
   */
  async terminate(context: Context, id: number): Promise<StateChange> {
    const { db, rpc } = this.parts;
    const row = await this.#own(context, id, { terminated: true });
    if (row.deleted) return { before: row, after: row };
    refuseLocked(context, row);
    const termination = await requestTermination(db, id);
    if (termination.kind === 'missing') return { before: row, after: { ...row, deleted: true } };

    const { before } = termination;
    const after: InstanceState = { ...before, task_state: 'deleting', deleted: termination.kind === 'gone' };
    if (termination.kind === 'host') {
      // Nobody told: it stays `deleting`, which its host takes up when it starts, and a repeated request tells it again.
      await rpc.computeOn(termination.host).cast.terminate_instance(context, { instance_id: id });
    } else {
      await this.#releaseUnscheduled(context, before, termination);
    }
    return { before, after };
  }

  /** Stops a running instance. One which is stopped already is no error. */
  async stop(context: Context, id: number): Promise<StateChange> {
    return operate(this.parts, context, id, {
      taskState: 'stopping',
      expected: { vmState: ['active', 'rebuilding'], taskState: [null, 'stopping', 'rebooting'] },
      done: (row) => row.vm_state === 'stopped' && row.task_state === null,
      values: () => ({ vm_state: 'active', terminated_at: this.parts.db.now() }),
      tell: (row, host) => this.parts.rpc.computeOn(host).cast.stop_instance(context, { instance_id: row.id }),
    });
  }

  /** Starts a stopped instance, on whatever host the scheduler picks. One which runs already is no error. */
  async start(context: Context, id: number): Promise<StateChange> {
    return operate(this.parts, context, id, {
      taskState: 'starting',
      expected: { vmState: ['stopped'], taskState: [null, 'starting'] },
      done: (row) => row.vm_state === 'active' && row.task_state === null,
      values: () => ({}),
      tell: (row) =>
        this.parts.rpc.scheduler.cast.start_instance(context, {
          topic: this.parts.runtime.flags.compute_topic,
          instance_id: row.id,
        }),
    });
  }

  /** Reboots an instance which runs, or which failed on its host. */
  async reboot(context: Context, id: number): Promise<StateChange> {
    return operate(this.parts, context, id, {
      taskState: 'rebooting',
      expected: { vmState: ['active', 'error'], taskState: [null, 'rebooting'] },
      values: () => ({ vm_state: 'active' }),
      tell: (row, host) => this.parts.rpc.computeOn(host).cast.reboot_instance(context, { instance_id: row.id }),
    });
  }

  /**
   * The newest part of what an instance wrote to its console. Throws InstanceNotFound, InstanceNotRunning when it has no
   * console yet, MessageNotDelivered or RpcTimeout when its host doesn't answer.
   */
  async consoleOutput(context: Context, id: number): Promise<string> {
    const row = await this.#own(context, id);
    if (row.host === null || row.vm_state === 'building' || row.vm_state === 'stopped') {
      throw new InstanceNotRunning(id);
    }
    return this.parts.rpc.computeOn(row.host).call.get_console_output(context, { instance_id: id });
  }

  /** The instance types which can be asked for, by flavorid. */
  async types(): Promise<InstanceTypeRow[]> {
    return listInstanceTypes(this.parts.db);
  }

  /** Everything that a launch names, as the caller may use it. */
  async #resolve(context: Context, wish: LaunchWish): Promise<Launch> {
    const { db, runtime } = this.parts;
    const type = await getInstanceTypeByName(db, wish.instanceType ?? runtime.flags.default_instance_type);
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
      keyPair: await this.#keyPair(context, wish.keyName),
      time: runtime.clock.now(),
    };
  }

  /** The client token, where the database can keep it: one which Python made can't until `nova-manage db index`. */
  async #token(wish: LaunchWish): Promise<{ value: string; requestHash: string } | undefined> {
    const { clientToken: value } = wish;
    if (value === undefined) return undefined;
    if (this.#keepsTokens !== true) {
      const known = this.#keepsTokens;
      this.#keepsTokens = await hasTable(this.parts.db, 'ext_client_tokens');
      if (!this.#keepsTokens && known === undefined) {
        this.parts.runtime.log
          .logger('nova.cloud.instances')
          .warn(
            'ClientToken has no effect, a repeated RunInstances starts instances again: the database lacks the table ' +
              'ext_client_tokens. `nova-manage db index` adds it',
          );
      }
    }
    return this.#keepsTokens ? { value, requestHash: requestHash({ ...wish, clientToken: '' }) } : undefined;
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

  /** What is left to do for an instance which was deleted before any host had it. */
  async #releaseUnscheduled(
    context: Context,
    row: InstanceRow,
    rest: { volumesToDelete: readonly number[]; holdsAddresses: boolean },
  ): Promise<void> {
    const { rpc, runtime } = this.parts;
    const warn = (what: string) => (error: unknown) =>
      runtime.log
        .logger('nova.cloud.instances')
        .warn(`instance ${row.id} is deleted, but ${what}: ${errorText(error)}`);
    if (rest.holdsAddresses) {
      await rpc.network.cast
        .deallocate_for_instance(context.elevated(), { instance_id: row.id, project_id: row.project_id })
        .catch(warn('its addresses are held'));
    }
    for (const volumeId of rest.volumesToDelete) {
      await this.cloud.volumes.delete(context, volumeId).catch(warn(`volume ${volumeId} is not`));
    }
  }

  /** The caller's instance. A foreign one is as if it didn't exist. */
  async #own(context: Context, id: number, options: { terminated?: boolean } = {}): Promise<InstanceRow> {
    const row = await findInstance(this.parts.db, id, options.terminated === true ? { deleted: 'any' } : {});
    return this.#ownRow(context, id, row);
  }

  #ownRow(context: Context, id: number, row: InstanceRow | undefined): InstanceRow {
    const visible = row !== undefined && (!row.deleted || (row.deleted_at ?? '') >= this.#terminatedSince());
    if (!visible || !(context.isAdmin || row.project_id === context.requireProject())) throw new InstanceNotFound(id);
    return row;
  }

  #terminatedSince(): string {
    const { clock, flags } = this.parts.runtime;
    return dbTime(clock.now() - flags.ec2_terminated_visible * 1000);
  }

  #withTerminated(filter: InstanceFilter): InstanceFilter {
    return { ...filter, deletedSince: this.#terminatedSince() };
  }
}

/** Nova 2011.3 draws the characters of a reservation id from these. */
const reservationLetters = '0123456789abcdefghijklmnopqrstuvwxyz';
