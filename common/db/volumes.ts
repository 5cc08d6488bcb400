import { VolumeNotFound } from '../errors.js';
import { placeholders, type Db, type Queryable, type Tx } from './db.js';
import type { InstanceRow, VolumeMetadataRow, VolumeRow } from './rows.js';
import { anything, changeWhere, firstWhere, lockWhere, rowsWhere, softDelete } from './where.js';

/** What a new volume is made of. */
export interface NewVolume {
  user_id: string | null;
  project_id: string;
  /** GB */
  size: number;
  availability_zone: string;
  display_name: string | null;
  display_description: string | null;
  /** The snapshot whose content it gets. */
  snapshot_id: number | null;
  volume_type_id: number | null;
}

/** The columns of an attachment's instance which a description needs. */
export type AttachedInstance = Pick<InstanceRow, 'id' | 'host' | 'uuid'>;

/** A volume with what hangs on it. */
export interface VolumeDetails {
  volume: VolumeRow;
  /** The instance it is attached to, deleted or not; null when it isn't attached. */
  instance: AttachedInstance | null;
  metadata: Pick<VolumeMetadataRow, 'volume_id' | 'key' | 'value'>[];
}

/** What a driver has to say about a volume. */
export type ProviderColumns = Partial<Pick<VolumeRow, 'provider_location' | 'provider_auth'>>;

/**
 * Inserts a volume in `creating`, with its metadata, and answers its row. For the transaction which has checked the
 * quota.
 */
export async function insertVolume(
  tx: Tx,
  values: NewVolume,
  metadata: Readonly<Record<string, string>> = {},
): Promise<VolumeRow> {
  const id = await tx.insert('volumes', { ...values, status: 'creating', attach_status: 'detached' });
  const rows = Object.entries(metadata).map(([key, value]) => ({ volume_id: id, key, value }));
  if (rows.length > 0) await tx.insertMany('volume_metadata', rows);
  return getVolume(tx, id);
}

/** A volume which is not deleted; undefined when there is none. */
export async function findVolume(db: Queryable, id: number): Promise<VolumeRow | undefined> {
  return firstWhere(db, 'volumes', { id, deleted: false });
}

/** A volume which is not deleted. Throws VolumeNotFound. */
export async function getVolume(db: Queryable, id: number): Promise<VolumeRow> {
  const volume = await findVolume(db, id);
  if (volume === undefined) throw new VolumeNotFound(id);
  return volume;
}

/**
 * Volumes with their instances and metadata, by id: of one project or of all (null), all of them or those with the given
 * ids. One query for each of the three tables.
 */
export async function describeVolumes(
  db: Queryable,
  projectId: string | null,
  ids: readonly number[] | null = null,
): Promise<VolumeDetails[]> {
  const wanted = { deleted: false, project_id: projectId ?? anything, id: ids ?? anything };
  const volumes = await rowsWhere(db, 'volumes', wanted);
  if (volumes.length === 0) return [];
  const instances = await attachedInstances(db, volumes);
  const metadata = await volumeMetadata(
    db,
    volumes,
    ids === null ? projectId : null,
    ids === null && projectId === null,
  );
  return volumes.map((volume) => ({
    volume,
    instance: (volume.instance_id !== null && instances.get(volume.instance_id)) || null,
    metadata: metadata.get(volume.id) ?? [],
  }));
}

async function attachedInstances(db: Queryable, volumes: readonly VolumeRow[]): Promise<Map<number, AttachedInstance>> {
  const ids = [...new Set(volumes.flatMap((volume) => (volume.instance_id === null ? [] : [volume.instance_id])))];
  if (ids.length === 0) return new Map();
  const rows = await db.all<AttachedInstance>(
    `SELECT id, host, uuid FROM instances WHERE id IN ${placeholders(ids)}`,
    ids,
  );
  return new Map(rows.map((row) => [row.id, row]));
}

