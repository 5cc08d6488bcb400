import type { DaemonParts } from '../../common/daemon.js';
import type { NetworkRow } from '../../common/db/rows.js';
import type { Logger } from '../../common/log.js';
import type { NetworkDriver } from '../linux/driver.js';
import type { NetworkWish } from './wishes.js';

/** What the parts of a network manager work with. */
export interface NetworkWork extends Pick<DaemonParts, 'runtime' | 'db' | 'rpc'> {
  readonly driver: NetworkDriver;
  readonly log: Logger;
  readonly kind: NetworkKind;
}

/** What differs between the managers (nova 2011.3, nova/network/manager.py: the class constants and overridden methods). */
export interface NetworkKind {
  /** In network_info: nova-compute makes the bridge of an instance's network. */
  readonly shouldCreateBridge: boolean;
  /** In network_info: nova-compute makes the VLAN interface. */
  readonly shouldCreateVlan: boolean;
  /** A deallocated address is free at once; otherwise when its DHCP lease ends or fixed_ip_disassociate_timeout is over. */
  readonly freesAtOnce: boolean;
  /** A network without a host can't be wished for by uuid. */
  readonly needsNetworkHost: boolean;
  /** The networks of a new instance, by its wishes (none: those which are there for the project), by ascending id. */
  networksFor(projectId: string, wishes: readonly NetworkWish[]): Promise<NetworkRow[]>;
  /** Makes the network work on this host. Repeated at start and with each address; cheap when nothing changed. */
  setUpNetwork(network: NetworkRow): Promise<void>;
}
