import { choose } from '../../common/registry.js';
import { ChanceScheduler } from './chance.js';
import type { SchedulerDriver } from './driver.js';
import type { DriverParts } from './hosts.js';
import { MultiScheduler } from './multi.js';
import { SimpleScheduler } from './simple.js';

/** Makes a driver for one daemon; what a plug-in's default export must be. */
export type SchedulerDriverFactory = (parts: DriverParts) => SchedulerDriver | Promise<SchedulerDriver>;

const chance: SchedulerDriverFactory = (parts) => new ChanceScheduler(parts);
const simple: SchedulerDriverFactory = (parts) => new SimpleScheduler(parts);
const multi: SchedulerDriverFactory = async (parts) => {
  const { flags } = parts.runtime;
  const compute = await choose<'compute_scheduler_driver', SchedulerDriverFactory>(flags, 'compute_scheduler_driver', {
    chance: () => chance,
    simple: () => simple,
  });
  const volume = await choose<'volume_scheduler_driver', SchedulerDriverFactory>(flags, 'volume_scheduler_driver', {
    chance: () => chance,
    simple: () => simple,
  });
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
  const factory = await choose<'scheduler_driver', SchedulerDriverFactory>(parts.runtime.flags, 'scheduler_driver', {
    chance: () => chance,
    simple: () => simple,
    multi: () => multi,
  });
  return factory(parts);
}
