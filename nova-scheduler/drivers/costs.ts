import { SchedulerCostFunctionNotFound, SchedulerWeightFlagNotFound } from '../../common/errors.js';
import type { Flags } from '../../common/flags/flags.js';
import type { KnownHost } from '../manager/capabilities.js';
import { computeFigure } from './hostFilters.js';

/** One term of a host's cost. */
export interface WeighedCost {
  readonly weight: number;
  readonly score: (host: KnownHost) => number;
}

/** The cost functions by their short names (nova 2011.3, nova/scheduler/least_cost.py). */
const functions: Readonly<Record<string, (host: KnownHost) => number>> = {
  /** All hosts cost the same. */
  noop_cost_fn: () => 1,
  /** The less memory is free the better: hosts are filled one after the other. */
  compute_fill_first_cost_fn: (host) => computeFigure(host, 'host_memory_free') || 0,
};

/**
 * The cost functions which the flag least_cost_scheduler_cost_functions names for a topic, with the weights of the flags
 * `<function>_weight`. Functions of other topics are passed over. Throws SchedulerCostFunctionNotFound,
 * SchedulerWeightFlagNotFound.
 */
export function costFunctions(flags: Flags, topic: string): WeighedCost[] {
  return flags.least_cost_scheduler_cost_functions.flatMap((name) => {
    const short = name.slice(name.lastIndexOf('.') + 1);
    if (!short.startsWith(`${topic}_`) && !short.startsWith('noop')) return [];
    const score = Object.hasOwn(functions, short) ? functions[short] : undefined;
    if (score === undefined) throw new SchedulerCostFunctionNotFound(name);
    const weight = (flags as unknown as Readonly<Record<string, unknown>>)[`${short}_weight`];
    if (typeof weight !== 'number') throw new SchedulerWeightFlagNotFound(`${short}_weight`);
    return [{ weight, score }];
  });
}

/** The sum of each host's scores, each as a part of the largest one, times their weights. */
export function weighedSums(hosts: readonly KnownHost[], costs: readonly WeighedCost[]): number[] {
  const sums = hosts.map(() => 0);
  for (const { weight, score } of costs) {
    const scores = hosts.map(score);
    const most = scores.reduce((a, b) => Math.max(a, b), 0);
    scores.forEach((one, index) => (sums[index]! += most === 0 ? 0 : (weight * one) / most));
  }
  return sums;
}
