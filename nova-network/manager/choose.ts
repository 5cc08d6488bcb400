import type { DaemonParts } from '../../common/daemon.js';
import type { Flags } from '../../common/flags/flags.js';
import { choose } from '../../common/registry.js';
import type { NetworkDriver } from '../linux/driver.js';
import { FlatManager } from './flat.js';
import { FlatDHCPManager } from './flatDhcp.js';
import type { NetworkManager } from './networkManager.js';
import { VlanManager } from './vlan.js';

/** A manager's class, as the flag network_manager names it. */
export type NetworkManagerClass = new (parts: DaemonParts, driver: NetworkDriver) => NetworkManager;

/** Throws StartupError which names the flag and the values which work. */
export function chooseNetworkManager(flags: Flags): Promise<NetworkManagerClass> {
  return choose<'network_manager', NetworkManagerClass>(flags, 'network_manager', {
    flat: () => FlatManager,
    flatDhcp: () => FlatDHCPManager,
    vlan: () => VlanManager,
  });
}
