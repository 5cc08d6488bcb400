import type { StartDaemon } from '../common/daemon.js';
import { registered } from '../common/registry.js';
import { runService } from '../common/service.js';
import { chooseSchedulerDriver } from './drivers/registry.js';
import { capabilitiesOf, schedulerManager } from './manager/manager.js';

/** Starts nova-scheduler. Throws StartupError when its flags name a manager or driver which isn't there. */
export const startScheduler: StartDaemon = async (parts) => {
  const { flags } = parts.runtime;
  registered('scheduler_manager', flags.scheduler_manager);
  const capabilities = capabilitiesOf(parts.runtime);
  const driver = await chooseSchedulerDriver({ runtime: parts.runtime, db: parts.db, capabilities });
  const manager = schedulerManager(parts, driver, capabilities);
  return runService(parts, { binary: 'nova-scheduler', topic: flags.scheduler_topic, manager });
};
