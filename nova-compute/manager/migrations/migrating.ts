import type { Context } from '../../../common/context.js';
import { findInstance } from '../../../common/db/instances.js';
import { getMigration } from '../../../common/db/migrations.js';
import type { InstanceRow, MigrationRow } from '../../../common/db/rows.js';
import { errorText } from '../../../common/errors.js';
import type { MigrationArgs } from '../../../common/rpc/compute.js';
import { ClaimLost } from '../failures.js';
import { inLane } from '../locks.js';
import { machineName, type ComputeParts } from '../parts.js';

/** One step of a resize, as one of the two hosts sees it. */
export interface Migrating {
  readonly parts: ComputeParts;
  /** With administrator's rights. */
  readonly context: Context;
  readonly instance: InstanceRow;
  readonly migration: MigrationRow;
  readonly name: string;
}

/**
 * Works on a migration in its instance's lane, where this host is the given side of it. Unlike in 2011.3 a lock doesn't
 * keep a resize which has begun from being ended: the instance would be left between two hosts. A migration which is
 * another's, or of an instance which is gone, is answered by `work` with `instance.deleted`. Throws MigrationNotFound.
 */
export async function onMigration(
  parts: ComputeParts,
  caller: Context,
  args: MigrationArgs,
  side: 'source_compute' | 'dest_compute',
  work: (state: Migrating) => Promise<void>,
): Promise<null> {
  await inLane(parts, args.instance_id, async (id) => {
    const instance = await findInstance(parts.db, id, { deleted: 'any' });
    const migration = await getMigration(parts.db, args.migration_id);
    if (instance === undefined || migration.instance_uuid !== instance.uuid || migration[side] !== parts.runtime.host) {
      parts.logger.warn(`Migration ${migration.id} of instance ${id} is not this host's to work on`);
      return;
    }
    const name = machineName(parts, instance);
    try {
      await work({ parts, context: caller.elevated(), instance, migration, name });
    } catch (error) {
      if (!(error instanceof ClaimLost)) throw error;
      parts.logger.info(`${name}: migration ${migration.id} ended: ${errorText(error)}`);
    }
  });
  return null;
}

/** What the messages of a resize name. */
export function migrationArgs({ instance, migration }: Pick<Migrating, 'instance' | 'migration'>): {
  instance_id: string | number;
  migration_id: number;
} {
  return { instance_id: instance.uuid ?? instance.id, migration_id: migration.id };
}
