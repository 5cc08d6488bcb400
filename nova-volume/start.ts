import type { StartDaemon } from '../common/daemon.js';
import { registered } from '../common/registry.js';
import { runService } from '../common/service.js';
import { chooseVolumeDriver } from './drivers/registry.js';
import { volumeManager } from './manager/manager.js';

/** Starts nova-volume. Throws StartupError when its flags name a manager or driver which isn't there. */
export const startVolume: StartDaemon = async (parts) => {
  const { flags } = parts.runtime;
  registered('volume_manager', flags.volume_manager);
  const driver = await chooseVolumeDriver(parts.runtime);
  return runService(parts, { binary: 'nova-volume', topic: flags.volume_topic, manager: volumeManager(parts, driver) });
};
