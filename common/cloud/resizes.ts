import type { Context } from '../context.js';
import { changeInstance, findInstance } from '../db/instances.js';
import { getInstanceType } from '../db/instanceTypes.js';
import { confirmMigration, failWaitingResize, newestMigration, revertMigration } from '../db/migrations.js';
import { requireGrowth } from '../db/quotas.js';
import type { InstanceRow, InstanceTypeRow, MigrationRow } from '../db/rows.js';
import {
  CannotResizeToSameSize,
  CannotResizeToSmallerSize,
  MessageNotDelivered,
  MigrationNotFoundByStatus,
  errorText,
} from '../errors.js';
import type { CloudParts } from './parts.js';
import { incorrectState, ownInstance, ownPlaced, refuseLocked } from './instanceOperation.js';
import { requireAdmin } from './requireAdmin.js';

/**
 * Instances which go to another host: in another size, which their owner then confirms or takes back, or alive (nova
 * 2011.3, nova/compute/api.py). Messages name the instance by its uuid, as there.
 */
export class Resizes {
  constructor(private readonly parts: CloudParts) {}

  /**
   * Asks for an instance in the size of another instance type (its primary key), on another host. Throws
   * InstanceNotFound, InstanceTypeNotFound, CannotResizeToSmallerSize, CannotResizeToSameSize (both compare memory, as in
   * 2011.3), QuotaError, ApiError in a state which doesn't allow it, MessageNotDelivered.
   */
  async resize(context: Context, id: number, instanceTypeId: number): Promise<void> {
    const { db, runtime } = this.parts;
    const before = await this.#resizable(context, id);
    const type = await getInstanceType(db, instanceTypeId);
    if (type.memory_mb < (before.memory_mb ?? 0)) throw new CannotResizeToSmallerSize();
    if (type.memory_mb === before.memory_mb) throw new CannotResizeToSameSize();
    await db.transaction((tx) => requireGrowth(tx, runtime.flags, before, type));
    await this.#ask(context, before, type);
  }

  /** Asks for an instance, as it is, on another host. */
  async migrate(context: Context, id: number): Promise<void> {
    const before = await this.#resizable(context, id);
    await this.#ask(context, before, await getInstanceType(this.parts.db, before.instance_type_id ?? 0));
  }

  /** Keeps a resized instance; what its old host kept of it is removed. Throws MigrationNotFoundByStatus. */
  async confirm(context: Context, id: number): Promise<void> {
    const { row, migration } = await this.#finished(context, id);
    if (!(await confirmMigration(this.parts.db, migration, id))) throw incorrectState((await this.#now(id)) ?? row);
    await this.#tell(row, migration.source_compute, (host) =>
      this.parts.rpc.computeOn(host).cast.confirm_resize(context.elevated(), {
        migration_id: migration.id,
        instance_id: row.uuid ?? row.id,
      }),
    );
  }

  /** Takes a resize back: the instance is on its old host in its old size again. Throws MigrationNotFoundByStatus. */
  async revert(context: Context, id: number): Promise<void> {
    const { row, migration } = await this.#finished(context, id);
    if (!(await revertMigration(this.parts.db, migration, id))) throw incorrectState((await this.#now(id)) ?? row);
    await this.#tell(row, migration.dest_compute, (host) =>
      this.parts.rpc.computeOn(host).cast.revert_resize(context.elevated(), {
        migration_id: migration.id,
        instance_id: row.uuid ?? row.id,
      }),
    );
  }

  /**
   * Has a running instance moved to the host `destination` without its guest noticing; with `block`, its disks as well.
   * Answers when it has begun. Throws AdminRequired, InstanceNotFound, and by their names (RemoteError) what the scheduler
   * finds against it.
   */
  async moveLive(context: Context, id: number, destination: string, options: { block: boolean }): Promise<void> {
    requireAdmin(context);
    const row = await ownInstance(this.parts, context, id);
    await this.parts.rpc.scheduler.call.live_migration(context, {
      topic: this.parts.runtime.flags.compute_topic,
      instance_id: row.id,
      dest: destination,
      block_migration: options.block,
    });
  }

  async #resizable(context: Context, id: number): Promise<InstanceRow> {
    const { row } = await ownPlaced(this.parts, context, id);
    refuseLocked(context, row);
    if (row.vm_state !== 'active' || row.task_state !== null) throw incorrectState(row);
    return row;
  }

  async #ask(context: Context, before: InstanceRow, type: InstanceTypeRow): Promise<void> {
    const { db, rpc, runtime } = this.parts;
    const idle = { vmState: ['active'], taskState: [null], host: before.host };
    const asked = { vm_state: 'resizing', task_state: 'resize_prep' };
    if (!(await changeInstance(db, before.id, asked, idle)))
      throw incorrectState((await this.#now(before.id)) ?? before);
    try {
      await rpc.scheduler.cast.prep_resize(context, {
        topic: runtime.flags.compute_topic,
        instance_id: before.uuid ?? before.id,
        instance_type_id: type.id,
      });
    } catch (error) {
      await failWaitingResize(db, before.id, `The scheduler could not be told of the resize: ${errorText(error)}`);
      throw error;
    }
  }

  async #finished(context: Context, id: number): Promise<{ row: InstanceRow; migration: MigrationRow }> {
    const row = await ownInstance(this.parts, context, id);
    refuseLocked(context, row);
    const migration = await newestMigration(this.parts.db, row.uuid);
    if (migration?.status !== 'finished') throw new MigrationNotFoundByStatus(id, 'finished');
    return { row, migration };
  }

  /** The rows say what is to be; a host which can't be told now finds it in them when it starts. */
  async #tell(row: InstanceRow, host: string | null, tell: (host: string) => Promise<void>): Promise<void> {
    if (host === null) return;
    try {
      await tell(host);
    } catch (error) {
      if (!(error instanceof MessageNotDelivered)) throw error;
      this.parts.runtime.log
        .logger('nova.cloud.resizes')
        .warn(`instance ${row.id}: ${host} could not be told of the end of its resize: ${errorText(error)}`);
    }
  }

  #now(id: number): Promise<InstanceRow | undefined> {
    return findInstance(this.parts.db, id);
  }
}
