import type { Context } from '../../common/context.js';
import type { InstanceRequest, SchedulerDriver, VolumeRequest } from './driver.js';
import { checkForced, forcedHost, hostsUp, noHost, type DriverParts } from './hosts.js';

/**
 * Any host which is up, by chance (nova 2011.3, nova/scheduler/chance.py). Writes nothing: the host which takes the
 * message writes its name. Unlike there an administrator may force a host.
 */
export class ChanceScheduler implements SchedulerDriver {
  constructor(private readonly parts: DriverParts) {}

  async placeInstance(context: Context, request: InstanceRequest): Promise<string> {
    const { instance, topic, tried } = request;
    const forced = forcedHost(context, instance.availability_zone);
    if (forced === null) return this.place(context, topic, tried);
    await checkForced(this.parts, forced, 'nova-compute', tried, `Host ${forced} is not alive`);
    return forced;
  }

  async placeVolume(context: Context, request: VolumeRequest): Promise<string> {
    const { volume, topic, tried, onlyHost } = request;
    const forced = forcedHost(context, volume.availability_zone);
    if (forced !== null) {
      await checkForced(this.parts, forced, 'nova-volume', tried, `Host ${forced} not available`);
      return forced;
    }
    const hosts = await hostsUp(this.parts, topic, tried);
    return this.#pick(onlyHost === null ? hosts : hosts.filter((host) => host === onlyHost));
  }

  async place(_context: Context, topic: string, tried: ReadonlySet<string>): Promise<string> {
    return this.#pick(await hostsUp(this.parts, topic, tried));
  }

  #pick(hosts: readonly string[]): string {
    if (hosts.length === 0) throw noHost();
    return this.parts.runtime.random.pick(hosts);
  }
}
