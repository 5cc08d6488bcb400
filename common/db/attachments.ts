import { addVolumeMapping, deleteVolumeMapping } from './blockDeviceMappings.js';
import { placeholders, type Db, type Queryable, type Tx } from './db.js';
import type { VolumeRow } from './rows.js';
import { releaseVolume } from './volumes.js';

/**
 * Notes that a volume hangs at a device of an instance, unless that is noted already. Whoever works on one instance
 * comes in order, in its host's lane, so nothing is noted twice; also when the database goes away while it commits.
 */
export async function recordAttachment(
  db: Db,
  instanceId: number,
  volumeId: number,
  mountpoint: string,
): Promise<void> {
  const note = async (tx: Tx): Promise<void> => {
    const known = await tx.first(
      'SELECT id FROM block_device_mapping WHERE instance_id = ? AND volume_id = ? AND deleted = ?',
      [instanceId, volumeId, false],
    );
    if (known === undefined) await addVolumeMapping(tx, { instanceId, deviceName: mountpoint, volumeId });
  };
  await db.transaction(note, again);
}

/**
 * Ends an attachment: the volume is available again, unless it was not the instance's (any longer), and its mapping gone,
 * in one transaction. When the database goes away while it commits this is done again: the disk is unplugged already, and
 * nobody else would note that.
 */
export async function recordDetachment(db: Db, instanceId: number, volumeId: number): Promise<void> {
  const end = async (tx: Tx): Promise<void> => {
    await releaseVolume(tx, volumeId, instanceId);
    await deleteVolumeMapping(tx, instanceId, volumeId);
  };
  await db.transaction(end, again);
}

/** After a commit of which nobody knows, for work which changes nothing the second time: it is done once more. */
const again = (): Promise<undefined> => Promise.resolve(undefined);

/**
 * Volumes which instances of a host hold although nothing says so: no mapping was noted (the daemon died in between), or
 * the instance is deleted. Instances at which somebody works are left out. By id; of these instances alone when they are
 * given.
 */
export async function halfAttachedVolumes(
  db: Queryable,
  host: string,
  instanceIds?: readonly number[],
): Promise<VolumeRow[]> {
  const some = instanceIds === undefined ? '' : ` AND v.instance_id IN ${placeholders(instanceIds)}`;
  return db.all<VolumeRow>(
    'SELECT v.* FROM volumes v JOIN instances i ON i.id = v.instance_id ' +
      'WHERE v.deleted = ? AND i.host = ? AND (i.deleted = ? OR (i.task_state IS NULL AND NOT EXISTS (' +
      'SELECT b.id FROM block_device_mapping b ' +
      'WHERE b.instance_id = i.id AND b.volume_id = v.id AND b.deleted = ?)))' +
      `${some} ORDER BY v.id`,
    [false, host, true, false, ...(instanceIds ?? [])],
  );
}
