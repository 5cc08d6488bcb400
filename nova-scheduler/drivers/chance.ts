import type { Context } from '../../common/context.js';
import { hasRoomFor } from '../../common/db/computeNodes.js';
import type { InstanceRow } from '../../common/db/rows.js';
import type { InstanceRequest, SchedulerDriver, VolumeRequest } from './driver.js';
import { checkForced, forcedHost, noHost, type DriverParts } from './hosts.js';
import { LiveHosts, type Candidates } from './liveHosts.js';

/** So many hosts are looked at for one which has room; each look is a query. */
const mostLooks = 5;

/**
 * Any host which is up, by chance (nova 2011.3, nova/scheduler/chance.py). Writes nothing: the host which takes the
 * message writes its name. Unlike there an administrator may force a host, and a host whose memory or disk is given away
 * gets an instance only when none with room was found.
 */
export class ChanceScheduler implements SchedulerDriver {
  readonly #live: LiveHosts;

  constructor(private readonly parts: DriverParts) {
    this.#live = new LiveHosts(parts);
  }

  async placeInstance(context: Context, request: InstanceRequest): Promise<string> {
    const { instance, topic, tried } = request;
    const forced = forcedHost(context, instance.availability_zone);
    if (forced === null) return this.#pickWithRoom(topic, tried, instance);
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

  async #pickWithRoom(topic: string, tried: ReadonlySet<string>, instance: InstanceRow): Promise<string> {
    const first = await this.#pick(topic, tried, null);
    const full = new Set(tried);
    let host: string | undefined = first;
    for (let look = 0; look < mostLooks && host !== undefined; look += 1) {
      if (await hasRoomFor(this.parts.db, host, instance)) return host;
      full.add(host);
      host = await this.#live.choose(topic, full, (hosts) => this.#anyOf(hosts));
    }
    return first;
  }

  #anyOf(hosts: Candidates): string | undefined {
    const all = hosts.all();
    return all.length === 0 ? undefined : this.parts.runtime.random.pick(all).host;
  }

  async #pick(topic: string, tried: ReadonlySet<string>, only: string | null): Promise<string> {
    const host = await this.#live.choose(topic, tried, (hosts) => {
      if (only !== null) return hosts.has(only) ? only : undefined;
      return this.#anyOf(hosts);
    });
    if (host === undefined) throw noHost();
    return host;
  }
}
