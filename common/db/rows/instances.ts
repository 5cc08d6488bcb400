/** Rows of instances, their types and their firewall. */
import type { DbTime } from '../../time.js';
import type { NumberedRow } from './base.js';

export interface InstanceRow extends NumberedRow {
  internal_id: number | null;
  user_id: string | null;
  project_id: string | null;
  image_ref: string | null;
  kernel_id: string | null;
  ramdisk_id: string | null;
  server_name: string | null;
  launch_index: number | null;
  key_name: string | null;
  key_data: string | null;
  power_state: number | null;
  vm_state: string | null;
  memory_mb: number | null;
  vcpus: number | null;
  local_gb: number | null;
  hostname: string | null;
  host: string | null;
  user_data: string | null;
  reservation_id: string | null;
  scheduled_at: DbTime | null;
  launched_at: DbTime | null;
  terminated_at: DbTime | null;
  display_name: string | null;
  display_description: string | null;
  availability_zone: string | null;
  locked: boolean | null;
  os_type: string | null;
  launched_on: string | null;
  instance_type_id: number | null;
  vm_mode: string | null;
  uuid: string | null;
  architecture: string | null;
  root_device_name: string | null;
  access_ip_v4: string | null;
  access_ip_v6: string | null;
  config_drive: string | null;
  task_state: string | null;
  default_local_device: string | null;
  default_swap_device: string | null;
}

export interface InstanceActionRow extends NumberedRow {
  instance_id: number | null;
  action: string | null;
  error: string | null;
}

export interface InstanceMetadataRow extends NumberedRow {
  instance_id: number;
  key: string | null;
  value: string | null;
}

export interface InstanceTypeRow extends NumberedRow {
  name: string | null;
  memory_mb: number;
  vcpus: number;
  local_gb: number;
  flavorid: number;
  swap: number;
  rxtx_quota: number;
  rxtx_cap: number;
}

export interface InstanceTypeExtraSpecRow extends NumberedRow {
  instance_type_id: number;
  key: string | null;
  value: string | null;
}

export interface BlockDeviceMappingRow extends NumberedRow {
  instance_id: number;
  device_name: string;
  delete_on_termination: boolean | null;
  virtual_name: string | null;
  snapshot_id: number | null;
  volume_id: number | null;
  volume_size: number | null;
  no_device: boolean | null;
}

export interface MigrationRow extends NumberedRow {
  source_compute: string | null;
  dest_compute: string | null;
  dest_host: string | null;
  status: string | null;
  instance_uuid: string | null;
  old_instance_type_id: number | null;
  new_instance_type_id: number | null;
}

/** Our own table: which reservation an EC2 ClientToken made. */
export interface ExtClientTokenRow {
  id: number;
  created_at: DbTime;
  project_id: string;
  token: string;
  request_hash: string;
  reservation_id: string | null;
}

export interface SecurityGroupRow extends NumberedRow {
  name: string | null;
  description: string | null;
  user_id: string | null;
  project_id: string | null;
}

export interface SecurityGroupRuleRow extends NumberedRow {
  parent_group_id: number | null;
  protocol: string | null;
  from_port: number | null;
  to_port: number | null;
  cidr: string | null;
  group_id: number | null;
}

export interface SecurityGroupInstanceAssociationRow extends NumberedRow {
  security_group_id: number | null;
  instance_id: number | null;
}

export interface ProviderFwRuleRow extends NumberedRow {
  protocol: string | null;
  from_port: number | null;
  to_port: number | null;
  cidr: string | null;
}
