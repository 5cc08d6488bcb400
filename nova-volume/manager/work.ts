import type { DaemonParts } from '../../common/daemon.js';
import type { Db } from '../../common/db/db.js';
import { DBError, errorText } from '../../common/errors.js';
import { Lanes } from '../../common/lanes.js';
import type { Logger } from '../../common/log.js';
import type { Rpc } from '../../common/rpc/rpc.js';
import type { Runtime } from '../../common/runtime/runtime.js';
import type { VolumeDriver } from '../drivers/driver.js';

/** What every operation of this daemon works with. */
export interface VolumeWork {
  readonly runtime: Runtime;
  readonly db: Db;
  readonly rpc: Rpc;
  readonly driver: VolumeDriver;
  readonly log: Logger;
  /** One volume, one lane: what concerns a volume and its snapshots runs in order. Keyed by the volume's id. */
  readonly lanes: Lanes<number>;
}

/** Puts the operations' surroundings together. */
export function volumeWork(parts: Pick<DaemonParts, 'runtime' | 'db' | 'rpc'>, driver: VolumeDriver): VolumeWork {
  const { runtime, db, rpc } = parts;
  return { runtime, db, rpc, driver, log: runtime.log.logger('nova.volume.manager'), lanes: new Lanes() };
}

/** Runs a step of an undo: its failure is logged and does not keep the next step from running. */
export async function attempt(work: VolumeWork, what: string, step: () => Promise<unknown>): Promise<void> {
  try {
    await step();
  } catch (error) {
    work.log.error(`Could not ${what}: ${errorText(error)}`, error);
  }
}

/**
 * Whether the database could not be reached (in the end): then no row says how far the work has come, and it is taken up
 * later instead of being undone.
 */
export function isDatabaseAway(error: unknown): boolean {
  return error instanceof DBError && error.reason !== 'other' && error.reason !== 'unique';
}
