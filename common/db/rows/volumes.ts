/** Rows of volumes, and of what their hosts export them by. */
import type { DbTime } from '../../time.js';
import type { NumberedRow } from './base.js';

export interface VolumeRow extends NumberedRow {
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

export interface VolumeMetadataRow extends NumberedRow {
  volume_id: number;
  key: string | null;
  value: string | null;
}

export interface VolumeTypeRow extends NumberedRow {
  name: string | null;
}

export interface VolumeTypeExtraSpecRow extends NumberedRow {
  volume_type_id: number;
  key: string | null;
  value: string | null;
}

export interface SnapshotRow extends NumberedRow {
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

export interface IscsiTargetRow extends NumberedRow {
  target_num: number | null;
  host: string | null;
  volume_id: number | null;
}

export interface ExportDeviceRow extends NumberedRow {
  shelf_id: number | null;
  blade_id: number | null;
  volume_id: number | null;
}

export interface VirtualStorageArrayRow extends NumberedRow {
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
