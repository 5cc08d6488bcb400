import type { Context } from '../../common/context.js';
import { blockDeviceMappingsOf, deleteMappings } from '../../common/db/blockDeviceMappings.js';
import { claimForTerminate, failClaimed, finishTerminate, type InstanceClaim } from '../../common/db/instanceClaims.js';
import { newestMigration, openStatuses } from '../../common/db/migrations.js';
import type { InstanceRow } from '../../common/db/rows.js';
import { InstanceNotFound, errorText } from '../../common/errors.js';
import type { InstanceId } from '../../common/rpc/compute.js';
import type { Delivery } from '../../common/rpc/types.js';
import { stepOptions, withClaim } from './claimedWork.js';
import { ClaimLost, reasonOf } from './failures.js';
import { integerId, unlessLocked } from './locks.js';
import { migrationArgs } from './migrations/migrating.js';
import { notifyUsage } from './notifications.js';
import { machineName, type ComputeParts } from './parts.js';
import { awaitNetworkReleased, detachAllVolumes, releaseNetwork } from './release.js';
import { cancelBuild } from './building/runInstance.js';
import { runSteps, type Step } from './steps.js';

/** An instance on its way out. */
interface Ending {
  readonly parts: ComputeParts;
  readonly context: Context;
  readonly instance: InstanceRow;
  readonly claim: InstanceClaim;
}

/**
 * Every step may be repeated; nothing is undone. The row goes last, so that until everything is released somebody can
 * ask again. The addresses go after the machine: one which cannot be destroyed uses them still.
 */
const steps: readonly Step<Ending>[] = [
  { name: 'detach volumes', run: ({ parts, instance }) => detachAllVolumes(parts, instance) },
  { name: 'destroy machine', run: ({ parts, instance }) => parts.driver.destroy(machineName(parts, instance)) },
  { name: 'release network', run: ({ parts, context, instance }) => releaseNetwork(parts, context, instance) },
  { name: 'end resize', run: endResize },
  { name: 'delete volumes', run: deleteVolumes },
  { name: 'wait for network', run: ({ parts, instance }) => awaitNetworkReleased(parts, instance) },
  { name: 'delete instance', run: finish },
];

/**
 * Ends an instance and releases what it holds. A build which is running is cancelled first. A failure leaves the instance
 * in `error` with the reason; it can be terminated again. An instance which is gone is no error.
 */
export async function terminateInstance(
  parts: ComputeParts,
  context: Context,
  args: { instance_id: InstanceId },
  delivery: Delivery,
): Promise<null | false> {
  const id = integerId(args.instance_id);
  if (id !== undefined) void cancelBuild(parts, id);
  const call = { method: 'terminate_instance', instanceId: args.instance_id, delivery, task: 'deleting' };
  try {
    return await unlessLocked(parts, context, call, (instance) => terminate(parts, context, instance, delivery));
  } catch (error) {
    if (!(error instanceof InstanceNotFound)) throw error;
    parts.logger.info(`Instance ${args.instance_id}: terminate_instance is nothing to do: it is gone`);
    return null;
  }
}

/** The work itself, in the instance's lane. */
export async function terminate(
  parts: ComputeParts,
  caller: Context,
  instance: InstanceRow,
  delivery: Delivery,
): Promise<void> {
  const { host } = parts.runtime;
  const claim = { instanceId: instance.id, host, taskState: 'deleting' };
  const ending: Ending = { parts, context: caller.elevated(), instance, claim };
  const done = await withClaim(parts, instance, {
    method: 'terminate_instance',
    delivery,
    doing: 'terminating...',
    found: `it is on ${instance.host ?? 'no host'}`,
    claim: () => claimForTerminate(parts.db, instance, host),
    run: () => runSteps(steps, ending, stepOptions(parts, instance, 'terminate_instance')),
    fail: (error) => {
      const reason = reasonOf(error, 'The instance could not be terminated completely');
      return failClaimed(parts.db, claim, { action: 'terminate_instance', reason, vmState: 'error' });
    },
  });
  if (done) await notifyUsage(parts, 'delete', instance);
}

/** Has the host to which the instance was being resized remove its machine; it does so when it starts, at the latest. */
async function endResize({ parts, context, instance }: Ending): Promise<void> {
  const migration = await newestMigration(parts.db, instance.uuid);
  const destination = migration?.dest_compute ?? null;
  if (migration === undefined || destination === null || migration.source_compute !== parts.runtime.host) return;
  // One which is being taken back is that host's to end already.
  if (migration.status !== 'finished' && !openStatuses.some((status) => status === migration.status)) return;
  try {
    await parts.rpc.computeOn(destination).cast.revert_resize(context, migrationArgs({ instance, migration }));
  } catch (error) {
    parts.logger.warn(`Instance ${instance.id}: ${destination} was not told of its end: ${errorText(error)}`);
  }
}

/** Deletes the volumes which go with the instance, as their owner would, and forgets all its mappings. */
async function deleteVolumes({ parts, context, instance }: Ending): Promise<void> {
  const mappings = await blockDeviceMappingsOf(parts.db, instance.id);
  for (const { volume_id: volumeId, delete_on_termination: goes } of mappings) {
    if (volumeId === null || !goes) continue;
    try {
      await parts.volumes.delete(context, volumeId);
    } catch (error) {
      parts.logger.warn(`Volume ${volumeId} of instance ${instance.id} is not deleted: ${errorText(error)}`);
    }
  }
  await deleteMappings(
    parts.db,
    mappings.map((mapping) => mapping.id),
  );
}

/**
 * A host which slept may have been taken for lost, and its task ended, while it was at work again: nothing but the row is
 * left of the instance then, and whoever asked for its end was told that it will end.
 */
async function finish({ parts, instance, claim }: Ending): Promise<void> {
  if (await finishTerminate(parts.db, claim)) return;
  const again = await claimForTerminate(parts.db, instance, claim.host);
  if (!again || !(await finishTerminate(parts.db, claim))) throw new ClaimLost(machineName(parts, instance));
}
