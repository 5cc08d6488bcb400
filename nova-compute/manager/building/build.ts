import { changeClaimed, stillClaimed } from '../../../common/db/instanceClaims.js';
import { blockDeviceMappingsOf } from '../../../common/db/blockDeviceMappings.js';
import { findInstance } from '../../../common/db/instances.js';
import { releaseVolume } from '../../../common/db/volumes.js';
import { NovaPlainError, errorText } from '../../../common/errors.js';
import { requireFit } from '../../../common/images/fit.js';
import { together } from '../../../common/together.js';
import { disconnectVolume } from '../../../common/volumes/connector.js';
import { powerState, type MachineSpec } from '../../virt/driver.js';
import { mapVolumes } from '../volumes/blockDevices.js';
import { claimOf, type Build } from './buildState.js';
import { ClaimLost } from '../failures.js';
import { machineSpecOf } from './machineSpec.js';
import { deallocateNetwork } from '../release.js';
import type { Step, UndoScope } from '../steps.js';

/** From a claimed row (building, networking) to a running machine and an active row. */
export const buildSteps: readonly Step<Build>[] = [
  { name: 'check image', run: checkImage },
  // Its undo is freeNetwork, once the row says that the build is over.
  { name: 'allocate network', run: allocateNetwork },
  { name: 'map block devices', run: mapBlockDevices, undoHere: disconnectVolumes, undoElsewhere: releaseVolumes },
  { name: 'spawn', run: spawn, undoHere: destroyMachine },
  { name: 'finish', run: finish },
];

/**
 * What of a failed build is taken back. As long as the row is this build's, or is being deleted or stopped, everything;
 * when another daemon has it, only what is on this host; and nothing of an instance which somebody brought to run here.
 */
export async function undoScope(build: Build): Promise<UndoScope> {
  const { db, runtime } = build.parts;
  if (await stillClaimed(db, claimOf(build))) return 'all';
  const row = await findInstance(db, build.instance.id, { deleted: 'any' });
  if (row === undefined || row.deleted) return 'all';
  if (row.host !== runtime.host) return 'here';
  const ending = row.task_state === 'deleting' || row.task_state === 'stopping' || row.vm_state === 'error';
  return ending ? 'all' : 'nothing';
}

/** An image which does not fit the instance's disk is refused. */
async function checkImage(build: Build): Promise<void> {
  build.doing = 'The image cannot be used';
  const { instance, parts } = build;
  if ((await parts.driver.info(build.name)) !== undefined) {
    throw new NovaPlainError('Instance has already been created');
  }
  if (!instance.local_gb || instance.image_ref === null) return;
  requireFit(await parts.images.show(build.context, instance.image_ref), instance.local_gb);
}

async function allocateNetwork(build: Build): Promise<void> {
  build.doing = 'No network could be allocated';
  const { instance, parts } = build;
  const { flags, host } = parts.runtime;
  if (flags.stub_network) return;
  build.networkAsked = true;
  build.networkInfo = await parts.rpc.network.call.allocate_for_instance(build.context, {
    instance_id: instance.id,
    project_id: instance.project_id ?? '',
    host,
    instance_type_id: instance.instance_type_id ?? 0,
    vpn: instance.image_ref === String(flags.vpn_image_id),
    requested_networks: build.wishes.requestedNetworks ?? null,
  });
}

/**
 * Gives back the addresses of a build which is over. nova-network takes none from an instance which is being built, so
 * this comes after the row has said that it failed. What can't be told now the recovery tells.
 */
export async function freeNetwork(build: Build): Promise<void> {
  if (!build.networkAsked || build.undone !== 'all') return;
  const { parts, instance } = build;
  try {
    await deallocateNetwork(parts, build.context, instance);
  } catch (error) {
    parts.unfinished.add(instance.id, error);
    parts.logger.error(`${build.name}: its addresses could not be given back (yet): ${errorText(error)}`);
  }
}

async function mapBlockDevices(build: Build): Promise<void> {
  build.doing = 'A volume could not be attached';
  const mappings = blockDeviceMappingsOf(build.parts.db, build.instance.id);
  await mapVolumes(build, (await together(advance(build, 'block_device_mapping'), mappings))[1]);
}

async function disconnectVolumes(build: Build): Promise<void> {
  for (const volume of build.volumes) await disconnectVolume(build.parts, volume);
}

async function releaseVolumes(build: Build): Promise<void> {
  for (const volume of build.volumes) await releaseVolume(build.parts.db, volume.id, build.instance.id);
}

async function spawn(build: Build): Promise<void> {
  build.doing = 'The machine could not be started';
  const [, spec] = await together(advance(build, 'spawning'), machineSpec(build));
  await build.parts.driver.spawn(spec, build.signal);
}

async function destroyMachine(build: Build): Promise<void> {
  await build.parts.driver.destroy(build.name);
}

async function finish(build: Build): Promise<void> {
  const { db, driver } = build.parts;
  const state = (await driver.info(build.name))?.state ?? powerState.failed;
  const values = { power_state: state, vm_state: 'active', task_state: null, launched_at: db.now() };
  if (!(await changeClaimed(db, claimOf(build), values))) throw new ClaimLost(build.name);
}

async function advance(build: Build, taskState: Build['taskState']): Promise<void> {
  const changed = await changeClaimed(build.parts.db, claimOf(build), { task_state: taskState });
  if (!changed) throw new ClaimLost(build.name);
  build.taskState = taskState;
}

async function machineSpec(build: Build): Promise<MachineSpec> {
  const { parts, instance, networkInfo, disks, wishes } = build;
  return machineSpecOf(parts, instance, { networkInfo, volumes: disks, ...wishes });
}
