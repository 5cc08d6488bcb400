import { choose } from '../../common/registry.js';
import type { Runtime } from '../../common/runtime/runtime.js';
import type { VirtDriver } from './driver.js';
import { FakeDriver } from './fake/fakeDriver.js';

/**
 * The hypervisor which the flags compute_driver and connection_type choose. Throws StartupError, which names the flag
 * and the values that work, when there is no such driver.
 */
export function createDriver(runtime: Runtime): Promise<VirtDriver> {
  const byConnectionType = (): Promise<VirtDriver> =>
    choose(runtime.flags, 'connection_type', { fake: () => new FakeDriver(runtime) });
  return choose(runtime.flags, 'compute_driver', { connection_type: byConnectionType });
}
