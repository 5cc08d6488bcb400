import type { Context } from '../context.js';
import { findInstance } from '../db/instances.js';
import { deleteMetadata, listMetadata, setMetadata, type MetadataKind } from '../db/metadata.js';
import { findVolume } from '../db/volumes.js';
import { InstanceNotFound, VolumeNotFound, QuotaError } from '../errors.js';
import type { CloudParts } from './parts.js';
import type { Quotas } from './quotas.js';

/** A pair which hangs on an instance or a volume. */
export interface Tag {
  readonly kind: MetadataKind;
  readonly id: number;
  readonly key: string;
  readonly value: string;
}
/** An instance or a volume. */
export type Tagged = Pick<Tag, 'kind' | 'id'>;

/** Tags of instances and volumes; they are kept as the metadata which the OpenStack API shows. */
export class Tags {
  constructor(
    private readonly parts: CloudParts,
    private readonly cloud: { readonly quotas: Quotas },
  ) {}

  /** The tags of the caller's project (of all, for administrators): instances first. */
  async list(context: Context): Promise<Tag[]> {
    const projectId = context.isAdmin ? null : context.requireProject();
    const of = async (kind: MetadataKind): Promise<Tag[]> =>
      (await listMetadata(this.parts.db, kind, projectId)).map(({ ownerId, key, value }) => ({
        kind,
        id: ownerId,
        key,
        value,
      }));
    return [...(await of('instance')), ...(await of('volume'))];
  }

  /**
   * Sets tags on each of the resources; those of the same key get the new value. Throws InstanceNotFound, VolumeNotFound
   * and QuotaError (MetadataLimitExceeded); then those before the one which failed have theirs.
   */
  async set(context: Context, resources: readonly Tagged[], tags: Readonly<Record<string, string>>): Promise<void> {
    const items = Object.entries(tags).map(([key, value]) => ({ key, value }));
    await this.cloud.quotas.checkMetadata(context, items, items.length);
    const { metadata_items: limit } = await this.cloud.quotas.limits(context);
    for (const resource of resources) await this.#requireOwn(context, resource);
    for (const { kind, id } of resources) {
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
    for (const { kind, id } of resources) await deleteMetadata(this.parts.db, kind, id, tags);
  }

  async #requireOwn(context: Context, resource: Tagged): Promise<void> {
    const { db } = this.parts;
    const row = resource.kind === 'instance' ? await findInstance(db, resource.id) : await findVolume(db, resource.id);
    if (row === undefined || !(context.isAdmin || row.project_id === context.requireProject()))
      throw notFound(resource);
  }
}

function notFound({ kind, id }: Tagged): InstanceNotFound | VolumeNotFound {
  return kind === 'instance' ? new InstanceNotFound(id) : new VolumeNotFound(id);
}
