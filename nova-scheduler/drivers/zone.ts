import type { Context } from '../../common/context.js';
import { ChanceScheduler } from './chance.js';
import type { InstanceRequest, SchedulerDriver, VolumeRequest } from './driver.js';
import { checkForced, forcedHost, noHost, type DriverParts } from './hosts.js';
import { LiveHosts } from './liveHosts.js';

/**
 * By chance any host which is up and in the availability zone that was asked for; without one any (nova 2011.3,
 * nova/scheduler/zone.py). The zone is what the host's services row says. Volumes go anywhere, as there: their messages
 * name no zone.
 */
export class ZoneScheduler implements SchedulerDriver {
  readonly #chance: ChanceScheduler;
  readonly #live: LiveHosts;

  constructor(private readonly parts: DriverParts) {
    this.#chance = new ChanceScheduler(parts);
    this.#live = new LiveHosts(parts);
  }

  async placeInstance(context: Context, request: InstanceRequest): Promise<string> {
    const { instance, topic, tried } = request;
    const forced = forcedHost(context, instance.availability_zone);
    if (forced !== null) {
      await checkForced(this.parts, forced, 'nova-compute', tried, `Host ${forced} is not alive`);
      return forced;
    }
    // a message of start_instance has none: the instance stays in the zone which it was made for
    const zone = (request.availabilityZone ?? instance.availability_zone)?.split(':')[0] || null;
    const host = await this.#live.choose(topic, tried, (hosts) => {
      const near = zone === null ? hosts.all() : hosts.all().filter((one) => one.zone === zone);
      return near.length === 0 ? undefined : this.parts.runtime.random.pick(near).host;
    });
    if (host === undefined) throw noHost();
    return host;
  }

  placeVolume(context: Context, request: VolumeRequest): Promise<string> {
    return this.#chance.placeVolume(context, request);
  }

  place(context: Context, topic: string, tried: ReadonlySet<string>): Promise<string> {
    return this.#chance.place(context, topic, tried);
  }
}
