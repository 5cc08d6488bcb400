import type { InstanceId } from './compute.js';
import type { MethodTable } from './types.js';

/** One network of an instance, as it travels in {@link NetworkInfo} (nova 2011.3, nova/network/manager.py). */
export interface NetworkOfInfo {
  id: number;
  bridge: string | null;
  cidr: string | null;
  cidr_v6: string | null;
  injected: boolean;
  vlan: number | null;
  bridge_interface: string | null;
  multi_host: boolean;
}
export interface AddressOfInfo {
  ip: string;
  netmask: string;
  enabled: '1';
}
export interface InterfaceOfInfo {
  label: string | null;
  gateway: string | null;
  dhcp_server: string | null;
  broadcast: string | null;
  mac: string;
  vif_uuid: string;
  rxtx_cap: number;
  dns: string[];
  ips: AddressOfInfo[];
  ip6s?: AddressOfInfo[];
  gateway6?: string;
  should_create_bridge: boolean;
  should_create_vlan: boolean;
}
/** One pair for each virtual interface, in the order of their rows. */
export type NetworkInfo = [NetworkOfInfo, InterfaceOfInfo][];

/** Topic `network`, host topic `network.<host>`. Source: nova 2011.3, nova/network/manager.py. */
export interface NetworkRpc {
  /** Gives an instance its interfaces and addresses; a repeated call answers those it has. */
  allocate_for_instance(args: {
    instance_id: number;
    project_id: string;
    host: string;
    instance_type_id: number;
    vpn: boolean;
    requested_networks?: readonly (readonly [string, string | null])[] | null;
  }): Promise<NetworkInfo>;
  /** Frees what an instance holds. A repeated call changes nothing. */
  deallocate_for_instance(args: { instance_id: number; project_id: string | null }): Promise<null>;
  get_instance_nw_info(args: {
    instance_id: InstanceId;
    instance_type_id: number;
    host: string | null;
  }): Promise<NetworkInfo>;
  /** Throws when a wished network or address does not exist. */
  validate_networks(args: { networks: readonly (readonly [string, string | null])[] | null }): Promise<null>;
  add_fixed_ip_to_instance(args: { instance_id: InstanceId; host: string; network_id: number }): Promise<null>;
  remove_fixed_ip_from_instance(args: { instance_id: InstanceId; address: string }): Promise<null>;
  /** Gives a project one more network (VlanManager). Throws NoMoreNetworks. */
  add_network_to_project(args: { project_id: string }): Promise<null>;
  /**
   * Gives an instance an address, on the host whose DHCP server has to know of it. `another`, which 2011.3 doesn't send:
   * false answers a repeated message with the address which the instance has already; without it each message gives one.
   */
  _rpc_allocate_fixed_ip(args: {
    instance_id: number;
    network_id: number;
    address?: string | null;
    vpn?: boolean | null;
    another?: boolean;
  }): Promise<null>;
  /** Makes this host the network's, unless it has one; answers the host. */
  set_network_host(args: { network_ref: { id: number } }): Promise<string>;
  /** Takes a free floating address for a project. Answers the address. Throws NoMoreFloatingIps, QuotaError. */
  allocate_floating_ip(args: { project_id: string }): Promise<string>;
  deallocate_floating_ip(args: { floating_address: string }): Promise<null>;
  associate_floating_ip(args: { floating_address: string; fixed_address: string }): Promise<null>;
  disassociate_floating_ip(args: { floating_address: string }): Promise<null>;
  lease_fixed_ip(args: { address: string }): Promise<null>;
  release_fixed_ip(args: { address: string }): Promise<null>;
}

export const networkMethods: MethodTable<NetworkRpc> = {
  allocate_for_instance: {
    required: ['instance_id', 'project_id', 'host', 'instance_type_id', 'vpn'],
    optional: ['requested_networks'],
    open: true,
  },
  deallocate_for_instance: { required: ['instance_id'], optional: ['project_id'], open: true, ack: 'claim' },
  get_instance_nw_info: { required: ['instance_id', 'instance_type_id', 'host'] },
  validate_networks: { required: ['networks'] },
  add_fixed_ip_to_instance: { required: ['instance_id', 'host', 'network_id'] },
  remove_fixed_ip_from_instance: { required: ['instance_id', 'address'] },
  add_network_to_project: { required: ['project_id'] },
  _rpc_allocate_fixed_ip: { required: ['instance_id', 'network_id'], open: true },
  set_network_host: { required: ['network_ref'] },
  allocate_floating_ip: { required: ['project_id'] },
  deallocate_floating_ip: { required: ['floating_address'], ack: 'claim' },
  associate_floating_ip: { required: ['floating_address', 'fixed_address'], ack: 'claim' },
  disassociate_floating_ip: { required: ['floating_address'] },
  lease_fixed_ip: { required: ['address'] },
  release_fixed_ip: { required: ['address'] },
};
