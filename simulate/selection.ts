import { planOf, type Plan } from './plan.js';

/** Which run: a seed with its number of steps, and perhaps only some of its steps and faults. */
export interface Selection {
  readonly seed: number;
  readonly steps: number;
  /** Indices of the steps which are taken; all when absent. */
  readonly onlySteps?: readonly number[];
  /** Indices of the faults which happen; all when absent. */
  readonly onlyFaults?: readonly number[];
}

/** The plan of a selection. */
export function selectedPlan({ seed, steps, onlySteps, onlyFaults }: Selection): Plan {
  const plan = planOf(seed, steps);
  const chosen = <T>(list: readonly T[], only: readonly number[] | undefined): T[] =>
    list.filter((_, index) => only === undefined || only.includes(index));
  return { ...plan, steps: chosen(plan.steps, onlySteps), faults: chosen(plan.faults, onlyFaults) };
}

/** The command which repeats a run. */
export function commandOf({ seed, steps, onlySteps, onlyFaults }: Selection): string {
  const list = (name: string, only: readonly number[] | undefined): string =>
    only === undefined ? '' : ` --only-${name}=${only.length === 0 ? 'none' : only.join(',')}`;
  return `npm run simulate -- --seed=${seed} --steps=${steps}${list('steps', onlySteps)}${list('faults', onlyFaults)}`;
}
