import type { Context } from '../context.js';
import type { Tx } from '../db/db.js';
import { checkVolumeQuota, projectLimits, type QuotaLimits } from '../db/quotas.js';
import { QuotaError } from '../errors.js';
import type { CloudParts } from './parts.js';

/** `metadata` keys and values are VARCHAR(255). */
const longestMetadata = 255;

/** How much of each resource a project may have. */
export class Quotas {
  constructor(private readonly parts: CloudParts) {}

  /** The caller's limits; Infinity is none. */
  async limits(context: Context): Promise<QuotaLimits> {
    return projectLimits(this.parts.db, this.parts.runtime.flags, context.requireProject());
  }

  /**
   * Throws QuotaError when the caller's project can't have another volume of `sizeGb`. For the transaction which then
   * inserts it: others who create volumes in the project wait until that ends.
   */
  async checkVolume(tx: Tx, context: Context, sizeGb: number): Promise<void> {
    await checkVolumeQuota(tx, this.parts.runtime.flags, context.requireProject(), sizeGb);
  }

  /**
   * Throws QuotaError (MetadataLimitExceeded) when these would be too many metadata items for one instance or volume,
   * or one of them is too long. `count` is how many it would have.
   */
  async checkMetadata(
    context: Context,
    items: readonly { key: string; value: string }[],
    count: number,
  ): Promise<void> {
    const { metadata_items: limit } = await this.limits(context);
    if (count > limit) {
      throw new QuotaError(`Quota exceeded. At most ${limit} metadata items are possible`, 'MetadataLimitExceeded');
    }
    if (items.some((item) => item.key.length > longestMetadata || item.value.length > longestMetadata)) {
      throw new QuotaError(
        `Metadata property key and value may be ${longestMetadata} characters long`,
        'MetadataLimitExceeded',
      );
    }
  }
}
