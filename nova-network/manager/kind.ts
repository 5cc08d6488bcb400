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
  /**
   * Each network has a host, whose DHCP server has to know of every address: that host gives them out, and they are free
   * again when their lease ends or fixed_ip_disassociate_timeout is over. Otherwise any host gives them out, they are free
   * at once, and a network without a host can be wished for.
   */
  readonly hasDhcp: boolean;
  /** The networks of a new instance, by its wishes (none: those which are there for the project), by ascending id. */
  networksFor(projectId: string, wishes: readonly NetworkWish[]): Promise<NetworkRow[]>;
  /** The networks which a project wishes for. Throws what {@link NetworkKind.networksFor} throws for wishes. */
  wishedNetworks(projectId: string | null, wishes: readonly NetworkWish[]): Promise<NetworkRow[]>;
  /** Gives a project one more network. Throws NoMoreNetworks; an error where networks belong to no project. */
  addNetwork(projectId: string): Promise<void>;
  /** The address which a network keeps for its project's cloudpipe; null where there is none. */
  vpnAddress(network: NetworkRow): string | null;
  /** Makes the network work on this host. Repeated at start and with each address; cheap when nothing changed. */
  setUpNetwork(network: NetworkRow): Promise<void>;
}
