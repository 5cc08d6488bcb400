import { expect } from 'chai';
import type { Outcome } from '../../../simulate/run.js';
import { commandOf, selectedPlan, type Selection } from '../../../simulate/selection.js';
import { shrink } from '../../../simulate/shrink.js';

const outcome = (selection: Selection, problems: string[]): Outcome => ({
  seed: selection.seed,
  problems,
  digest: '',
  lines: 0,
  tail: [],
  outcomes: {},
  age: 0,
});

describe('shrinking a run which fails', () => {
  it('keeps the steps and faults which it takes to fail by the same invariant, and no other', async () => {
    const all = selectedPlan({ seed: 3, steps: 40 });
    expect(all.faults.length).to.be.greaterThan(2);
    let runs = 0;
    const run = async (selection: Selection): Promise<Outcome> => {
      runs += 1;
      const { steps, faults } = selectedPlan(selection);
      const needed = [all.steps[7], all.steps[31]].every((one) => steps.some((step) => step.seed === one!.seed));
      const broken = faults.some((fault) => JSON.stringify(fault) === JSON.stringify(all.faults[1]));
      if (needed && broken) return outcome(selection, ['disks: wrong', 'quotas: wrong']);
      return outcome(selection, needed ? ['quotas: wrong'] : []);
    };
    const shortest = await shrink({ seed: 3, steps: 40 }, run, () => undefined);
    expect(shortest).to.deep.equal({ seed: 3, steps: 40, onlySteps: [7, 31], onlyFaults: [1] });
    expect(commandOf(shortest)).to.equal('npm run simulate -- --seed=3 --steps=40 --only-steps=7,31 --only-faults=1');
    expect(runs).to.be.lessThan(100);
  });

  it('leaves a run alone which does not fail', async () => {
    const selection = { seed: 1, steps: 5 };
    expect(
      await shrink(
        selection,
        async (some) => outcome(some, []),
        () => undefined,
      ),
    ).to.equal(selection);
  });
});
