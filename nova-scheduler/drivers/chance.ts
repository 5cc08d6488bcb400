import type { Context } from '../../common/context.js';
import type { InstanceRequest, SchedulerDriver, VolumeRequest } from './driver.js';
import { checkForced, forcedHost, noHost, type DriverParts } from './hosts.js';
import { LiveHosts } from './liveHosts.js';

/**
 * Any host which is up, by chance (nova 2011.3, nova/scheduler/chance.py). Writes nothing: the host which takes the
 * message writes its name. Unlike there an administrator may force a host.
 */
export class ChanceScheduler implements SchedulerDriver {
  readonly #live: LiveHosts;

  constructor(private readonly parts: DriverParts) {
    this.#live = new LiveHosts(parts);
  }

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
    return this.#pick(topic, tried, onlyHost);
  }

  async place(_context: Context, topic: string, tried: ReadonlySet<string>): Promise<string> {
    return this.#pick(topic, tried, null);
  }

  async #pick(topic: string, tried: ReadonlySet<string>, only: string | null): Promise<string> {
    const host = await this.#live.choose(topic, tried, (hosts) => {
      if (only !== null) return hosts.has(only) ? only : undefined;
      const all = hosts.all();
      return all.length === 0 ? undefined : this.parts.runtime.random.pick(all).host;
    });
    if (host === undefined) throw noHost();
    return host;
  }
}