/** Metadata by volume. A list of a whole project or cloud is not spelled out as ids, of which a statement takes only so many. */
async function volumeMetadata(
  db: Queryable,
  volumes: readonly VolumeRow[],
  projectId: string | null,
  everything: boolean,
): Promise<Map<number, VolumeDetails['metadata']>> {
  const select = 'SELECT m.volume_id, m."key", m.value FROM volume_metadata m';
  type Row = VolumeDetails['metadata'][number];
  let rows: Row[];
  if (everything) {
    rows = await db.all<Row>(`${select} WHERE m.deleted = ? ORDER BY m.id`, [false]);
  } else if (projectId !== null) {
    rows = await db.all<Row>(
      `${select} JOIN volumes v ON v.id = m.volume_id WHERE v.project_id = ? AND v.deleted = ? AND m.deleted = ? ORDER BY m.id`,
      [projectId, false, false],
    );
  } else {
    const ids = volumes.map((volume) => volume.id);
    rows = await db.all<Row>(`${select} WHERE m.volume_id IN ${placeholders(ids)} AND m.deleted = ? ORDER BY m.id`, [
      ...ids,
      false,
    ]);
  }
  const byVolume = new Map<number, Row[]>();
  for (const row of rows) {
    const list = byVolume.get(row.volume_id);
    if (list === undefined) byVolume.set(row.volume_id, [row]);
    else list.push(row);
  }
  return byVolume;
}

/** Volumes of a host which are not deleted, by id. */
export async function listVolumesOfHost(db: Queryable, host: string): Promise<VolumeRow[]> {
  return rowsWhere(db, 'volumes', { host, deleted: false });
}

/** Volumes which a host has not finished making or deleting: `creating` or `deleting`, by id. */
export async function listUnfinishedVolumes(db: Queryable, host: string): Promise<VolumeRow[]> {
  return rowsWhere(db, 'volumes', { host, deleted: false, status: ['creating', 'deleting'] });
}

/** Volumes attached to an instance, by id. */
export async function listVolumesOfInstance(db: Queryable, instanceId: number): Promise<VolumeRow[]> {
  return rowsWhere(db, 'volumes', { instance_id: instanceId, deleted: false });
}

/** Changes what users call a volume. False when it is gone. */
export async function updateVolumeTexts(
  db: Queryable,
  id: number,
  texts: Partial<Pick<VolumeRow, 'display_name' | 'display_description'>>,
): Promise<boolean> {
  return changeWhere(db, 'volumes', texts, { id, deleted: false });
}

/**
 * The host's claim on a volume which is to be made: its row while it is `creating` and belongs to no other host. Writes
 * the host unless a scheduler has. Undefined when there is nothing to do: made, given up, deleted, or another host's.
 * Of hosts which race for it, one gets it.
 */
export async function claimVolumeForCreate(db: Db, id: number, host: string): Promise<VolumeRow | undefined> {
  return db.transaction(async (tx) => {
    const creating = { id, status: 'creating', deleted: false };
    await changeWhere(tx, 'volumes', { host }, { ...creating, host: null });
    return firstWhere(tx, 'volumes', { ...creating, host });
  });
}

/** Stores what a driver answered, while the volume is still being made here. Writes nothing when there is nothing. */
export async function storeProviderColumns(
  db: Queryable,
  id: number,
  host: string,
  columns: ProviderColumns,
): Promise<void> {
  if (Object.keys(columns).length === 0) return;
  await changeWhere(db, 'volumes', columns, { id, host, status: 'creating', deleted: false });
}

/** `creating` becomes `available`. False when the row has changed meanwhile: then what was made must be undone. */
export async function finishVolumeCreate(db: Queryable, id: number, host: string): Promise<boolean> {
  const made = { status: 'available', launched_at: db.now() };
  return changeWhere(db, 'volumes', made, { id, host, status: 'creating', deleted: false });
}

/** Changes the status if it is one of `from`, on that host when one is given. Of racing callers one gets true. */
export async function changeVolumeStatus(
  db: Queryable,
  id: number,
  from: readonly string[],
  to: string,
  host?: string,
): Promise<boolean> {
  return changeWhere(db, 'volumes', { status: to }, { id, status: from, deleted: false, host: host ?? anything });
}

/** States from which a volume can be deleted. Those of failure are included, or their rows could never be removed. */
const deletableStatuses = ['available', 'error', 'error_deleting'] as const;

/** How a request to delete a volume was taken. */
export type DeleteRequest =
  | { taken: true; host: string }
  /** It was on no host, so that nobody has to be asked: the row is deleted. */
  | { taken: true; host: null }
  | { taken: false; volume: VolumeRow };

/**
 * The API's part of a deletion: the volume becomes `deleting`, or is deleted at once when no host has it. Refused when
 * it is attached or in any other state. Throws VolumeNotFound. Of racing callers one is taken; an attachment which
 * races is either first, and this is refused, or finds the volume in `deleting`.
 */
