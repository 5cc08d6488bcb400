import type { StartDaemon } from '../common/daemon.js';
import { runService } from '../common/service.js';
import { chooseNetworkDriver } from './linux/choose.js';
import { chooseNetworkManager } from './manager/choose.js';

/**
 * Starts nova-network on its parts. Throws StartupError when the flag network_manager, network_driver or fake_network
 * asks for what there isn't.
 */
export const startNetwork: StartDaemon = async (parts) => {
  const { flags } = parts.runtime;
  const NetworkManager = await chooseNetworkManager(flags);
  const manager = new NetworkManager(parts, await chooseNetworkDriver(parts.runtime));
  return runService(parts, { binary: 'nova-network', topic: flags.network_topic, manager });
};
