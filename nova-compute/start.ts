import type { StartDaemon } from '../common/daemon.js';
import { registered } from '../common/registry.js';
import { runService } from '../common/service.js';
import { ComputeManager } from './manager/index.js';
import { createDriver } from './virt/registry.js';

/**
 * Starts nova-compute: the manager which the flag compute_manager names, on the hypervisor which connection_type names.
 * Throws StartupError for one which isn't there, HostAlreadyServed.
 */
export const startCompute: StartDaemon = async (parts) => {
  const { flags } = parts.runtime;
  registered('compute_manager', flags.compute_manager);
  const manager = new ComputeManager(parts, await createDriver(parts.runtime));
  return runService(parts, { binary: 'nova-compute', topic: flags.compute_topic, manager });
};
