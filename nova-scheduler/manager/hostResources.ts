import { findComputeHost, hostUsage } from '../../common/db/hostResources.js';
import { ComputeHostNotFound, PythonError } from '../../common/errors.js';
import type { SchedulerRpc } from '../../common/rpc/scheduler.js';
import type { SchedulerWork } from './work.js';

/**
 * What a compute host has and what its instances take, by project (nova 2011.3, nova/scheduler/manager.py
 * show_host_resources). Throws ComputeHostNotFound; IndexError, as there, for a host which has not reported its resources.
 */
export async function showHostResources(
  work: SchedulerWork,
  host: string,
): Promise<Awaited<ReturnType<SchedulerRpc['show_host_resources']>>> {
  const found = await findComputeHost(work.db, host, work.runtime.flags.compute_topic);
  if (found === undefined) throw new ComputeHostNotFound(host);
  const { node } = found;
  if (node === undefined) throw new PythonError('IndexError', 'list index out of range');
  return {
    resource: {
      vcpus: node.vcpus,
      memory_mb: node.memory_mb,
      local_gb: node.local_gb,
      vcpus_used: node.vcpus_used,
      memory_mb_used: node.memory_mb_used,
      local_gb_used: node.local_gb_used,
    },
    usage: { ...(await hostUsage(work.db, host)) },
  };
}
