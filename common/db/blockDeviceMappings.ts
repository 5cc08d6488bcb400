import { placeholders, type Queryable } from './db.js';
import type { BlockDeviceMappingRow } from './rows.js';

/** The live block device mappings of an instance, in the order in which they were made. */
export async function blockDeviceMappingsOf(db: Queryable, instanceId: number): Promise<BlockDeviceMappingRow[]> {
  return db.all<BlockDeviceMappingRow>(
    'SELECT * FROM block_device_mapping WHERE instance_id = ? AND deleted = ? ORDER BY id',
    [instanceId, false],
  );
}

/**
 * Writes the volume which was made for a mapping of a snapshot, unless it has one. Answers false when the mapping is
 * gone or another caller came first.
 */
export async function setMappingVolume(db: Queryable, mappingId: number, volumeId: number): Promise<boolean> {
  const where = 'id = ? AND deleted = ? AND volume_id IS NULL';
  return (await db.update('block_device_mapping', { volume_id: volumeId }, where, [mappingId, false])) > 0;
}

/** Notes an attached volume as a mapping of its instance; it survives the instance. Answers the mapping's id. */
export async function addVolumeMapping(
  db: Queryable,
  mapping: { instanceId: number; deviceName: string; volumeId: number },
): Promise<number> {
  return db.insert('block_device_mapping', {
    instance_id: mapping.instanceId,
    device_name: mapping.deviceName,
    delete_on_termination: false,
    volume_id: mapping.volumeId,
  });
}

/** Marks the mapping of a detached volume as deleted. A repeated call changes nothing. */
export async function deleteVolumeMapping(db: Queryable, instanceId: number, volumeId: number): Promise<void> {
  await db.update(
    'block_device_mapping',
    { deleted: true, deleted_at: db.now() },
    'instance_id = ? AND volume_id = ? AND deleted = ?',
    [instanceId, volumeId, false],
    { updatedAt: false },
  );
}

/** Marks mappings as deleted, by id. A repeated call changes nothing. */
export async function deleteMappings(db: Queryable, ids: readonly number[]): Promise<void> {
  if (ids.length === 0) return;
  await db.update(
    'block_device_mapping',
    { deleted: true, deleted_at: db.now() },
    `id IN ${placeholders(ids)} AND deleted = ?`,
    [...ids, false],
    { updatedAt: false },
  );
}
