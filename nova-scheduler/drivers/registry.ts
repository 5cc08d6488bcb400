import { StartupError } from '../../common/errors.js';
import { choose } from '../../common/registry.js';
import { ChanceScheduler } from './chance.js';
import type { SchedulerDriver } from './driver.js';
import type { DriverParts } from './hosts.js';
import { MultiScheduler } from './multi.js';
import { SimpleScheduler } from './simple.js';
import { AbstractScheduler, BaseScheduler, LeastCostScheduler } from './weighing.js';
import { ZoneScheduler } from './zone.js';

/** Makes a driver for one daemon; what a plug-in's default export must be. */
export type SchedulerDriverFactory = (parts: DriverParts) => SchedulerDriver | Promise<SchedulerDriver>;

const forVolumes = {
  chance: () => (parts: DriverParts) => new ChanceScheduler(parts),
  simple: () => (parts: DriverParts) => new SimpleScheduler(parts),
};
const forInstances = {
  ...forVolumes,
  zone: () => (parts: DriverParts) => new ZoneScheduler(parts),
  abstract: () => (parts: DriverParts) => new AbstractScheduler(parts),
  base: () => (parts: DriverParts) => new BaseScheduler(parts),
  leastCost: () => (parts: DriverParts) => new LeastCostScheduler(parts),
};

const multi: SchedulerDriverFactory = async (parts) => {
  const { flags } = parts.runtime;
  const compute = await choose<'compute_scheduler_driver', SchedulerDriverFactory>(
    flags,
    'compute_scheduler_driver',
    forInstances,
  );
  const volume = await choose<'volume_scheduler_driver', SchedulerDriverFactory>(
    flags,
    'volume_scheduler_driver',
    forVolumes,
  );
  return new MultiScheduler(await compute(parts), await volume(parts), {
    compute: flags.compute_topic,
    volume: flags.volume_topic,
  });
};

/**
 * The driver which the flag scheduler_driver names: one of 2011.3's dotted names, or the path of a module whose default
 * export is a {@link SchedulerDriverFactory}. Throws StartupError which lists the values that work.
 */
export async function chooseSchedulerDriver(parts: DriverParts): Promise<SchedulerDriver> {
  const { flags } = parts.runtime;
  for (const flag of ['scheduler_driver', 'compute_scheduler_driver', 'volume_scheduler_driver'] as const) {
    if (!flags[flag].startsWith('nova.scheduler.vsa.')) continue;
    throw new StartupError(`--${flag}=${flags[flag]}: virtual storage arrays, and their schedulers, are not supported`);
  }
  const factory = await choose<'scheduler_driver', SchedulerDriverFactory>(flags, 'scheduler_driver', {
    ...forInstances,
    multi: () => multi,
  });
  return factory(parts);
}