export async function requestVolumeDelete(db: Db, id: number): Promise<DeleteRequest> {
  return db.transaction(async (tx) => {
    const volume = await lockWhere(tx, 'volumes', { id, deleted: false });
    if (volume === undefined) throw new VolumeNotFound(id);
    const deletable = (deletableStatuses as readonly (string | null)[]).includes(volume.status);
    if (!deletable || volume.attach_status === 'attached') return { taken: false, volume };
    await tx.update('volumes', { status: 'deleting', terminated_at: tx.now() }, 'id = ?', [id]);
    if (volume.host !== null) return { taken: true, host: volume.host };
    await softDeleteVolume(tx, id);
    return { taken: true, host: null };
  });
}

/**
 * The host's claim on a volume which is to be deleted. A row which a message names without the API's part (nova-manage
 * of 2011.3 sends such) becomes `deleting` here. Answers the row as it is now: only when its status is `deleting`, its
 * host the caller's and it is not attached may the caller go on. Undefined when it is gone already.
 */
export async function claimVolumeForDelete(db: Db, id: number, host: string): Promise<VolumeRow | undefined> {
  return db.transaction(async (tx) => {
    await tx.update(
      'volumes',
      { status: 'deleting', terminated_at: tx.now() },
      `id = ? AND host = ? AND status IN ${placeholders(deletableStatuses)} AND attach_status <> ? AND deleted = ?`,
      [id, host, ...deletableStatuses, 'attached', false],
    );
    return findVolume(tx, id);
  });
}

/**
 * The end of a deletion: row and metadata are soft-deleted, targets and AoE devices go back to their pools (nova 2011.3,
 * volume_destroy). False when the row is not (any longer) being deleted on that host.
 */
export async function finishVolumeDelete(db: Db, id: number, host: string): Promise<boolean> {
  return db.transaction(async (tx) => {
    const wanted = { id, host, status: ['deleting', 'error_deleting'], deleted: false };
    if ((await lockWhere(tx, 'volumes', wanted)) === undefined) return false;
    await softDeleteVolume(tx, id);
    return true;
  });
}

async function softDeleteVolume(tx: Tx, id: number): Promise<void> {
  await softDelete(tx, 'volumes', { id });
  await tx.update('iscsi_targets', { volume_id: null }, 'volume_id = ?', [id]);
  await tx.update('export_devices', { volume_id: null }, 'volume_id = ?', [id]);
  await softDelete(tx, 'volume_metadata', { volume_id: id });
}

/** How a claim for an attachment went. */
export type AttachClaim =
  /** The volume was available and is now the instance's. */
  | 'claimed'
  /** It is the instance's already, at this device: the message came a second time. */
  | 'repeated'
  /** Somebody else has it, it is in no state to be attached, or the instance has another volume at this device. */
  | 'refused';

/**
 * Gives an available volume to an instance: `in-use`, attached at the device (nova 2011.3, volume_attached), with
 * attach_time. Of racing callers one claims it; two volumes never get one device of an instance.
 */
export async function claimVolumeForAttach(
  db: Db,
  volumeId: number,
  instanceId: number,
  mountpoint: string,
): Promise<AttachClaim> {
  return db.transaction(async (tx) => {
    await tx.lock(`attach:${instanceId}`);
    const others = await rowsWhere(tx, 'volumes', { instance_id: instanceId, mountpoint, deleted: false });
    if (others.length > 0) return others.some((volume) => volume.id === volumeId) ? 'repeated' : 'refused';
    // Two statements, as Python's: its peers see the instance only on a volume which is in-use.
    const attached = { status: 'in-use', mountpoint, attach_status: 'attached', attach_time: attachTime(tx.now()) };
    const where = 'id = ? AND status = ? AND attach_status <> ? AND deleted = ?';
    if ((await tx.update('volumes', attached, where, [volumeId, 'available', 'attached', false])) === 0)
      return 'refused';
    await tx.update('volumes', { instance_id: instanceId }, 'id = ?', [volumeId]);
    return 'claimed';
  });
}

/**
 * Takes a volume from an instance: `available`, detached (nova 2011.3, volume_detached). False when it isn't attached to
 * that instance (any longer); a second caller changes nothing.
 */
export async function releaseVolume(db: Queryable, volumeId: number, instanceId: number): Promise<boolean> {
  return changeWhere(
    db,
    'volumes',
    { status: 'available', mountpoint: null, attach_status: 'detached', instance_id: null, attach_time: null },
    { id: volumeId, instance_id: instanceId, attach_status: 'attached', deleted: false },
  );
}

/** The column attach_time, a text: `YYYY-MM-DDTHH:MM:SSZ`. */
function attachTime(now: string): string {
  return `${now.slice(0, 10)}T${now.slice(11, 19)}Z`;
}
