import type { VolumeRow } from '../db/rows.js';
import type { Flags } from '../flags/flags.js';
import { nameFromTemplate } from '../names.js';

/** What the back end calls a volume: `volume-00000001` (flag volume_name_template). */
export function volumeName(flags: Flags, volumeId: number): string {
  return nameFromTemplate(flags.volume_name_template, volumeId);
}

/** What the back end calls a snapshot: `snapshot-00000001` (flag snapshot_name_template). */
export function snapshotName(flags: Flags, snapshotId: number): string {
  return nameFromTemplate(flags.snapshot_name_template, snapshotId);
}

/**
 * The path of a logical volume on its own host: `/dev/mapper/nova--volumes-volume--00000001`. The device mapper doubles
 * dashes within a name and joins group and volume by one (nova 2011.3, nova/volume/driver.py local_path).
 */
export function localVolumePath(flags: Flags, volume: Pick<VolumeRow, 'id'>): string {
  const escaped = (name: string): string => name.replaceAll('-', '--');
  return `/dev/mapper/${escaped(flags.volume_group)}-${escaped(volumeName(flags, volume.id))}`;
}
