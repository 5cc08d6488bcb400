import type { Context } from '../context.js';
import { findInstance } from '../db/instances.js';
import { deleteMetadata, listMetadata, setMetadata, type MetadataKind } from '../db/metadata.js';
import { findSnapshot, listSnapshots, setSnapshotName } from '../db/snapshots.js';
import { findVolume } from '../db/volumes.js';
import { ApiError, InstanceNotFound, SnapshotNotFound, VolumeNotFound, QuotaError } from '../errors.js';
import type { CloudParts } from './parts.js';
import type { Quotas } from './quotas.js';

/** A pair which hangs on an instance, a volume or a snapshot. */
export interface Tag {
  readonly kind: MetadataKind | 'snapshot';
  readonly id: number;
  readonly key: string;
  readonly value: string;
}
/** An instance, a volume or a snapshot. */
export type Tagged = Pick<Tag, 'kind' | 'id'>;

/** Where what can be tagged is found. */
const finders = { instance: findInstance, volume: findVolume, snapshot: findSnapshot } as const;
/** The one tag of a snapshot. */
const nameTag = 'Name';

/**
 * Tags of instances and volumes; they are kept as the metadata which the OpenStack API shows. The schema has no place for
 * those of snapshots but for `Name`, which is the snapshot's name: libcloud sets it with each snapshot that it makes.
 */
export class Tags {
  constructor(
    private readonly parts: CloudParts,
    private readonly cloud: { readonly quotas: Quotas },
  ) {}

  /** The tags of the caller's project (of all, for administrators): of instances, volumes, snapshots. */
  async list(context: Context): Promise<Tag[]> {
    const projectId = context.isAdmin ? null : context.requireProject();
    const of = async (kind: MetadataKind): Promise<Tag[]> =>
      (await listMetadata(this.parts.db, kind, projectId)).map(({ ownerId, key, value }) => ({
        kind,
        id: ownerId,
        key,
        value,
      }));
    const snapshots = (await listSnapshots(this.parts.db, projectId)).flatMap(({ id, display_name: name }): Tag[] =>
      name === null ? [] : [{ kind: 'snapshot', id, key: nameTag, value: name }],
    );
    return [...(await of('instance')), ...(await of('volume')), ...snapshots];
  }

  /**
   * Sets tags on each of the resources; those of the same key get the new value. Throws InstanceNotFound, VolumeNotFound,
   * SnapshotNotFound, ApiError (InvalidParameterValue) for another tag of a snapshot than its name, and QuotaError
   * (MetadataLimitExceeded); then those before the one which failed have theirs.
   */
  async set(context: Context, resources: readonly Tagged[], tags: Readonly<Record<string, string>>): Promise<void> {
    const items = Object.entries(tags).map(([key, value]) => ({ key, value }));
    await this.cloud.quotas.checkMetadata(context, items, items.length);
    const { metadata_items: limit } = await this.cloud.quotas.limits(context);
    for (const resource of resources) await this.#requireOwn(context, resource);
    const odd = Object.keys(tags).find((key) => key !== nameTag);
    if (odd !== undefined && resources.some(({ kind }) => kind === 'snapshot')) {
      throw new ApiError(`A snapshot has no other tag than ${nameTag}: ${odd}`, 'InvalidParameterValue');
    }
    for (const { kind, id } of resources) {
      if (kind === 'snapshot') {
        if (!(await setSnapshotName(this.parts.db, id, tags[nameTag]!))) throw notFound({ kind, id });
        continue;
      }
      const { result, count } = await setMetadata(this.parts.db, kind, id, tags, (wanted) => wanted <= limit);
      if (result === 'gone') throw notFound({ kind, id });
      if (result === 'too many') {
        throw new QuotaError(`Quota exceeded. ${count} metadata items are more than ${limit}`, 'MetadataLimitExceeded');
      }
    }
  }

  /** Removes tags: of these keys (with a value: only if it is the tag's); all of them when none is named. */
  async remove(
    context: Context,
    resources: readonly Tagged[],
    tags: readonly { readonly key: string; readonly value?: string }[],
  ): Promise<void> {
    for (const resource of resources) await this.#requireOwn(context, resource);
    const { db } = this.parts;
    for (const { kind, id } of resources) {
      if (kind !== 'snapshot') await deleteMetadata(db, kind, id, tags);
      else if (tags.length === 0) await setSnapshotName(db, id, null);
      else for (const { key, value } of tags) if (key === nameTag) await setSnapshotName(db, id, null, value);
    }
  }

  async #requireOwn(context: Context, resource: Tagged): Promise<void> {
    const row = await finders[resource.kind](this.parts.db, resource.id);
    if (row === undefined || !(context.isAdmin || row.project_id === context.requireProject()))
      throw notFound(resource);
  }
}

function notFound({ kind, id }: Tagged): InstanceNotFound | VolumeNotFound | SnapshotNotFound {
  if (kind === 'snapshot') return new SnapshotNotFound(id);
  return kind === 'instance' ? new InstanceNotFound(id) : new VolumeNotFound(id);
}
