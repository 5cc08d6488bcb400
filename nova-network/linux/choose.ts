import { StartupError } from '../../common/errors.js';
import { choose } from '../../common/registry.js';
import type { Runtime } from '../../common/runtime/runtime.js';
import type { NetworkDriver } from './driver.js';
import { FakeNetworkDriver } from './fake.js';

/**
 * The host side which the flags network_driver and fake_network choose. Throws StartupError which names the flag: there
 * is no driver yet which touches a host.
 */
export function chooseNetworkDriver(runtime: Runtime): Promise<NetworkDriver> {
  const { flags } = runtime;
  return choose<'network_driver', NetworkDriver>(flags, 'network_driver', {
    linux: () => {
      if (flags.fake_network) return new FakeNetworkDriver(runtime.log.logger('nova.network.linux_net'));
      throw new StartupError(
        '--fake_network=false: there is no driver for the networks of a host yet; the value which works is --fake_network',
      );
    },
  });
}
