import { Context } from '../../../common/context.js';
import { claimForRun, claimForStart, failClaimed } from '../../../common/db/instanceClaims.js';
import { findInstance } from '../../../common/db/instances.js';
import type { InstanceRow } from '../../../common/db/rows.js';
import { errorText } from '../../../common/errors.js';
import type { InstanceId, RunInstanceArgs } from '../../../common/rpc/compute.js';
import type { Delivery } from '../../../common/rpc/types.js';
import { buildSteps, freeNetwork, undoScope } from './build.js';
import { claimOf, type Build, type BuildWishes } from './buildState.js';
import { nobodysMessage, stepOptions, withClaim } from '../claimedWork.js';
import { ClaimLost, reasonOf } from '../failures.js';
import { inLane, unlessLocked } from '../locks.js';
import { injectedFilesOf } from './machineSpec.js';
import { notifyUsage } from '../notifications.js';
import { machineName, type ComputeParts } from '../parts.js';
import { runSteps, type UndoScope } from '../steps.js';

const nothingMore: BuildWishes = { requestedNetworks: null, injectedFiles: [], adminPassword: null };

/**
 * Builds a new instance: claims its row, acknowledges, then goes the steps of build.ts. A second delivery finds the row
 * claimed and does nothing. A failure takes everything back and leaves the row in `error` with the reason.
 */
export async function runInstance(
  parts: ComputeParts,
  context: Context,
  args: RunInstanceArgs,
  delivery: Delivery,
): Promise<null> {
  const wishes: BuildWishes = {
    requestedNetworks: args.requested_networks,
    injectedFiles: injectedFilesOf(args.injected_files),
    adminPassword: typeof args.admin_password === 'string' ? args.admin_password : null,
  };
  await inLane(parts, args.instance_id, async (id) => {
    const instance = await findInstance(parts.db, id);
    if (instance !== undefined) await build(parts, 'run_instance', context, instance, wishes, delivery);
  });
  return null;
}

/** Builds a stopped instance again, here, wherever it was. Throws InstanceNotFound. */
export async function startInstance(
  parts: ComputeParts,
  context: Context,
  args: { instance_id: InstanceId },
  delivery: Delivery,
): Promise<null | false> {
  const call = { method: 'start_instance', instanceId: args.instance_id, delivery, task: 'starting' };
  return unlessLocked(parts, context, call, (instance) =>
    build(parts, 'start_instance', context, instance, nothingMore, delivery),
  );
}

/** Builds a stopped instance whose start message may be lost; for the recovery, in the instance's lane. */
export async function startLost(parts: ComputeParts, context: Context, instance: InstanceRow): Promise<void> {
  const owner = new Context({ ...context, userId: instance.user_id, projectId: instance.project_id });
  await build(parts, 'start_instance', owner, instance, nothingMore, nobodysMessage);
}

/**
 * Ends the build of an instance whose deletion was asked for, so that the deletion needn't wait for it. To be called
 * before the deletion enters the instance's lane.
 */
export async function cancelBuild(parts: ComputeParts, instanceId: number): Promise<void> {
  const running = parts.building.get(instanceId);
  if (running === undefined) return;
  try {
    const row = await findInstance(parts.db, instanceId);
    if (row === undefined || row.task_state === 'deleting') running.abort(new ClaimLost(`Instance ${instanceId}`));
  } catch (error) {
    parts.logger.warn(`Instance ${instanceId}: its build was not cancelled: ${errorText(error)}`);
  }
}

type Method = 'run_instance' | 'start_instance';

async function build(
  parts: ComputeParts,
  method: Method,
  caller: Context,
  instance: InstanceRow,
  wishes: BuildWishes,
  delivery: Delivery,
): Promise<void> {
  const abort = new AbortController();
  parts.building.set(instance.id, abort);
  try {
    await parts.builds.run(
      () => claimAndBuild(parts, method, caller, instance, wishes, delivery, abort.signal),
      abort.signal,
    );
  } catch (error) {
    if (!(error instanceof ClaimLost)) throw error;
    parts.logger.audit(`${machineName(parts, instance)}: ${method} ended: ${errorText(error)}`);
  } finally {
    parts.building.delete(instance.id);
  }
}

async function claimAndBuild(
  parts: ComputeParts,
  method: Method,
  caller: Context,
  instance: InstanceRow,
  wishes: BuildWishes,
  delivery: Delivery,
  signal: AbortSignal,
): Promise<void> {
  const name = machineName(parts, instance);
  const state: Build = {
    parts,
    caller,
    context: caller.elevated(),
    instance: { ...instance, host: parts.runtime.host },
    name,
    wishes,
    signal,
    taskState: 'networking',
    doing: 'The instance could not be built',
    networkInfo: [],
    networkAsked: false,
    undone: 'nothing',
    volumes: [],
    disks: [],
  };
  const scope = async (): Promise<UndoScope> => (state.undone = await carefulScope(state));
  const options = stepOptions(parts, instance, method);
  let isLeft = false;
  const built = withClaim(parts, instance, {
    method,
    delivery,
    doing: 'starting...',
    claim: () => claimed(parts, method, instance.id),
    run: () =>
      runSteps(buildSteps, state, {
        ...options,
        signal,
        scope,
        undoFailed: (error) => {
          isLeft = true;
          options.undoFailed(error);
        },
      }),
    secrets: [wishes.adminPassword],
    fail: (error) => {
      const reason = reasonOf(error, state.doing, [wishes.adminPassword]);
      // what is left of one which was never launched the recovery takes away, also after a restart
      const failure = { action: method, reason, vmState: 'error', neverLaunched: isLeft };
      return failClaimed(parts.db, claimOf(state), failure);
    },
  });
  try {
    if (await built) await notifyUsage(parts, 'create', state.instance);
  } catch (error) {
    await freeNetwork(state);
    throw error;
  }
}

/** Claims the row. A claim of which nobody knows whether it was committed is looked at again by the recovery. */
async function claimed(parts: ComputeParts, method: Method, instanceId: number): Promise<boolean> {
  const claim = method === 'run_instance' ? claimForRun : claimForStart;
  try {
    return await claim(parts.db, instanceId, parts.runtime.host);
  } catch (error) {
    parts.unfinished.add(instanceId, error);
    throw error;
  }
}

/** Where the row cannot be read, only this host is cleaned up; the recovery decides about the rest. */
async function carefulScope(state: Build): Promise<UndoScope> {
  try {
    return await undoScope(state);
  } catch (error) {
    state.parts.unfinished.add(state.instance.id, error);
    return 'here';
  }
}
