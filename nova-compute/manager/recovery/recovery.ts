import type { Context } from '../../../common/context.js';
import { halfAttachedVolumes } from '../../../common/db/attachments.js';
import { changeClaimed, failClaimed, instancesByIds } from '../../../common/db/instanceClaims.js';
import { changeInstance, findInstance, instancesOfHost } from '../../../common/db/instances.js';
import type { InstanceRow, VolumeRow } from '../../../common/db/rows.js';
import { virtualInterfacesOfInstances } from '../../../common/db/virtualInterfaces.js';
import { errorText } from '../../../common/errors.js';
import { forEachBounded } from '../../../common/lanes.js';
import { idFromName } from '../../../common/names.js';
import { powerState, type MachineInfo } from '../../virt/driver.js';
import { changeState } from '../changeState.js';
import { nobodysMessage } from '../claimedWork.js';
import { endForgottenResizes } from './forgottenResizes.js';
import { forgottenTasks, giveUpForgottenRebuilds } from './forgottenTasks.js';
import { recoverLiveMigration } from '../migrations/liveMigration.js';
import { machineSpecOf } from '../building/machineSpec.js';
import { reasonOfCutOff, type CutOff } from '../cutOff.js';
import { notifyUsage } from '../notifications.js';
import { machineName, type ComputeParts } from '../parts.js';
import { changeOfTask } from '../powerChanges.js';
import { reboot } from '../rebootInstance.js';
import { recoverRebuild } from '../building/rebuildInstance.js';
import {
  forgottenMoves,
  migrationsOfStrangers,
  recoverArrivals,
  recoverArrived,
  recoverResize,
  removeRemains,
} from './recoverMigrations.js';
import { deallocateNetwork, detachAllVolumes, undoAttachment } from '../release.js';
import { startLost } from '../building/runInstance.js';
import { isSnapshotTask, recoverSnapshot } from '../snapshotInstance.js';
import { stop } from '../stopInstance.js';
import { terminate } from '../terminateInstance.js';

/** Tasks of an instance which this host has claimed to build. */
const buildTasks: readonly (string | null)[] = ['networking', 'block_device_mapping', 'spawning'];

/**
 * Brings to an end what a predecessor of this daemon left half-done, from the rows and the hypervisor alone (nova 2011.3,
 * init_host, only starts guests). No trouble with one instance keeps the others from being recovered: it is logged, and
 * tried again by {@link recoverUnfinished}. Throws when the database cannot be read.
 */
export async function recoverHost(parts: ComputeParts, context: Context): Promise<void> {
  const { db, runtime } = parts;
  const limit = runtime.flags.max_concurrent_builds;
  const instances = await instancesOfHost(db, runtime.host);
  await forEachBounded(instances, limit, ({ id }) => recoverInstance(parts, context, id, 'restart'));
  await recoverVolumes(parts);
  await recoverArrivals(parts, context, (what, work) => quietly(parts, what, work));
  await removeLeftovers(parts);
  await quietly(parts, 'the filters of the machines', () => parts.driver.refreshSecurityGroup());
}

/** Once more for instances whose work could not be brought to an end, and for those whose message was lost. */
export async function recoverUnfinished(parts: ComputeParts, context: Context): Promise<void> {
  const forgotten = [...(await forgottenMoves(parts)), ...(await forgottenTasks(parts))];
  const limit = parts.runtime.flags.max_concurrent_builds;
  const work = new Map([...forgotten.map((id) => [id, { failure: null }] as const), ...parts.unfinished.take()]);
  await forEachBounded([...work], limit, ([id, cutOff]) => recoverInstance(parts, context, id, cutOff));
  if (work.size > 0) await recoverVolumes(parts, [...work.keys()]);
  await giveUpForgottenRebuilds(parts);
  await endForgottenResizes(parts, context);
}

async function recoverInstance(parts: ComputeParts, context: Context, id: number, cutOff: CutOff): Promise<void> {
  try {
    await parts.lanes.run(id, async () => {
      const instance = await findInstance(parts.db, id);
      if (instance?.host === parts.runtime.host) await recover(parts, context, instance, cutOff);
    });
  } catch (error) {
    parts.unfinished.keep(id, cutOff);
    parts.logger.error(`Instance ${id} could not be recovered (yet): ${errorText(error)}`, error);
  }
}

