import type { Context } from '../../common/context.js';
import { findComputeHost, hostUsage } from '../../common/db/hostResources.js';
import { getInstance } from '../../common/db/instances.js';
import { beginLiveMigration, rollBackLiveMigration } from '../../common/db/liveMigrations.js';
import type { ComputeNodeRow, InstanceRow } from '../../common/db/rows.js';
import { listServicesByTopic, serviceIsUp } from '../../common/db/services.js';
import { listVolumesOfInstance } from '../../common/db/volumes.js';
import {
  AdminRequired,
  ComputeHostNotFound,
  ComputeServiceUnavailable,
  DestinationHypervisorTooOld,
  FileNotFound,
  InstanceNotRunning,
  InvalidHypervisorType,
  InvalidInput,
  InvalidSharedStorage,
  MigrationError,
  SourceHostUnavailable,
  UnableToMigrateToSelf,
  VolumeServiceUnavailable,
  errorText,
} from '../../common/errors.js';
import type { SchedulerRpc } from '../../common/rpc/scheduler.js';
import type { SchedulerWork } from './work.js';

/** A move which somebody wishes. */
interface Wish {
  readonly work: SchedulerWork;
  readonly context: Context;
  readonly instance: InstanceRow;
  readonly source: string;
  readonly destination: string;
  readonly block: boolean;
}

const running = 1;

/**
 * Checks whether a running instance can move to another host, in the order of nova 2011.3 (nova/scheduler/driver.py
 * schedule_live_migration), writes `migrating`, and asks the instance's host to move it. The first check which fails
 * throws; then nothing has changed. For administrators only.
 */
export async function scheduleLiveMigration(
  work: SchedulerWork,
  context: Context,
  args: Parameters<SchedulerRpc['live_migration']>[0],
): Promise<void> {
  if (!context.isAdmin) throw new AdminRequired();
  const { instance_id: key, dest: destination, block_migration: block = false } = args;
  if (typeof destination !== 'string' || destination === '') throw new InvalidInput('the destination is no host');
  const instance = await getInstance(work.db, key);
  if (instance.power_state !== running || instance.host === null) throw new InstanceNotRunning(instance.id);
  const wish: Wish = { work, context, instance, source: instance.host, destination, block: block === true };
  await requireVolumeService(wish);
  await requireUp(wish, wish.source);
  const node = await requireUp(wish, destination);
  if (destination === wish.source) throw new UnableToMigrateToSelf(instance.id, destination);
  await requireRoom(wish, node);
  await requireStorage(wish);
  await requireHypervisor(wish, node);
  await begin(wish);
}

async function requireVolumeService({ work, instance }: Wish): Promise<void> {
  if ((await listVolumesOfInstance(work.db, instance.id)).length === 0) return;
  const { clock, flags } = work.runtime;
  const [first] = await listServicesByTopic(work.db, flags.volume_topic);
  if (first === undefined || !serviceIsUp(first, clock.now(), flags.service_down_time)) {
    throw new VolumeServiceUnavailable();
  }
}

/** The host's figures; undefined when it has reported none. */
async function requireUp({ work }: Wish, host: string): Promise<ComputeNodeRow | undefined> {
  const { clock, flags } = work.runtime;
  const found = await findComputeHost(work.db, host, flags.compute_topic);
  if (found === undefined) throw new ComputeHostNotFound(host);
  if (!serviceIsUp(found.service, clock.now(), flags.service_down_time)) throw new ComputeServiceUnavailable(host);
  return found.node;
}

async function requireRoom(
  { work, instance, destination, block }: Wish,
  node: ComputeNodeRow | undefined,
): Promise<void> {
  if (node === undefined) throw new ComputeHostNotFound(destination);
  const used = Object.values(await hostUsage(work.db, destination));
  const check = (what: string, has: number | null, column: 'memory_mb' | 'local_gb'): void => {
    const left = (has ?? 0) - used.reduce((sum, usage) => sum + usage[column], 0);
    const needed = instance[column] ?? 0;
    if (left > needed) return;
    throw new MigrationError(
      `Unable to migrate ${instance.id} to ${destination}: Lack of ${what}(host:${left} <= instance:${needed})`,
    );
  };
  check('memory', node.memory_mb, 'memory_mb');
  if (block) check('disk', node.local_gb, 'local_gb');
}

/** Whether the hosts share the folder of instances decides which kind of migration can be. */
async function requireStorage({ work, context, source, destination, block }: Wish): Promise<void> {
  const there = work.rpc.computeOn(destination);
  const filename = await there.call.create_shared_storage_test_file(context, {});
  let shared: boolean;
  try {
    shared = await work.rpc.computeOn(source).call.check_shared_storage_test_file(context, { filename });
  } finally {
    await there.call
      .cleanup_shared_storage_test_file(context, { filename })
      .catch((error: unknown) => work.log.warn(`${filename} stays on ${destination}: ${errorText(error)}`));
  }
  if (!shared && !block) throw new FileNotFound(filename);
  if (shared && block) throw new InvalidSharedStorage('Block migration can not be used with shared storage.');
}

/** Type and version of the hypervisor, and the CPU, of the host on which the guest was started. */
async function requireHypervisor(wish: Wish, node: ComputeNodeRow | undefined): Promise<void> {
  const { work, context, instance, destination } = wish;
  const launchedOn = instance.launched_on ?? wish.source;
  const found = await findComputeHost(work.db, launchedOn, work.runtime.flags.compute_topic);
  if (found?.node === undefined) throw new SourceHostUnavailable();
  if (found.node.hypervisor_type !== node?.hypervisor_type) throw new InvalidHypervisorType();
  if ((found.node.hypervisor_version ?? 0) > (node?.hypervisor_version ?? 0)) throw new DestinationHypervisorTooOld();
  await work.rpc.computeOn(destination).call.compare_cpu(context, { cpu_info: found.node.cpu_info ?? '{}' });
}

async function begin({ work, context, instance, source, destination, block }: Wish): Promise<void> {
  if (!(await beginLiveMigration(work.db, instance.id, source))) throw new InstanceNotRunning(instance.id);
  try {
    await work.rpc.computeOn(source).cast.live_migration(context, {
      instance_id: instance.id,
      dest: destination,
      block_migration: block,
    });
  } catch (error) {
    const reason = `${source} could not be told to move the instance: ${errorText(error)}`;
    await rollBackLiveMigration(work.db, instance.id, source, reason, { vm_state: 'active' });
    throw error;
  }
}
