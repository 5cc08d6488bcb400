import type { Queryable } from './db.js';
import type { BlockDeviceMappingRow } from './rows.js';
import { changeWhere, rowsWhere, softDelete } from './where.js';

/** The live block device mappings of an instance, in the order in which they were made. */
export async function blockDeviceMappingsOf(db: Queryable, instanceId: number): Promise<BlockDeviceMappingRow[]> {
  return rowsWhere(db, 'block_device_mapping', { instance_id: instanceId, deleted: false });
}

/**
 * Writes the volume which was made for a mapping of a snapshot, unless it has one. Answers false when the mapping is
 * gone or another caller came first.
 */
export async function setMappingVolume(db: Queryable, mappingId: number, volumeId: number): Promise<boolean> {
  const without = { id: mappingId, deleted: false, volume_id: null };
  return changeWhere(db, 'block_device_mapping', { volume_id: volumeId }, without);
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
  await softDelete(db, 'block_device_mapping', { instance_id: instanceId, volume_id: volumeId });
}

/** Marks mappings as deleted, by id. A repeated call changes nothing. */
export async function deleteMappings(db: Queryable, ids: readonly number[]): Promise<void> {
  await softDelete(db, 'block_device_mapping', { id: ids });
}
