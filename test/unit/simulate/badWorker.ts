import { planOf } from '../../../simulate/plan.js';
import { runPlan } from '../../../simulate/run.js';
import type { Selection } from '../../../simulate/selection.js';

/** A process of the pool in which each of the first seeds goes wrong in its own way. */
process.on('message', ({ seed, steps }: Selection) => {
  if (seed === 1) process.kill(process.pid, 'SIGKILL');
  if (seed === 2) return;
  let lines = 0;
  const onLine = (): void => {
    if (seed === 3 && ++lines === 50) void Promise.reject(new Error('nobody catches this'));
  };
  void runPlan(planOf(seed, steps), onLine).then((outcome) => process.send?.(outcome));
});
