import { DhcpManager } from './dhcp.js';

/**
 * All instances on the same networks, each with a bridge and a DHCP server on its host (nova 2011.3,
 * nova/network/manager.py FlatDHCPManager).
 */
export class FlatDHCPManager extends DhcpManager {
  readonly shouldCreateVlan = false;
}
