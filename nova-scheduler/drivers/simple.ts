import type { Context } from '../../common/context.js';
import { reserveInstanceHost, reserveVolumeHost, type Reservation } from '../../common/db/scheduling.js';
import {
  listComputeByCores,
  listNetworkByNetworks,
  listVolumeByGigabytes,
  type LoadedService,
} from '../../common/db/services.js';
import { NoValidHost } from '../../common/errors.js';
import { ChanceScheduler } from './chance.js';
import type { InstanceRequest, SchedulerDriver, VolumeRequest } from './driver.js';
import { checkForced, forcedHost, isUp, noHost, type DriverParts } from './hosts.js';

/**
 * The least loaded host which is up, by virtual CPUs and by gigabytes of volumes, up to max_cores and max_gigabytes
 * (nova 2011.3, nova/scheduler/simple.py). Writes the host and scheduled_at before the message goes out. A host that is
 * down doesn't count, and schedulers which work at the same time keep the limits together; there they don't.
 */
export class SimpleScheduler implements SchedulerDriver {
  readonly #chance: ChanceScheduler;

  constructor(private readonly parts: DriverParts) {
    this.#chance = new ChanceScheduler(parts);
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
    const room = (host: Candidate): boolean =>
      host.name === instance.host || host.load + (instance.vcpus ?? 0) <= limit;
    return fewThenAll(async (most) => {
      const hosts = this.#usable(await listComputeByCores(db, topic, most), tried);
      return firstWithRoom(hosts.filter(room), (host) => reserve(host, limit), 'All hosts have too many cores');
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
    const room = (host: Candidate): boolean => host.load + (volume.size ?? 0) <= limit;
    return fewThenAll(async (most) => {
      const services = await listVolumeByGigabytes(db, topic, most);
      const hosts = this.#usable(
        services.filter((service) => onlyHost === null || service.host === onlyHost),
        tried,
      );
      return firstWithRoom(
        hosts.filter(room),
        (host) => reserveVolumeHost(db, volume, host, limit),
        'All hosts have too many gigabytes',
      );
    });
  }

  /** Networks for set_network_host (a message of releases before 2011.3) go to the host with the fewest. */
  async place(context: Context, topic: string, tried: ReadonlySet<string>, method?: string): Promise<string> {
    if (method === 'set_network_host') {
      const { db, runtime } = this.parts;
      const hosts = this.#usable(await listNetworkByNetworks(db, topic), tried);
      const free = hosts.find(({ load }) => load < runtime.flags.max_networks);
      if (free === undefined) throw new NoValidHost('All hosts have too many networks');
      return free.name;
    }
    return this.#chance.place(context, topic, tried);
  }

  /** Those which are up and not tried. Throws NoValidHost when there is none. */
  #usable(services: readonly LoadedService[], tried: ReadonlySet<string>): Candidate[] {
    const hosts = services.flatMap((service) =>
      service.host !== null && isUp(this.parts.runtime, service) && !tried.has(service.host)
        ? [{ name: service.host, load: service.load }]
        : [],
    );
    if (hosts.length === 0) throw noHost();
    return hosts;
  }
}

/** A host and what it carries. */
interface Candidate {
  readonly name: string;
  readonly load: number;
}

/** Of thousands of hosts the first so many are read; the others only when none of these will do. */
const few = 100;

/** Tries with the least loaded hosts, and when none of them will do with all. */
async function fewThenAll<T>(place: (most?: number) => Promise<T>): Promise<T> {
  try {
    return await place(few);
  } catch (error) {
    if (!(error instanceof NoValidHost)) throw error;
    return place();
  }
}

/** The first host which can be reserved; null when what it is for doesn't wait any longer. Throws NoValidHost when all are full. */
async function firstWithRoom(
  hosts: readonly Candidate[],
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
