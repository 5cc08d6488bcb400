import { errorText } from '../../common/errors.js';
import type { Logger } from '../../common/log.js';

/**
 * One part of a long operation. `run` and `undo` are idempotent: `undo` also cleans up after a `run` which failed
 * half-way, or whose outcome nobody knows.
 */
export interface Step<S> {
  readonly name: string;
  run(state: S): Promise<void>;
  /** Takes back what `run` did on this host. */
  undoHere?(state: S): Promise<void>;
  /** Takes back what `run` did elsewhere: rows of other resources, messages to other daemons. */
  undoElsewhere?(state: S): Promise<void>;
}

/** How much of a failed operation is taken back. */
export type UndoScope = 'all' | 'here' | 'nothing';

export interface StepOptions {
  logger: Logger;
  /** What the log calls the work, e.g. `instance-0000000a: run_instance`. */
  title: string;
  /** Aborted: no further step begins. */
  signal?: AbortSignal;
  /** Decides, when a step has failed, what is taken back. Everything when absent. */
  scope?(error: unknown): Promise<UndoScope>;
  /** Told of an undo which failed: something is left which somebody has to take away later. */
  undoFailed(error: unknown): void;
}

/**
 * Runs steps in order. When one throws (or the signal is aborted) the steps done so far, and the failed one, are undone
 * in reverse order, and the error is thrown again. An undo which fails is logged and told, and the others still run.
 */
export async function runSteps<S>(steps: readonly Step<S>[], state: S, options: StepOptions): Promise<void> {
  const { logger, title, signal } = options;
  const begun: Step<S>[] = [];
  try {
    for (const step of steps) {
      signal?.throwIfAborted();
      logger.debug(`${title}: ${step.name}`);
      begun.push(step);
      await step.run(state);
    }
  } catch (error) {
    const scope = (await options.scope?.(error)) ?? 'all';
    if (scope !== 'nothing') await undo(begun.reverse(), state, scope, options);
    throw error;
  }
}

async function undo<S>(steps: readonly Step<S>[], state: S, scope: UndoScope, options: StepOptions): Promise<void> {
  for (const step of steps) {
    const parts = [step.undoHere, scope === 'all' ? step.undoElsewhere : undefined];
    for (const part of parts) {
      if (part === undefined) continue;
      options.logger.debug(`${options.title}: undo ${step.name}`);
      try {
        await part.call(step, state);
      } catch (error) {
        options.logger.error(`${options.title}: undo ${step.name} failed: ${errorText(error)}`, error);
        options.undoFailed(error);
      }
    }
  }
}
