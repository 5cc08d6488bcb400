import type { Context } from '../../../common/context.js';
import { changedColumns } from '../../../common/db/changed.js';
import { changeInstance } from '../../../common/db/instances.js';
import { getInstanceType } from '../../../common/db/instanceTypes.js';
import { failMigration, finishMigration, isResizing, resizing, typeColumns } from '../../../common/db/migrations.js';
import type { InstanceRow } from '../../../common/db/rows.js';
import type { MigrationArgs } from '../../../common/rpc/compute.js';
import type { Delivery } from '../../../common/rpc/types.js';
import { stepOptions, withClaim } from '../claimedWork.js';
import { ClaimLost, reasonOf } from '../failures.js';
import { connectedVolumes, machineSpecOf, networkInfoOf } from '../building/machineSpec.js';
import { onMigration, type Migrating } from './migrating.js';
import { powerStateOf, type ComputeParts } from '../parts.js';
import { giveBack } from './revertResize.js';
import { runSteps, type Step } from '../steps.js';

/** A machine on its way into this host. */
interface Arriving extends Migrating {
  readonly diskInfo: string | null;
  /** The row in its new size. */
  resized: InstanceRow;
}

const steps: readonly Step<Arriving>[] = [
  { name: 'change type', run: changeType },
  { name: 'start machine', run: startMachine, undoHere: ({ parts, name }) => parts.driver.destroy(name) },
  { name: 'finish', run: finish },
];

/**
 * At the destination: starts the machine in its new size; then the instance waits for its owner's word (nova 2011.3,
 * finish_resize). A failure removes it here and has the source start it again.
 */
export async function finishResize(
  parts: ComputeParts,
  context: Context,
  args: MigrationArgs & { disk_info?: unknown },
  delivery: Delivery,
): Promise<null> {
  return onMigration(parts, context, args, 'dest_compute', async (state) => {
    const { instance, migration } = state;
    const diskInfo = typeof args.disk_info === 'string' ? args.disk_info : null;
    const arriving: Arriving = { ...state, diskInfo, resized: instance };
    await withClaim(parts, instance, {
      method: 'finish_resize',
      delivery,
      doing: `arriving from ${migration.source_compute}`,
      found: `migration ${migration.status}`,
      claim: async () => !instance.deleted && isResizing(instance) && migration.status === 'post-migrating',
      run: () => runSteps(steps, arriving, stepOptions(parts, instance, 'finish_resize')),
      fail: (error) => giveUp(state, error),
    });
  });
}

async function changeType(state: Arriving): Promise<void> {
  const { parts, instance, migration, name } = state;
  const { new_instance_type_id: wanted } = migration;
  if (wanted === null || wanted === instance.instance_type_id) return;
  const columns = changedColumns(instance, typeColumns(await getInstanceType(parts.db, wanted)));
  const expected = { ...resizing, host: migration.source_compute };
  if (!(await changeInstance(parts.db, instance.id, columns, expected))) throw new ClaimLost(name);
  state.resized = { ...instance, ...columns } as InstanceRow;
}

async function startMachine({ parts, context, resized, diskInfo }: Arriving): Promise<void> {
  const networkInfo = await networkInfoOf(parts, context, resized);
  const volumes = await connectedVolumes(parts, resized);
  const spec = await machineSpecOf(parts, resized, { networkInfo, volumes });
  await parts.driver.finishMigration(spec, diskInfo, new AbortController().signal);
}

async function finish({ parts, instance, migration, name }: Arriving): Promise<void> {
  const power = await powerStateOf(parts, name);
  const values = power.power_state === instance.power_state ? {} : power;
  if (!(await finishMigration(parts.db, migration, instance.id, values))) throw new ClaimLost(name);
}

async function giveUp(state: Migrating, error: unknown): Promise<void> {
  const { parts, instance, migration } = state;
  const failure = {
    action: 'finish_resize',
    reason: reasonOf(error, 'The instance could not be resized'),
    values: { task_state: 'resize_reverting' },
    status: 'reverted' as const,
  };
  if (await failMigration(parts.db, migration, instance.id, failure)) await giveBack(state);
}
