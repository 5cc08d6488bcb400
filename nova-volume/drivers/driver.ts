import type { SnapshotRow, VolumeRow } from '../../common/db/rows.js';

/** Columns which a driver may set on the volume's row. */
export interface VolumeUpdate {
  provider_location?: string | null;
  provider_auth?: string | null;
}

/** Where volumes are kept and how hosts reach them. Every call is idempotent; errors are thrown as NovaError. */
export interface VolumeDriver {
  /** Throws StartupError when the back end cannot be used. */
  checkForSetupError(): Promise<void>;
  createVolume(volume: VolumeRow): Promise<VolumeUpdate>;
  createVolumeFromSnapshot(volume: VolumeRow, snapshot: SnapshotRow): Promise<VolumeUpdate>;
  /** A volume which is not there is no error. Throws VolumeIsBusy while a snapshot needs it. */
  deleteVolume(volume: VolumeRow): Promise<void>;
  createSnapshot(snapshot: SnapshotRow): Promise<void>;
  deleteSnapshot(snapshot: SnapshotRow): Promise<void>;
  /** Makes the volume reachable for initiators under the given target number. */
  createExport(volume: VolumeRow, targetNumber: number): Promise<VolumeUpdate>;
  /** The same at start, for a volume which was exported before. */
  ensureExport(volume: VolumeRow, targetNumber: number): Promise<void>;
  removeExport(volume: VolumeRow, targetNumber: number): Promise<void>;
  /** Throws when it is not exported. */
  checkForExport(volume: VolumeRow, targetNumber: number): Promise<void>;
  /** Path on the volume's own host. */
  localPath(volume: VolumeRow): string;
  /** The back end's figures for schedulers; null when it has none. */
  stats(): Promise<Record<string, unknown> | null>;
}