async function recover(parts: ComputeParts, context: Context, instance: InstanceRow, cutOff: CutOff): Promise<void> {
  const { vm_state: vm, task_state: task } = instance;
  await recoverArrived(parts, instance);
  if (vm === 'active' && (task === null || task === 'rebooting')) await adopt(parts, instance);
  if (task === 'deleting') return terminate(parts, context, instance, nobodysMessage);
  if (task === 'stopping') return stop(parts, context, instance, nobodysMessage);
  if (task === 'rebooting') return reboot(parts, context, instance, nobodysMessage);
  const change = changeOfTask(task);
  if (change !== undefined) return changeState(parts, context, change, instance, nobodysMessage);
  if (vm === 'rebuilding') return recoverRebuild(parts, instance, cutOff);
  if (isSnapshotTask(task)) return recoverSnapshot(parts, context, instance, cutOff);
  if (vm === 'migrating') return recoverLiveMigration(parts, context, instance, cutOff);
  if (await recoverResize(parts, context, instance, cutOff)) return;
  if (vm === 'stopped' && task === 'starting') return startLost(parts, context, instance);
  if (vm === 'building' && buildTasks.includes(task)) return recoverBuild(parts, context, instance, cutOff);
  if ((vm === 'stopped' || vm === 'error') && task === null) return releaseRest(parts, context, instance);
  if (vm === 'active' && task === null) return startGuest(parts, context, instance);
}

/**
 * A build which was cut off: when the machine runs, only the row is behind. Otherwise everything is released; it is not
 * built again, since what came with the message (password, files, networks) is lost.
 */
async function recoverBuild(
  parts: ComputeParts,
  context: Context,
  instance: InstanceRow,
  cutOff: CutOff,
): Promise<void> {
  const { db, driver, runtime, logger } = parts;
  const name = machineName(parts, instance);
  const claim = { instanceId: instance.id, host: runtime.host, vmState: 'building', taskState: instance.task_state };
  const machine = await driver.info(name);
  if (instance.task_state === 'spawning' && machine?.state === powerState.running) {
    logger.audit(`${name}: was started before this daemon was; now active`);
    const values = { power_state: machine.state, vm_state: 'active', task_state: null, launched_at: db.now() };
    if (await changeClaimed(db, claim, values)) await notifyUsage(parts, 'create', instance);
    return;
  }
  logger.warn(`${name}: its build was cut off (${instance.task_state}); releasing what it holds`);
  if (instance.task_state === 'spawning') await driver.destroy(name);
  await detachAllVolumes(parts, instance);
  const reason = reasonOfCutOff(runtime.host, cutOff, `the instance was being built (${instance.task_state})`);
  await failClaimed(db, claim, { action: 'run_instance', reason, vmState: 'error' });
  // Not before: nova-network takes no address from an instance which is being built.
  await deallocateNetwork(parts, context, instance);
}

/**
 * What a stopped or failed instance holds still: of one which was never built everything goes; of any other without a
 * machine its addresses, until nova-network has freed them.
 */
async function releaseRest(parts: ComputeParts, context: Context, instance: InstanceRow): Promise<void> {
  const name = machineName(parts, instance);
  if (instance.vm_state === 'error' && instance.launched_at === null) {
    await parts.driver.destroy(name);
    await detachAllVolumes(parts, instance);
  }
  if ((await parts.driver.info(name)) !== undefined) return;
  if ((await virtualInterfacesOfInstances(parts.db, [instance.id])).length === 0) return;
  parts.logger.warn(`${name}: is ${instance.vm_state} and holds addresses; giving them back`);
  parts.unfinished.add(instance.id);
  await deallocateNetwork(parts, context, instance);
}

/** A machine which the daemon before this one ran, and knew of alone: with 2011.3's fake driver it ended with its daemon. */
async function adopt(parts: ComputeParts, instance: InstanceRow): Promise<void> {
  const { driver, logger } = parts;
  const name = machineName(parts, instance);
  if (driver.adopt === undefined || (await driver.info(name)) !== undefined) return;
  logger.warn(`${name}: the hypervisor does not know it, but it is active; taking it over`);
  const nothing = { networkInfo: [], volumes: [], adminPassword: null, injectedFiles: [] };
  await driver.adopt(await machineSpecOf(parts, instance, nothing));
}

