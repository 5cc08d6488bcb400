/** Rows of networks and addresses. */
import type { NumberedRow } from './base.js';

export interface NetworkRow extends NumberedRow {
  injected: boolean | null;
  cidr: string | null;
  netmask: string | null;
  bridge: string | null;
  gateway: string | null;
  broadcast: string | null;
  dns1: string | null;
  vlan: number | null;
  vpn_public_address: string | null;
  vpn_public_port: number | null;
  vpn_private_address: string | null;
  dhcp_start: string | null;
  project_id: string | null;
  host: string | null;
  cidr_v6: string | null;
  gateway_v6: string | null;
  label: string | null;
  netmask_v6: string | null;
  bridge_interface: string | null;
  multi_host: boolean | null;
  dns2: string | null;
  uuid: string | null;
  priority: number | null;
}

export interface FixedIpRow extends NumberedRow {
  address: string | null;
  network_id: number | null;
  instance_id: number | null;
  allocated: boolean | null;
  leased: boolean | null;
  reserved: boolean | null;
  virtual_interface_id: number | null;
  host: string | null;
}

export interface FloatingIpRow extends NumberedRow {
  address: string | null;
  fixed_ip_id: number | null;
  project_id: string | null;
  host: string | null;
  auto_assigned: boolean | null;
}

export interface VirtualInterfaceRow extends NumberedRow {
  address: string | null;
  network_id: number | null;
  instance_id: number;
  uuid: string | null;
}
