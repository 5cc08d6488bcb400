/**
 * One row of each table of Nova 2011.3's schema 46, as read: booleans are booleans in every dialect, times are text
 * (common/time.ts). Every column is nullable to a reader unless the database forbids it.
 */
import type { DbTime } from '../time.js';

export interface AgentBuildRow {
  created_at: DbTime | null;
  updated_at: DbTime | null;
  deleted_at: DbTime | null;
  deleted: boolean;
  id: number;
  hypervisor: string | null;
  os: string | null;
  architecture: string | null;
  version: string | null;
  url: string | null;
  md5hash: string | null;
}

export interface AuthTokenRow {
  created_at: DbTime | null;
  updated_at: DbTime | null;
  deleted_at: DbTime | null;
  deleted: boolean;
  token_hash: string;
  user_id: string | null;
  server_management_url: string | null;
  storage_url: string | null;
  cdn_management_url: string | null;
}

export interface BlockDeviceMappingRow {
  created_at: DbTime | null;
  updated_at: DbTime | null;
  deleted_at: DbTime | null;
  deleted: boolean;
  id: number;
  instance_id: number;
  device_name: string;
  delete_on_termination: boolean | null;
  virtual_name: string | null;
  snapshot_id: number | null;
  volume_id: number | null;
  volume_size: number | null;
  no_device: boolean | null;
}

export interface CertificateRow {
  created_at: DbTime | null;
  updated_at: DbTime | null;
  deleted_at: DbTime | null;
  deleted: boolean;
  id: number;
  user_id: string | null;
  project_id: string | null;
  file_name: string | null;
}

export interface ComputeNodeRow {
  created_at: DbTime | null;
  updated_at: DbTime | null;
  deleted_at: DbTime | null;
  deleted: boolean;
  id: number;
  service_id: number;
  vcpus: number;
  memory_mb: number;
  local_gb: number;
  vcpus_used: number;
  memory_mb_used: number;
  local_gb_used: number;
  hypervisor_type: string;
  hypervisor_version: number;
  cpu_info: string;
}

export interface ConsolePoolRow {
  created_at: DbTime | null;
  updated_at: DbTime | null;
  deleted_at: DbTime | null;
  deleted: boolean;
  id: number;
  address: string | null;
  username: string | null;
  password: string | null;
  console_type: string | null;
  public_hostname: string | null;
  host: string | null;
  compute_host: string | null;
}

export interface ConsoleRow {
  created_at: DbTime | null;
  updated_at: DbTime | null;
  deleted_at: DbTime | null;
  deleted: boolean;
  id: number;
  instance_name: string | null;
  instance_id: number | null;
  password: string | null;
  port: number | null;
  pool_id: number | null;
}

export interface ExportDeviceRow {
  created_at: DbTime | null;
  updated_at: DbTime | null;
  deleted_at: DbTime | null;
  deleted: boolean;
  id: number;
  shelf_id: number | null;
  blade_id: number | null;
  volume_id: number | null;
}

export interface FixedIpRow {
  created_at: DbTime | null;
  updated_at: DbTime | null;
  deleted_at: DbTime | null;
  deleted: boolean;
  id: number;
  address: string | null;
  network_id: number | null;
  instance_id: number | null;
  allocated: boolean | null;
  leased: boolean | null;
  reserved: boolean | null;
  virtual_interface_id: number | null;
  host: string | null;
}

export interface FloatingIpRow {
  created_at: DbTime | null;
  updated_at: DbTime | null;
  deleted_at: DbTime | null;
  deleted: boolean;
  id: number;
  address: string | null;
  fixed_ip_id: number | null;
  project_id: string | null;
  host: string | null;
  auto_assigned: boolean | null;
}

export interface InstanceActionRow {
  created_at: DbTime | null;
  updated_at: DbTime | null;
  deleted_at: DbTime | null;
  deleted: boolean;
  id: number;
  instance_id: number | null;
  action: string | null;
  error: string | null;
}

export interface InstanceMetadataRow {
  created_at: DbTime | null;
  updated_at: DbTime | null;
  deleted_at: DbTime | null;
  deleted: boolean;
  id: number;
  instance_id: number;
  key: string | null;
  value: string | null;
}

export interface InstanceTypeExtraSpecRow {
  created_at: DbTime | null;
  updated_at: DbTime | null;
  deleted_at: DbTime | null;
  deleted: boolean;
  id: number;
  instance_type_id: number;
  key: string | null;
  value: string | null;
}

export interface InstanceTypeRow {
  created_at: DbTime | null;
  updated_at: DbTime | null;
  deleted_at: DbTime | null;
  deleted: boolean;
  name: string | null;
  id: number;
  memory_mb: number;
  vcpus: number;
  local_gb: number;
  flavorid: number;
  swap: number;
  rxtx_quota: number;
  rxtx_cap: number;
}

