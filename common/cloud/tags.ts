import type { Context } from '../context.js';
import { deleteMetadata, listMetadata, setMetadata, type MetadataKind } from '../db/metadata.js';
import type { InstanceRow } from '../db/rows.js';
import { listSnapshots, setSnapshotNames } from '../db/snapshots.js';
import { rowsWhere } from '../db/where.js';
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
const tables = { instance: 'instances', volume: 'volumes', snapshot: 'snapshots' } as const;
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
   * (MetadataLimitExceeded): then no resource of that kind has got any.
   */
  async set(context: Context, resources: readonly Tagged[], tags: Readonly<Record<string, string>>): Promise<void> {
    const { db } = this.parts;
    const items = Object.entries(tags).map(([key, value]) => ({ key, value }));
    await this.cloud.quotas.checkMetadata(context, items, items.length);
    const { metadata_items: limit } = await this.cloud.quotas.limits(context);
    await this.#requireOwn(context, resources);
    const snapshots = idsOf(resources, 'snapshot');
    const odd = Object.keys(tags).find((key) => key !== nameTag);
    if (odd !== undefined && snapshots.length > 0) {
      throw new ApiError(`A snapshot has no other tag than ${nameTag}: ${odd}`, 'InvalidParameterValue');
    }
    if ((await setSnapshotNames(db, snapshots, tags[nameTag] ?? null)) < snapshots.length) {
      await this.#requireOwn(context, resources);
    }
    for (const kind of ['instance', 'volume'] as const) {
      const ids = idsOf(resources, kind);
      if (ids.length === 0) continue;
      const change = await setMetadata(db, kind, ids, tags, limit);
      if (change.result === 'gone') throw notFound({ kind, id: change.ownerId });
      if (change.result === 'too many') {
        throw new QuotaError(
          `Quota exceeded. ${change.count} metadata items are more than ${limit}`,
          'MetadataLimitExceeded',
        );
      }
    }
  }

  /** Removes tags: of these keys (with a value: only if it is the tag's); all of them when none is named. */
  async remove(
    context: Context,
    resources: readonly Tagged[],
    tags: readonly { readonly key: string; readonly value?: string }[],
  ): Promise<void> {
    await this.#requireOwn(context, resources);
    const { db } = this.parts;
    for (const kind of ['instance', 'volume'] as const) await deleteMetadata(db, kind, idsOf(resources, kind), tags);
    const snapshots = idsOf(resources, 'snapshot');
    if (tags.length === 0) await setSnapshotNames(db, snapshots, null);
    for (const { key, value } of tags) if (key === nameTag) await setSnapshotNames(db, snapshots, null, value);
  }

  /** Throws for the first which isn't there, or not the caller's. */
  async #requireOwn(context: Context, resources: readonly Tagged[]): Promise<void> {
    const rows = new Map<MetadataKind | 'snapshot', readonly Owned[]>();
    for (const kind of Object.keys(tables) as (keyof typeof tables)[]) {
      const wanted = { id: idsOf(resources, kind), deleted: false };
      rows.set(kind, await rowsWhere(this.parts.db, tables[kind], wanted));
    }
    for (const resource of resources) {
      const row = rows.get(resource.kind)!.find((one) => one.id === resource.id);
      if (row === undefined || !(context.isAdmin || row.project_id === context.requireProject()))
        throw notFound(resource);
    }
  }
}

type Owned = Pick<InstanceRow, 'id' | 'project_id'>;

/** Each once. */
function idsOf(resources: readonly Tagged[], kind: Tagged['kind']): number[] {
  return [...new Set(resources.flatMap((resource) => (resource.kind === kind ? resource.id : [])))];
}

function notFound({ kind, id }: Tagged): InstanceNotFound | VolumeNotFound | SnapshotNotFound {
  if (kind === 'snapshot') return new SnapshotNotFound(id);
  return kind === 'instance' ? new InstanceNotFound(id) : new VolumeNotFound(id);
}
