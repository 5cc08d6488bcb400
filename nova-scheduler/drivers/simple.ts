import type { Context } from '../../common/context.js';
import { reserveInstanceHost, reserveVolumeHost, type Reservation } from '../../common/db/scheduling.js';
import { listComputeByCores, listNetworkByNetworks, listVolumeByGigabytes } from '../../common/db/services.js';
import { NoValidHost } from '../../common/errors.js';
import { ChanceScheduler } from './chance.js';
import type { InstanceRequest, SchedulerDriver, VolumeRequest } from './driver.js';
import { checkForced, forcedHost, isUp, noHost, type DriverParts } from './hosts.js';
import { Loads, type Candidate } from './loads.js';

/**
 * The least loaded host which is up, by virtual CPUs and by gigabytes of volumes, up to max_cores and max_gigabytes
 * (nova 2011.3, nova/scheduler/simple.py). Writes the host and scheduled_at before the message goes out. A host that is
 * down doesn't count, and schedulers which work at the same time keep the limits together; there they don't.
 */
export class SimpleScheduler implements SchedulerDriver {
  readonly #chance: ChanceScheduler;
  readonly #cores: Loads;
  readonly #gigabytes: Loads;

  constructor(private readonly parts: DriverParts) {
    this.#chance = new ChanceScheduler(parts);
    const { clock } = parts.runtime;
    this.#cores = new Loads(clock, (topic) => listComputeByCores(parts.db, topic));
    this.#gigabytes = new Loads(clock, (topic) => listVolumeByGigabytes(parts.db, topic));
  }

  async placeInstance(context: Context, request: InstanceRequest): Promise<string | null> {
    const { instance, waiting, topic, tried } = request;
    const { db, runtime } = this.parts;
    const reserve = (host: string, limit: number | null): Promise<Reservation> =>
      reserveInstanceHost(db, instance, waiting, host, limit);
    const forced = forcedHost(context, instance.availability_zone);
    if (forced !== null) {
      await checkForced(this.parts, forced, 'nova-compute', tried, `Host ${forced} is not alive`);
      return (await reserve(forced, null)) === 'reserved' ? forced : null;
    }
    const limit = runtime.flags.max_cores;
    const room = (host: LoadedHost): boolean =>
      host.name === instance.host || host.load + (instance.vcpus ?? 0) <= limit;
    const need = instance.vcpus ?? 0;
    return recentThenFresh(async (fresh) => {
      const hosts = this.#usable(await this.#cores.list(topic, fresh), tried).filter(room);
      const attempt = counted(this.#cores, topic, need, (host) => reserve(host, limit));
      return firstWithRoom(hosts, attempt, 'All hosts have too many cores');
    });
  }

  async placeVolume(context: Context, request: VolumeRequest): Promise<string | null> {
    const { volume, topic, tried, onlyHost } = request;
    const { db, runtime } = this.parts;
    const forced = forcedHost(context, volume.availability_zone);
    if (forced !== null) {
      await checkForced(this.parts, forced, 'nova-volume', tried, `Host ${forced} not available`);
      return (await reserveVolumeHost(db, volume, forced, null)) === 'reserved' ? forced : null;
    }
    const limit = runtime.flags.max_gigabytes;
    const room = (host: LoadedHost): boolean => host.load + (volume.size ?? 0) <= limit;
    const need = volume.size ?? 0;
    return recentThenFresh(async (fresh) => {
      const all = await this.#gigabytes.list(topic, fresh);
      const eligible = all.filter(({ service }) => onlyHost === null || service.host === onlyHost);
      const hosts = this.#usable(eligible, tried).filter(room);
      const attempt = counted(this.#gigabytes, topic, need, (host) => reserveVolumeHost(db, volume, host, limit));
      return firstWithRoom(hosts, attempt, 'All hosts have too many gigabytes');
    });
  }

  /** Networks for set_network_host (a message of releases before 2011.3) go to the host with the fewest. */
  async place(context: Context, topic: string, tried: ReadonlySet<string>, method?: string): Promise<string> {
    if (method === 'set_network_host') {
      const { db, runtime } = this.parts;
      const services = await listNetworkByNetworks(db, topic);
      const hosts = this.#usable(
        services.map((service) => ({ service, load: service.load })),
        tried,
      );
      const free = hosts.find(({ load }) => load < runtime.flags.max_networks);
      if (free === undefined) throw new NoValidHost('All hosts have too many networks');
      return free.name;
    }
    return this.#chance.place(context, topic, tried);
  }

  /** Those which are up and not tried. Throws NoValidHost when there is none. */
  #usable(candidates: readonly Candidate[], tried: ReadonlySet<string>): LoadedHost[] {
    const hosts = candidates.flatMap(({ service, load }) =>
      service.host !== null && isUp(this.parts.runtime, service) && !tried.has(service.host)
        ? [{ name: service.host, load }]
        : [],
    );
    if (hosts.length === 0) throw noHost();
    return hosts;
  }
}

/** A host and what it carries. */
interface LoadedHost {
  readonly name: string;
  readonly load: number;
}

/** Tries with the hosts as they were a moment ago, and when none of them will do as they are. */
async function recentThenFresh<T>(place: (fresh: boolean) => Promise<T>): Promise<T> {
  try {
    return await place(false);
  } catch (error) {
    if (!(error instanceof NoValidHost)) throw error;
    return place(true);
  }
}

/** An attempt which counts from its beginning, so that those which come meanwhile choose another host. */
function counted(
  loads: Loads,
  topic: string,
  need: number,
  attempt: (host: string) => Promise<Reservation>,
): (host: string) => Promise<Reservation> {
  return async (host) => {
    loads.add(topic, host, need);
    let reservation: Reservation | undefined;
    try {
      return (reservation = await attempt(host));
    } finally {
      if (reservation !== 'reserved') loads.add(topic, host, -need);
    }
  };
}

/** The first host which can be reserved; null when what it is for doesn't wait any longer. Throws NoValidHost when all are full. */
async function firstWithRoom(
  hosts: readonly LoadedHost[],
  reserve: (host: string) => Promise<Reservation>,
  refusal: string,
): Promise<string | null> {
  for (const { name } of hosts) {
    const reservation = await reserve(name);
    if (reservation === 'reserved') return name;
    if (reservation === 'gone') return null;
  }
  throw new NoValidHost(refusal);
}