export interface InstanceRow {
  created_at: DbTime | null;
  updated_at: DbTime | null;
  deleted_at: DbTime | null;
  deleted: boolean;
  id: number;
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

export interface IscsiTargetRow {
  created_at: DbTime | null;
  updated_at: DbTime | null;
  deleted_at: DbTime | null;
  deleted: boolean;
  id: number;
  target_num: number | null;
  host: string | null;
  volume_id: number | null;
}

export interface KeyPairRow {
  created_at: DbTime | null;
  updated_at: DbTime | null;
  deleted_at: DbTime | null;
  deleted: boolean;
  id: number;
  name: string | null;
  user_id: string | null;
  fingerprint: string | null;
  public_key: string | null;
}

export interface MigrateVersionRow {
  repository_id: string;
  repository_path: string | null;
  version: number | null;
}

export interface MigrationRow {
  created_at: DbTime | null;
  updated_at: DbTime | null;
  deleted_at: DbTime | null;
  deleted: boolean;
  id: number;
  source_compute: string | null;
  dest_compute: string | null;
  dest_host: string | null;
  status: string | null;
  instance_uuid: string | null;
  old_instance_type_id: number | null;
  new_instance_type_id: number | null;
}

export interface NetworkRow {
  created_at: DbTime | null;
  updated_at: DbTime | null;
  deleted_at: DbTime | null;
  deleted: boolean;
  id: number;
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

export interface ProjectRow {
  created_at: DbTime | null;
  updated_at: DbTime | null;
  deleted_at: DbTime | null;
  deleted: boolean;
  id: string;
  name: string | null;
  description: string | null;
  project_manager: string | null;
}

export interface ProviderFwRuleRow {
  created_at: DbTime | null;
  updated_at: DbTime | null;
  deleted_at: DbTime | null;
  deleted: boolean;
  id: number;
  protocol: string | null;
  from_port: number | null;
  to_port: number | null;
  cidr: string | null;
}

export interface QuotaRow {
  id: number;
  created_at: DbTime | null;
  updated_at: DbTime | null;
  deleted_at: DbTime | null;
  deleted: boolean;
  project_id: string | null;
  resource: string;
  hard_limit: number | null;
}

export interface SecurityGroupInstanceAssociationRow {
  created_at: DbTime | null;
  updated_at: DbTime | null;
  deleted_at: DbTime | null;
  deleted: boolean;
  id: number;
  security_group_id: number | null;
  instance_id: number | null;
}

export interface SecurityGroupRuleRow {
  created_at: DbTime | null;
  updated_at: DbTime | null;
  deleted_at: DbTime | null;
  deleted: boolean;
  id: number;
  parent_group_id: number | null;
  protocol: string | null;
  from_port: number | null;
  to_port: number | null;
  cidr: string | null;
  group_id: number | null;
}

export interface SecurityGroupRow {
  created_at: DbTime | null;
  updated_at: DbTime | null;
  deleted_at: DbTime | null;
  deleted: boolean;
  id: number;
  name: string | null;
  description: string | null;
  user_id: string | null;
  project_id: string | null;
}

export interface ServiceRow {
  created_at: DbTime | null;
  updated_at: DbTime | null;
  deleted_at: DbTime | null;
  deleted: boolean;
  id: number;
  host: string | null;
  binary: string | null;
  topic: string | null;
  report_count: number;
  disabled: boolean | null;
  availability_zone: string | null;
}

export interface SnapshotRow {
  created_at: DbTime | null;
  updated_at: DbTime | null;
  deleted_at: DbTime | null;
  deleted: boolean;
  id: number;
  volume_id: number;
  user_id: string | null;
  project_id: string | null;
  status: string | null;
  progress: string | null;
  volume_size: number | null;
  scheduled_at: DbTime | null;
  display_name: string | null;
  display_description: string | null;
}

export interface UserProjectAssociationRow {
  created_at: DbTime | null;
  updated_at: DbTime | null;
  deleted_at: DbTime | null;
  deleted: boolean;
  user_id: string;
  project_id: string;
}

export interface UserProjectRoleAssociationRow {
  created_at: DbTime | null;
  updated_at: DbTime | null;
  deleted_at: DbTime | null;
  deleted: boolean;
  user_id: string;
  project_id: string;
  role: string;
}

export interface UserRoleAssociationRow {
  created_at: DbTime | null;
  updated_at: DbTime | null;
  deleted_at: DbTime | null;
  deleted: boolean;
  user_id: string;
  role: string;
}

export interface UserRow {
  created_at: DbTime | null;
  updated_at: DbTime | null;
  deleted_at: DbTime | null;
  deleted: boolean;
  id: string;
  name: string | null;
  access_key: string | null;
  secret_key: string | null;
  is_admin: boolean | null;
}

export interface VirtualInterfaceRow {
  created_at: DbTime | null;
  updated_at: DbTime | null;
  deleted_at: DbTime | null;
  deleted: boolean;
  id: number;
  address: string | null;
  network_id: number | null;
  instance_id: number;
  uuid: string | null;
}

export interface VirtualStorageArrayRow {
  created_at: DbTime | null;
  updated_at: DbTime | null;
  deleted_at: DbTime | null;
  deleted: boolean;
  id: number;
  display_name: string | null;
  display_description: string | null;
  project_id: string | null;
  availability_zone: string | null;
  instance_type_id: number;
  image_ref: string | null;
  vc_count: number;
  vol_count: number;
  status: string | null;
}

export interface VolumeMetadataRow {
  created_at: DbTime | null;
  updated_at: DbTime | null;
  deleted_at: DbTime | null;
  deleted: boolean;
  id: number;
  volume_id: number;
  key: string | null;
  value: string | null;
}

export interface VolumeTypeExtraSpecRow {
  created_at: DbTime | null;
  updated_at: DbTime | null;
  deleted_at: DbTime | null;
  deleted: boolean;
  id: number;
  volume_type_id: number;
  key: string | null;
  value: string | null;
}

export interface VolumeTypeRow {
  created_at: DbTime | null;
  updated_at: DbTime | null;
  deleted_at: DbTime | null;
  deleted: boolean;
  id: number;
  name: string | null;
}

export interface VolumeRow {
  created_at: DbTime | null;
  updated_at: DbTime | null;
  deleted_at: DbTime | null;
  deleted: boolean;
  id: number;
  ec2_id: string | null;
  user_id: string | null;
  project_id: string | null;
  host: string | null;
  size: number | null;
  availability_zone: string | null;
  instance_id: number | null;
  mountpoint: string | null;
  attach_time: string | null;
  status: string | null;
  attach_status: string | null;
  scheduled_at: DbTime | null;
  launched_at: DbTime | null;
  terminated_at: DbTime | null;
  display_name: string | null;
  display_description: string | null;
  provider_location: string | null;
  provider_auth: string | null;
  snapshot_id: number | null;
  volume_type_id: number | null;
}

export interface ZoneRow {
  created_at: DbTime | null;
  updated_at: DbTime | null;
  deleted_at: DbTime | null;
  deleted: boolean;
  id: number;
  api_url: string | null;
  username: string | null;
  password: string | null;
  weight_offset: number | null;
  weight_scale: number | null;
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

/** Table name to row type. */
export interface Rows {
  agent_builds: AgentBuildRow;
  auth_tokens: AuthTokenRow;
  block_device_mapping: BlockDeviceMappingRow;
  certificates: CertificateRow;
  compute_nodes: ComputeNodeRow;
  console_pools: ConsolePoolRow;
  consoles: ConsoleRow;
  export_devices: ExportDeviceRow;
  fixed_ips: FixedIpRow;
  floating_ips: FloatingIpRow;
  instance_actions: InstanceActionRow;
  instance_metadata: InstanceMetadataRow;
  instance_type_extra_specs: InstanceTypeExtraSpecRow;
  instance_types: InstanceTypeRow;
  instances: InstanceRow;
  iscsi_targets: IscsiTargetRow;
  key_pairs: KeyPairRow;
  migrate_version: MigrateVersionRow;
  migrations: MigrationRow;
  networks: NetworkRow;
  projects: ProjectRow;
  provider_fw_rules: ProviderFwRuleRow;
  quotas: QuotaRow;
  security_group_instance_association: SecurityGroupInstanceAssociationRow;
  security_group_rules: SecurityGroupRuleRow;
  security_groups: SecurityGroupRow;
  services: ServiceRow;
  snapshots: SnapshotRow;
  user_project_association: UserProjectAssociationRow;
  user_project_role_association: UserProjectRoleAssociationRow;
  user_role_association: UserRoleAssociationRow;
  users: UserRow;
  virtual_interfaces: VirtualInterfaceRow;
  virtual_storage_arrays: VirtualStorageArrayRow;
  volume_metadata: VolumeMetadataRow;
  volume_type_extra_specs: VolumeTypeExtraSpecRow;
  volume_types: VolumeTypeRow;
  volumes: VolumeRow;
  zones: ZoneRow;
  ext_client_tokens: ExtClientTokenRow;
}
export type TableName = keyof Rows;
