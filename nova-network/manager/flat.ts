import { changeNetwork } from '../../common/db/networks.js';
import type { NetworkRow } from '../../common/db/rows.js';
import { NetworkManager } from './networkManager.js';

/**
 * All instances on the same networks, whose bridges the operator made; addresses are injected into guests or come from
 * a DHCP server of the operator's. Any host gives out any address (nova 2011.3, nova/network/manager.py FlatManager).
 */
export class FlatManager extends NetworkManager {
  readonly shouldCreateBridge = false;
  readonly shouldCreateVlan = false;
  readonly hasDhcp = false;

  /** Only keeps `injected` as the flag flat_injected says. */
  async setUpNetwork(network: NetworkRow): Promise<void> {
    const injected = this.work.runtime.flags.flat_injected;
    if (network.injected !== injected) await changeNetwork(this.work.db, network.id, { injected });
  }
}
