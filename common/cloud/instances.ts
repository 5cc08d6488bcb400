import type { Context } from '../context.js';
import { instancesByIds } from '../db/instanceClaims.js';
import { findInstance, requestTerminations, type Termination } from '../db/instances.js';
import { listInterfacesV6 } from '../db/interfacesV6.js';
import { listInstanceTypes } from '../db/instanceTypes.js';
import {
  viewInstances,
  viewWholeInstances,
  type InstanceFilter,
  type InstanceView,
  type WholeInstanceView,
} from '../db/instanceViews.js';
import type { InstanceRow, InstanceTypeRow } from '../db/rows.js';
import { errorText, InstanceNotFound, InstanceNotRunning } from '../errors.js';
import { guestAddressV6 } from '../ipAddress.js';
import { together } from '../together.js';
import {
  operateAll,
  refuseLocked,
  terminatedSince,
  type InstanceState,
  type StateChange,
} from './instanceOperation.js';
import type { LaunchWish } from './launch.js';
import { Launcher, type LaunchRules, type Reserved } from './launcher.js';
import type { CloudParts } from './parts.js';
import type { Volumes } from './volumes.js';

export type { InstanceState, StateChange } from './instanceOperation.js';

/** The rules about instances. */
export class Instances {
  readonly #launcher: Launcher;

  constructor(
    private readonly parts: CloudParts,
    private readonly cloud: LaunchRules & { readonly volumes: Volumes },
  ) {
    this.#launcher = new Launcher(parts, cloud);
  }

  /** Makes the instances of a reservation and asks the scheduler to place each; see {@link Launcher.run}. */
  async run(context: Context, wish: LaunchWish): Promise<Reserved> {
    return this.#launcher.run(context, wish);
  }

  /**
   * Instances of the caller's project (of all, for administrators), newest first. With ids also those which were
   * terminated a while ago (flag ec2_terminated_visible); unknown ids are left out.
   */
  async describe(context: Context, wish: { ids?: readonly number[] } = {}): Promise<InstanceView[]> {
    const { db } = this.parts;
    const visible = this.#visible(context);
    if (wish.ids === undefined) return viewInstances(db, visible);
    return viewInstances(db, this.#withTerminated({ ...visible, ids: [...new Set(wish.ids)] }));
  }

  /** The IPv6 addresses of instances by their ids, of those whose first fixed address is in a network which has some. */
  async addressesV6(ids: readonly number[]): Promise<Map<number, string>> {
    const { db, runtime } = this.parts;
    const found = (await listInterfacesV6(db, ids)).map(({ instanceId, cidr, mac, projectId }) => {
      return [instanceId, guestAddressV6(runtime.flags.ipv6_backend, cidr, mac, projectId)] as const;
    });
    return new Map(found.filter((each): each is readonly [number, string] => each[1] !== null));
  }

  /** One live instance with everything. Throws InstanceNotFound. */
  async get(context: Context, id: number): Promise<WholeInstanceView> {
    const [view] = await viewWholeInstances(this.parts.db, { ...this.#visible(context), ids: [id] });
    if (view === undefined) throw new InstanceNotFound(id);
    return view;
  }

  /** What the caller may see. */
  #visible(context: Context): InstanceFilter {
    if (context.isAdmin) return {};
    return { projectId: context.requireProject(), hiddenImage: String(this.parts.runtime.flags.vpn_image_id) };
  }

  /**
   * The rows of these instances, in this order, also of those which have just been terminated. Throws InstanceNotFound,
   * and ApiError for a locked one, when one of them isn't the caller's to change: before any of them is.
   */
  async requireAll(context: Context, ids: readonly number[]): Promise<InstanceRow[]> {
    const rows = new Map((await instancesByIds(this.parts.db, ids)).map((row) => [row.id, row]));
    return ids.map((id) => {
      const row = this.#ownRow(context, id, rows.get(id));
      if (!row.deleted) refuseLocked(context, row);
      return row;
    });
  }

  /**
   * Terminates instances in whatever state: the host of each is told, or, without one, it is deleted here. Repeated for
   * one which is being terminated, it tells the host again. One which has just been terminated is no error. Throws
   * InstanceNotFound, and ApiError for a locked one, before any is changed.
   */
  async terminate(context: Context, ids: readonly number[]): Promise<StateChange[]> {
    const rows = await this.requireAll(context, ids);
    const alive = rows.filter((row) => !row.deleted).map((row) => row.id);
    const terminations = await requestTerminations(this.parts.db, alive);
    return together(...rows.map((row) => this.#end(context, row, terminations.get(row.id))));
  }

  /** Tells the host of an instance which is to end, or does the rest here. */
  async #end(context: Context, row: InstanceRow, termination: Termination | undefined): Promise<StateChange> {
    if (termination === undefined) return { before: row, after: { ...row, deleted: true } };
    const { before } = termination;
    const after: InstanceState = { ...before, task_state: 'deleting', deleted: termination.kind === 'gone' };
    if (termination.kind === 'host') {
      // Nobody told: it stays `deleting`, which its host takes up when it starts, and a repeated request tells it again.
      const { cast } = this.parts.rpc.computeOn(termination.host);
      await cast.terminate_instance(context, { instance_id: row.id });
    } else {
      await this.#releaseUnscheduled(context, before, termination);
    }
    return { before, after };
  }

  /** Stops running instances. One which is stopped already is no error. Throws as {@link operateAll}. */
  async stop(context: Context, ids: readonly number[]): Promise<StateChange[]> {
    return operateAll(this.parts, context, ids, {
      taskState: 'stopping',
      expected: { vmState: ['active', 'rebuilding'], taskState: [null, 'stopping', 'rebooting'] },
      done: (row) => row.vm_state === 'stopped' && row.task_state === null,
      values: () => ({ vm_state: 'active', terminated_at: this.parts.db.now() }),
      tell: (row, host) => this.parts.rpc.computeOn(host).cast.stop_instance(context, { instance_id: row.id }),
    });
  }

  /** Starts stopped instances, on whatever host the scheduler picks. One which runs already is no error. */
  async start(context: Context, ids: readonly number[]): Promise<StateChange[]> {
    return operateAll(this.parts, context, ids, {
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

  /**
   * Reboots instances which run, or which failed on their host. Such a one stays in `error` until its host says that it
   * runs (2011.3 writes `active` here): it may never have had a machine.
   */
  async reboot(context: Context, ids: readonly number[]): Promise<StateChange[]> {
    return operateAll(this.parts, context, ids, {
      taskState: 'rebooting',
      expected: { vmState: ['active', 'error'], taskState: [null, 'rebooting'] },
      values: () => ({}),
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
  async #own(context: Context, id: number): Promise<InstanceRow> {
    return this.#ownRow(context, id, await findInstance(this.parts.db, id));
  }

  #ownRow(context: Context, id: number, row: InstanceRow | undefined): InstanceRow {
    const visible =
      row !== undefined && (!row.deleted || (row.deleted_at ?? '') >= terminatedSince(this.parts.runtime));
    if (!visible || !(context.isAdmin || row.project_id === context.requireProject())) throw new InstanceNotFound(id);
    return row;
  }

  #withTerminated(filter: InstanceFilter): InstanceFilter {
    return { ...filter, deletedSince: terminatedSince(this.parts.runtime) };
  }
}
