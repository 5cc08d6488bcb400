import { runPlan, type Outcome } from './run.js';
import { selectedPlan, type Selection } from './selection.js';

/** What a worker process answers: the outcome, with the end of the log only when something does not hold. */
process.on('message', (selection: Selection) => {
  void runPlan(selectedPlan(selection)).then((outcome: Outcome) => {
    process.send?.(outcome.problems.length > 0 ? outcome : { ...outcome, tail: [] });
  });
});
