import type { Context } from '../../common/context.js';
import { PythonError } from '../../common/errors.js';
import type { InstanceRequest, SchedulerDriver, VolumeRequest, WeighedHost } from './driver.js';

/** One driver for instances and another for volumes (nova 2011.3, nova/scheduler/multi.py), the default. */
export class MultiScheduler implements SchedulerDriver {
  constructor(
    private readonly compute: SchedulerDriver,
    private readonly volume: SchedulerDriver,
    private readonly topics: { readonly compute: string; readonly volume: string },
  ) {}

  placeInstance(context: Context, request: InstanceRequest): Promise<string | null> {
    return this.compute.placeInstance(context, request);
  }

  placeVolume(context: Context, request: VolumeRequest): Promise<string | null> {
    return this.volume.placeVolume(context, request);
  }

  /** As there, messages of other topics than compute and volume find no driver: KeyError. */
  async place(context: Context, topic: string, tried: ReadonlySet<string>, method?: string): Promise<string> {
    if (topic === this.topics.compute) return this.compute.place(context, topic, tried, method);
    if (topic === this.topics.volume) return this.volume.place(context, topic, tried, method);
    throw new PythonError('KeyError', `u'${topic}'`);
  }

  /** That of the driver for instances, where it weighs hosts (there never). */
  async select(requestSpec: unknown): Promise<WeighedHost[]> {
    if (this.compute.select !== undefined) return this.compute.select(requestSpec);
    throw new PythonError('AttributeError', `'${this.constructor.name}' object has no attribute 'select'`);
  }
}