/** Starts a guest which does not run, where the flags *_on_host_boot ask for it. */
async function startGuest(parts: ComputeParts, context: Context, instance: InstanceRow): Promise<void> {
  const { db, driver, runtime, logger } = parts;
  const { resume_guests_state_on_host_boot: resume, start_guests_on_host_boot: startAll } = runtime.flags;
  if (!startAll && !(resume && instance.power_state === powerState.running)) return;
  const name = machineName(parts, instance);
  if ((await driver.info(name))?.state === powerState.running) return;
  logger.audit(`${name}: starting it, as the host has booted`);
  const expected = { host: runtime.host, vmState: ['active'], taskState: [null] };
  if (!(await changeInstance(db, instance.id, { task_state: 'rebooting' }, expected))) return;
  await reboot(parts, context, { ...instance, task_state: 'rebooting' }, nobodysMessage);
}

/**
 * Attachments which nothing notes were cut off; they are taken back, so that they can be asked for again. Those of these
 * instances, or all of this host's.
 */
async function recoverVolumes(parts: ComputeParts, instanceIds?: readonly number[]): Promise<void> {
  const { db, runtime } = parts;
  const volumes = await halfAttachedVolumes(db, runtime.host, instanceIds);
  await forEachBounded(volumes, runtime.flags.max_concurrent_builds, (volume) => recoverVolume(parts, volume));
}

async function recoverVolume(parts: ComputeParts, volume: VolumeRow): Promise<void> {
  const instanceId = volume.instance_id!;
  try {
    await parts.lanes.run(instanceId, async () => {
      // somebody may have been at work on it until now
      const half = (await halfAttachedVolumes(parts.db, parts.runtime.host, [instanceId])).find(
        ({ id }) => id === volume.id,
      );
      const instance = await findInstance(parts.db, instanceId, { deleted: 'any' });
      if (instance === undefined || half === undefined) return;
      parts.logger.warn(`Volume ${volume.id}: its attachment to instance ${instanceId} was cut off; detaching it`);
      await undoAttachment(parts, instance, half);
    });
  } catch (error) {
    parts.unfinished.add(instanceId, error);
    parts.logger.error(`Recovery of volume ${volume.id} failed: ${errorText(error)}`, error);
  }
}

/**
 * Removes machines which their rows say should not be: of instances deleted or stopped, and half-made ones which nobody
 * builds. A machine whose row isn't there at all, or names another host, is left alone: with the wrong database this
 * host would lose every guest.
 */
async function removeLeftovers(parts: ComputeParts): Promise<void> {
  const template = parts.runtime.flags.instance_name_template;
  const machines = new Map<number, MachineInfo>();
  for (const machine of await parts.driver.list()) {
    const id = idFromName(template, machine.name);
    if (id !== undefined) machines.set(id, machine);
  }
  const rows = new Map((await rowsOf(parts, [...machines.keys()])).map((row) => [row.id, row]));
  const migrations = await migrationsOfStrangers(parts, [...rows.values()]);
  for (const [id, machine] of machines) {
    const row = rows.get(id);
    const migration = migrations.get(id);
    if (row !== undefined && row.host !== parts.runtime.host && !row.deleted) {
      let removed = false;
      await quietly(parts, machine.name, () =>
        parts.lanes.run(id, async () => void (removed = await removeRemains(parts, row, machine, migration))),
      );
      if (removed) {
        parts.logger.warn(`${machine.name}: removed what a migration left of it`);
        continue;
      }
    }
    if (row === undefined || (row.host !== parts.runtime.host && !row.deleted)) {
      parts.logger.warn(`${machine.name}: a machine which the database does not know on this host; it is left alone`);
    } else if (isLeftover(row, machine)) {
      parts.logger.warn(
        `${machine.name}: its instance is ${row.deleted ? 'deleted' : row.vm_state}; removing the machine`,
      );
      await quietly(parts, machine.name, () => parts.lanes.run(id, () => parts.driver.destroy(machine.name)));
    }
  }
}

function isLeftover(row: InstanceRow, machine: MachineInfo): boolean {
  if (row.deleted) return true;
  if (row.task_state !== null) return false;
  return row.vm_state === 'stopped' || (row.vm_state === 'error' && machine.state === powerState.building);
}

/** Rows in batches: a statement takes only so many parameters. */
async function rowsOf(parts: ComputeParts, ids: readonly number[]): Promise<InstanceRow[]> {
  const rows: InstanceRow[] = [];
  for (let start = 0; start < ids.length; start += 500) {
    rows.push(...(await instancesByIds(parts.db, ids.slice(start, start + 500))));
  }
  return rows;
}

async function quietly(parts: ComputeParts, what: string, work: () => Promise<void>): Promise<void> {
  try {
    await work();
  } catch (error) {
    parts.logger.error(`Recovery of ${what} failed: ${errorText(error)}`, error);
  }
}
