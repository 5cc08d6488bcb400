import type { FixedIpRow, NetworkRow } from '../../common/db/rows.js';

/** What nova-network does to its host. Every call is idempotent. `fake/` keeps no state (flag fake_network). */
export interface NetworkDriver {
  /** Chains, forwarding, metadata redirect: once at start. */
  init(): Promise<void>;
  /** Bridge, VLAN, gateway address and DHCP of a network. */
  setUpNetwork(network: NetworkRow): Promise<void>;
  /** The network's leases changed. */
  updateDhcp(network: NetworkRow, addresses: readonly FixedIpRow[]): Promise<void>;
  bindFloatingIp(floatingAddress: string): Promise<void>;
  unbindFloatingIp(floatingAddress: string): Promise<void>;
  ensureFloatingForward(floatingAddress: string, fixedAddress: string): Promise<void>;
  removeFloatingForward(floatingAddress: string, fixedAddress: string): Promise<void>;
}
