import type { Context } from '../../../common/context.js';
import { changeClaimed, failClaimed, type InstanceClaim } from '../../../common/db/instanceClaims.js';
import type { InstanceRow } from '../../../common/db/rows.js';
import { errorText } from '../../../common/errors.js';
import type { InstanceId } from '../../../common/rpc/compute.js';
import type { NetworkInfo } from '../../../common/rpc/network.js';
import type { Delivery } from '../../../common/rpc/types.js';
import { powerState, type MachineSpec, type VolumeDisk } from '../../virt/driver.js';
import { stepOptions, withClaim } from '../claimedWork.js';
import { reasonOfCutOff, type CutOff } from '../cutOff.js';
import { ClaimLost, reasonOf } from '../failures.js';
import { unlessLocked } from '../locks.js';
import { connectedVolumes, injectedFilesOf, machineSpecOf, networkInfoOf } from './machineSpec.js';
import { notifyUsage } from '../notifications.js';
import { machineName, powerStateOf, type ComputeParts } from '../parts.js';
import { runSteps, type Step } from '../steps.js';

/** What a rebuild asks for beside what is in the row. None of it can be read again after a crash. */
interface RebuildWishes {
  adminPassword: string | null;
  injectedFiles: MachineSpec['injectedFiles'];
}

/** An instance between its old machine and its new one. */
interface Rebuilding {
  readonly parts: ComputeParts;
  readonly context: Context;
  readonly instance: InstanceRow;
  readonly name: string;
  readonly wishes: RebuildWishes;
  /** The task which the row is in. */
  taskState: string | null;
  networkInfo: NetworkInfo;
  disks: readonly VolumeDisk[];
}

/**
 * The old machine goes with its local disks; addresses and volumes stay the instance's. Nothing is undone: until the last
 * step the instance can be rebuilt again.
 */
const steps: readonly Step<Rebuilding>[] = [
  { name: 'destroy machine', run: destroyMachine },
  { name: 'map block devices', run: mapBlockDevices },
  { name: 'spawn', run: spawn },
  { name: 'finish', run: finish },
];

/** Makes an instance's machine anew, from the image which its row names now. A failure leaves it in `error`. */
export async function rebuildInstance(
  parts: ComputeParts,
  context: Context,
  args: { instance_id: InstanceId; new_pass?: string | null; injected_files?: readonly unknown[] | null },
  delivery: Delivery,
): Promise<null | false> {
  const wishes: RebuildWishes = {
    adminPassword: typeof args.new_pass === 'string' ? args.new_pass : null,
    injectedFiles: injectedFilesOf(args.injected_files),
  };
  const call = { method: 'rebuild_instance', instanceId: args.instance_id, delivery, task: 'rebuilding' };
  return unlessLocked(parts, context, call, (instance) => rebuild(parts, context, instance, wishes, delivery));
}

async function rebuild(
  parts: ComputeParts,
  caller: Context,
  instance: InstanceRow,
  wishes: RebuildWishes,
  delivery: Delivery,
): Promise<void> {
  const { db, logger, runtime } = parts;
  const name = machineName(parts, instance);
  const asked = { instanceId: instance.id, host: runtime.host, taskState: 'rebuilding' };
  const state: Rebuilding = {
    parts,
    context: caller.elevated(),
    instance,
    name,
    wishes,
    taskState: null,
    networkInfo: [],
    disks: [],
  };
  const work = withClaim(parts, instance, {
    method: 'rebuild_instance',
    delivery,
    doing: 'rebuilding...',
    claim: () => changeClaimed(db, asked, { vm_state: 'rebuilding', task_state: null }),
    run: () => runSteps(steps, state, stepOptions(parts, instance, 'rebuild_instance')),
    secrets: [wishes.adminPassword],
    fail: (error) => {
      const reason = reasonOf(error, 'The instance could not be rebuilt', [wishes.adminPassword]);
      return failClaimed(db, claimOf(state), { action: 'rebuild_instance', reason, vmState: 'error' });
    },
  });
  const done = await work.catch((error: unknown) => {
    if (!(error instanceof ClaimLost)) throw error;
    logger.info(`${name}: rebuild_instance ended: ${errorText(error)}`);
    return false;
  });
  if (done) await notifyUsage(parts, 'rebuild', instance);
}

/** nova 2011.3 looks the network up for the filters which go with the machine, and again for the new one. */
async function destroyMachine({ parts, context, instance, name }: Rebuilding): Promise<void> {
  await networkInfoOf(parts, context, instance);
  await parts.driver.destroy(name);
}

async function mapBlockDevices(state: Rebuilding): Promise<void> {
  await advance(state, 'block_device_mapping');
  state.networkInfo = await networkInfoOf(state.parts, state.context, state.instance);
  state.disks = await connectedVolumes(state.parts, state.instance);
}

async function spawn(state: Rebuilding): Promise<void> {
  await advance(state, 'spawning');
  const { parts, instance, networkInfo, disks, wishes } = state;
  const spec = await machineSpecOf(parts, instance, { networkInfo, volumes: disks, ...wishes });
  await parts.driver.spawn(spec, new AbortController().signal);
}

async function finish(state: Rebuilding): Promise<void> {
  const { parts, name } = state;
  const values = {
    ...(await powerStateOf(parts, name)),
    vm_state: 'active',
    task_state: null,
    launched_at: parts.db.now(),
  };
  if (!(await changeClaimed(parts.db, claimOf(state), values))) throw new ClaimLost(name);
}

async function advance(state: Rebuilding, taskState: string): Promise<void> {
  const changed = await changeClaimed(state.parts.db, claimOf(state), { task_state: taskState });
  if (!changed) throw new ClaimLost(state.name);
  state.taskState = taskState;
}

function claimOf({ parts, instance, taskState }: Rebuilding): InstanceClaim {
  return { instanceId: instance.id, host: parts.runtime.host, vmState: 'rebuilding', taskState };
}

/**
 * A rebuild which was cut off: when the new machine runs, only the row is behind. Otherwise it goes to `error`, whatever
 * is left of a machine is removed, and its owner can rebuild it again: what came with the message is lost.
 */
export async function recoverRebuild(parts: ComputeParts, instance: InstanceRow, cutOff: CutOff): Promise<void> {
  const { db, driver, runtime } = parts;
  const name = machineName(parts, instance);
  const { task_state: taskState } = instance;
  const claim = { instanceId: instance.id, host: runtime.host, vmState: 'rebuilding', taskState };
  const machine = await driver.info(name);
  if (taskState === 'spawning' && machine?.state === powerState.running) {
    const values = { power_state: machine.state, vm_state: 'active', task_state: null, launched_at: db.now() };
    if (await changeClaimed(db, claim, values)) await notifyUsage(parts, 'rebuild', instance);
    return;
  }
  await driver.destroy(name);
  const reason = reasonOfCutOff(runtime.host, cutOff, 'the instance was being rebuilt');
  await failClaimed(db, claim, { action: 'rebuild_instance', reason, vmState: 'error' });
}
