/**
 * One row of each table of Nova 2011.3's schema 46, as read: booleans are booleans in every dialect, times are text
 * (common/time.ts). Every column is nullable to a reader unless the database forbids it.
 */
import type {
  BlockDeviceMappingRow,
  ExtClientTokenRow,
  InstanceActionRow,
  InstanceMetadataRow,
  InstanceRow,
  InstanceTypeExtraSpecRow,
  InstanceTypeRow,
  MigrationRow,
  ProviderFwRuleRow,
  SecurityGroupInstanceAssociationRow,
  SecurityGroupRow,
  SecurityGroupRuleRow,
} from './rows/instances.js';
import type {
  ExportDeviceRow,
  IscsiTargetRow,
  SnapshotRow,
  VirtualStorageArrayRow,
  VolumeMetadataRow,
  VolumeRow,
  VolumeTypeExtraSpecRow,
  VolumeTypeRow,
} from './rows/volumes.js';
import type { FixedIpRow, FloatingIpRow, NetworkRow, VirtualInterfaceRow } from './rows/networks.js';
import type {
  AuthTokenRow,
  CertificateRow,
  KeyPairRow,
  ProjectRow,
  QuotaRow,
  UserProjectAssociationRow,
  UserProjectRoleAssociationRow,
  UserRoleAssociationRow,
  UserRow,
} from './rows/accounts.js';
import type {
  AgentBuildRow,
  ComputeNodeRow,
  ConsolePoolRow,
  ConsoleRow,
  MigrateVersionRow,
  ServiceRow,
  ZoneRow,
} from './rows/hosts.js';

export type * from './rows/base.js';
export type * from './rows/instances.js';
export type * from './rows/volumes.js';
export type * from './rows/networks.js';
export type * from './rows/accounts.js';
export type * from './rows/hosts.js';

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
