import type { DhcpHost } from '../../common/db/dhcpHosts.js';
import type { NetworkRow } from '../../common/db/rows.js';

/** What a host needs of a network beyond its row. */
export interface NetworkSetup {
  /** The address of this host in the network: gateway and DHCP server of its guests. Null for IPv6 alone. */
  readonly dhcpServer: string | null;
  /** MAC address of a VLAN interface which has to be made; another one each time. */
  readonly mac: string;
}

/** The way of VPN clients to a project's cloudpipe. */
export interface VpnForward {
  readonly publicAddress: string;
  readonly publicPort: number;
  readonly privateAddress: string;
}

/** What nova-network does to its host. Every call is idempotent. `fake/` keeps no state (flag fake_network). */
export interface NetworkDriver {
  /** Chains, forwarding, metadata redirect: once at start. */
  init(): Promise<void>;
  /** Bridge, VLAN interface where the network has a VLAN, and gateway address of a network. Cheap when all is there. */
  setUpNetwork(network: NetworkRow, setup: NetworkSetup): Promise<void>;
  /**
   * Makes the network's DHCP server run and know its guests, which `hosts` reads: their leases changed. Calls for one
   * network do not overlap.
   */
  updateDhcp(network: NetworkRow, setup: NetworkSetup, hosts: () => Promise<readonly DhcpHost[]>): Promise<void>;
  /** Advertises the network's IPv6 prefix; answers the address of the gateway for it, null when there is none yet. */
  updateRouterAdvertisement(network: NetworkRow): Promise<string | null>;
  /** Lets VPN clients through to a cloudpipe. */
  ensureVpnForward(forward: VpnForward): Promise<void>;
  /** Ends a guest's lease at once (flag force_dhcp_release). */
  releaseDhcp(network: NetworkRow, address: string, mac: string): Promise<void>;
  bindFloatingIp(floatingAddress: string): Promise<void>;
  unbindFloatingIp(floatingAddress: string): Promise<void>;
  ensureFloatingForward(floatingAddress: string, fixedAddress: string): Promise<void>;
  removeFloatingForward(floatingAddress: string, fixedAddress: string): Promise<void>;
}
