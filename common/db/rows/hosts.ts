/** Rows of hosts and daemons, and of the schema itself. */
import type { NumberedRow } from './base.js';

export interface ServiceRow extends NumberedRow {
  host: string | null;
  binary: string | null;
  topic: string | null;
  report_count: number;
  disabled: boolean | null;
  availability_zone: string | null;
}

export interface ComputeNodeRow extends NumberedRow {
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

export interface AgentBuildRow extends NumberedRow {
  hypervisor: string | null;
  os: string | null;
  architecture: string | null;
  version: string | null;
  url: string | null;
  md5hash: string | null;
}

export interface ConsolePoolRow extends NumberedRow {
  address: string | null;
  username: string | null;
  password: string | null;
  console_type: string | null;
  public_hostname: string | null;
  host: string | null;
  compute_host: string | null;
}

export interface ConsoleRow extends NumberedRow {
  instance_name: string | null;
  instance_id: number | null;
  password: string | null;
  port: number | null;
  pool_id: number | null;
}

export interface ZoneRow extends NumberedRow {
  api_url: string | null;
  username: string | null;
  password: string | null;
  weight_offset: number | null;
  weight_scale: number | null;
}

export interface MigrateVersionRow {
  repository_id: string;
  repository_path: string | null;
  version: number | null;
}
