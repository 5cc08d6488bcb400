import { choose } from '../../common/registry.js';
import type { Runtime } from '../../common/runtime/runtime.js';
import type { VolumeDriver } from './driver.js';
import { FakeVolumeDriver } from './fake.js';

/** Makes a driver for one daemon; what a plug-in's default export must be. */
export type VolumeDriverFactory = (runtime: Runtime) => VolumeDriver | Promise<VolumeDriver>;

const fake: VolumeDriverFactory = (runtime) => new FakeVolumeDriver(runtime);

/** The driver which the flag volume_driver names. Throws StartupError which lists the values that work. */
export async function chooseVolumeDriver(runtime: Runtime): Promise<VolumeDriver> {
  const factory = await choose<'volume_driver', VolumeDriverFactory>(runtime.flags, 'volume_driver', {
    fake: () => fake,
  });
  return factory(runtime);
}
