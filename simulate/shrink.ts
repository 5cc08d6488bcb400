import type { Outcome } from './run.js';
import { selectedPlan, type Selection } from './selection.js';

/** Runs which a shrinking takes at most. */
const mostRuns = 400;

/** The invariant which was broken first: what is before the colon of its message. */
function brokenBy(outcome: Outcome): string | undefined {
  return outcome.problems[0]?.split(':', 1)[0];
}

/**
 * Takes faults and steps away from a run which fails, as long as it goes on failing by the same invariant. Answers the
 * shortest form found; the selection as it is when it doesn't fail.
 */
export async function shrink(
  selection: Selection,
  run: (selection: Selection) => Promise<Outcome>,
  say: (line: string) => void,
): Promise<Selection> {
  const invariant = brokenBy(await run(selection));
  if (invariant === undefined) return selection;
  let runs = 0;
  const stillFails = async (candidate: Selection): Promise<boolean> => {
    runs += 1;
    return runs <= mostRuns && brokenBy(await run(candidate)) === invariant;
  };
  const indices = (list: readonly unknown[]): number[] => list.map((_, index) => index);
  const plan = selectedPlan({ seed: selection.seed, steps: selection.steps });
  let best: Required<Selection> = {
    seed: selection.seed,
    steps: selection.steps,
    onlyFaults: selection.onlyFaults ?? indices(plan.faults),
    onlySteps: selection.onlySteps ?? indices(plan.steps),
  };
  for (let smaller = true; smaller && runs < mostRuns;) {
    const before = best.onlyFaults.length + best.onlySteps.length;
    for (const key of ['onlyFaults', 'onlySteps'] as const) {
      const kept = await fewest(best[key], (some) => stillFails({ ...best, [key]: some }));
      best = { ...best, [key]: kept };
      say(`${invariant}: ${best.onlySteps.length} steps and ${best.onlyFaults.length} faults after ${runs} runs`);
    }
    smaller = best.onlyFaults.length + best.onlySteps.length < before;
  }
  return best;
}

/** As few elements as `fails` still holds of: leaves out half of them, then a quarter, … then one after the other. */
async function fewest(
  all: readonly number[],
  fails: (some: readonly number[]) => Promise<boolean>,
): Promise<readonly number[]> {
  let kept = all;
  for (let size = Math.ceil(kept.length / 2); size >= 1; size = size === 1 ? 0 : Math.ceil(size / 2)) {
    for (let start = 0; start < kept.length;) {
      const without = [...kept.slice(0, start), ...kept.slice(start + size)];
      if (await fails(without)) kept = without;
      else start += size;
    }
  }
  return kept;
}
