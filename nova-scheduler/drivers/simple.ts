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
    const need = instance.vcpus ?? 0;
    const rules = {
      isEligible: (host: string) => !tried.has(host),
      hasRoom: ({ host, load }: Candidate) => host === instance.host || load + need <= limit,
      refusal: 'All hosts have too many cores',
    };
    const attempt = counted(this.#cores, topic, need, (host) => reserve(host, limit));
    return recentThenFresh(async (fresh) =>
      this.#firstWithRoom({ ...rules, hosts: await this.#cores.list(topic, fresh) }, attempt),
    );
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
    const need = volume.size ?? 0;
    const rules = {
      isEligible: (host: string) => (onlyHost === null || host === onlyHost) && !tried.has(host),
      hasRoom: ({ load }: Candidate) => load + need <= limit,
      refusal: 'All hosts have too many gigabytes',
    };
    const attempt = counted(this.#gigabytes, topic, need, (host) => reserveVolumeHost(db, volume, host, limit));
    return recentThenFresh(async (fresh) =>
      this.#firstWithRoom({ ...rules, hosts: await this.#gigabytes.list(topic, fresh) }, attempt),
    );
  }

  /** Networks for set_network_host (a message of releases before 2011.3) go to the host with the fewest. */
  async place(context: Context, topic: string, tried: ReadonlySet<string>, method?: string): Promise<string> {
    if (method === 'set_network_host') {
      const { db, runtime } = this.parts;
      const services = await listNetworkByNetworks(db, topic);
      const hosts = services.flatMap((service) =>
        service.host !== null && isUp(runtime, service) && !tried.has(service.host)
          ? [{ host: service.host, load: service.load }]
          : [],
      );
      if (hosts.length === 0) throw noHost();
      const free = hosts.find(({ load }) => load < runtime.flags.max_networks);
      if (free === undefined) throw new NoValidHost('All hosts have too many networks');
      return free.host;
    }
    return this.#chance.place(context, topic, tried);
  }

  /**
   * Reserves the least loaded host which is up, eligible and has room, of equals the one with the older service; the next
   * one when somebody else was quicker. Null when what it is for doesn't wait any longer. Throws NoValidHost when no host
   * is up, or all are full.
   */
  async #firstWithRoom(choice: Choice, reserve: (host: string) => Promise<Reservation>): Promise<string | null> {
    const { clock, flags } = this.parts.runtime;
    const refused = new Set<string>();
    for (;;) {
      const seenSince = clock.now() - flags.service_down_time * 1000;
      let isAnyUp = false;
      let best: Candidate | undefined;
      for (const candidate of choice.hosts) {
        if (!(candidate.seenAt > seenSince) || !choice.isEligible(candidate.host)) continue;
        isAnyUp = true;
        if (best !== undefined && candidate.load >= best.load) continue;
        if (choice.hasRoom(candidate) && !refused.has(candidate.host)) best = candidate;
      }
      if (!isAnyUp) throw noHost();
      if (best === undefined) throw new NoValidHost(choice.refusal);
      const reservation = await reserve(best.host);
      if (reservation === 'reserved') return best.host;
      if (reservation === 'gone') return null;
      refused.add(best.host);
    }
  }
}

/** What a host is chosen from. */
interface Choice {
  readonly hosts: readonly Candidate[];
  isEligible(host: string): boolean;
  hasRoom(candidate: Candidate): boolean;
  /** Why none was found, when all are full. */
  readonly refusal: string;
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
