import type { InstanceRow } from '../../common/db/rows.js';
import { DBError, errorText } from '../../common/errors.js';
import type { Delivery } from '../../common/rpc/types.js';
import { ClaimLost, lineOf } from './failures.js';
import { machineName, type ComputeParts } from './parts.js';
import type { StepOptions } from './steps.js';

/** What the recovery does: no message is waiting to be acknowledged. */
export const nobodysMessage: Delivery = { accept: () => undefined, redelivered: true };

/** Work on one instance which a message asks for, or a predecessor of this daemon left. */
export interface ClaimedWork {
  readonly method: string;
  readonly delivery: Delivery;
  /** What the log says when it begins. */
  readonly doing: string;
  /** Why there may be nothing to do, for the log; the instance's states when absent. */
  readonly found?: string;
  /** Takes the work, or sees that it is (still) this daemon's: false when there is nothing to do. */
  claim(): Promise<boolean>;
  run(): Promise<void>;
  /** What no reason may hold, whoever gives it. */
  readonly secrets?: readonly (string | null)[];
  /** Writes what has become of the instance, and why. Not called when the claim was lost: it is another's to say. */
  fail(error: unknown): Promise<unknown>;
}

/**
 * The course of all work: claim, acknowledge, work, and where that fails write the reason. Answers whether it was done,
 * false when there was nothing to do (any more). Throws what `claim` and `run` throw.
 */
export async function withClaim(parts: ComputeParts, instance: InstanceRow, work: ClaimedWork): Promise<boolean> {
  if (!(await work.claim())) {
    logNothingToDo(parts, instance, work.method, work.found);
    return false;
  }
  work.delivery.accept();
  parts.logger.audit(`${machineName(parts, instance)}: ${work.doing}`);
  try {
    await work.run();
  } catch (error) {
    // A write whose answer was lost may have been done all the same: then the row is further than the work believes.
    if (error instanceof DBError) parts.unfinished.add(instance.id, error);
    if (!(error instanceof ClaimLost))
      await recordFailure(parts, instance, lineOf(error, work.secrets), () => work.fail(error));
    throw error;
  }
  return true;
}

/** How the steps of an operation run: what cannot be taken back at once is left to the recovery. */
export function stepOptions(
  parts: ComputeParts,
  instance: InstanceRow,
  work: string,
): Pick<StepOptions, 'logger' | 'title' | 'undoFailed'> {
  return {
    logger: parts.logger,
    title: `${machineName(parts, instance)}: ${work}`,
    undoFailed: (error) => parts.unfinished.add(instance.id, error),
  };
}

/** Logs that a message came too late, or a second time. `found` is what shows it, the instance's states when absent. */
export function logNothingToDo(
  parts: ComputeParts,
  instance: InstanceRow,
  method: string,
  found = `${instance.vm_state}/${instance.task_state}`,
): void {
  parts.logger.info(`${machineName(parts, instance)}: ${method} is nothing to do (any more): ${found}`);
}

/** Writes that work has failed. Where even that fails the recovery brings the work to an end, and tells what `cause` was. */
export async function recordFailure(
  parts: ComputeParts,
  instance: InstanceRow,
  cause: string,
  write: () => Promise<unknown>,
): Promise<void> {
  try {
    await write();
  } catch (error) {
    parts.unfinished.add(instance.id, cause);
    parts.logger.error(`${machineName(parts, instance)}: its failure could not be recorded: ${errorText(error)}`);
  }
}
