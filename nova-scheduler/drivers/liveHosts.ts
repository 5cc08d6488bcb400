import { findService, listServicesByTopic } from '../../common/db/services.js';
import type { DriverParts } from './hosts.js';
import { isUp } from './hosts.js';

/** Milliseconds for which a list is good enough to choose from; the choice itself is looked up. */
const freshMs = 1000;

/** A host of a topic which may be given work. */
export interface LiveHost {
  readonly host: string;
  readonly zone: string | null;
}

/** What a choice is made from. */
export interface Candidates {
  has(host: string): boolean;
  /** All of them, by the age of their rows. */
  all(): readonly LiveHost[];
}

/** The hosts of a topic at a time. */
interface Snapshot {
  readonly hosts: readonly LiveHost[];
  readonly names: ReadonlySet<string>;
}

/**
 * The hosts of each topic which are up and not disabled. Reading the services of ten thousand hosts for each of a hundred
 * decisions a second would be a million rows a second: the list is read at most once a second, and the one host which was
 * chosen is looked up.
 */
export class LiveHosts {
  readonly #snapshots = new Map<string, { readAt: number; snapshot: Promise<Snapshot> }>();

  constructor(private readonly parts: DriverParts) {}

  /**
   * What `choose` makes of the hosts of a topic, without those `tried`: it answers one of them, or undefined when none will
   * do. That is asked again with a list which is read anew before undefined is answered.
   */
  async choose(
    topic: string,
    tried: ReadonlySet<string>,
    choose: (hosts: Candidates) => string | undefined,
  ): Promise<string | undefined> {
    const out = new Set(tried);
    for (let fresh = false; ;) {
      const { hosts, names } = await this.#at(topic, fresh);
      const chosen = choose({
        has: (host) => names.has(host) && !out.has(host),
        all: () => (out.size === 0 ? hosts : hosts.filter(({ host }) => !out.has(host))),
      });
      if (chosen === undefined && fresh) return undefined;
      if (chosen === undefined) fresh = true;
      else if (await this.#isLive(topic, chosen)) return chosen;
      else out.add(chosen);
    }
  }

  /** The hosts as they were within the last second, or as they are. */
  #at(topic: string, fresh: boolean): Promise<Snapshot> {
    const now = this.parts.runtime.clock.now();
    const known = this.#snapshots.get(topic);
    if (known !== undefined && !fresh && now - known.readAt < freshMs) return known.snapshot;
    const snapshot = this.#read(topic);
    this.#snapshots.set(topic, { readAt: now, snapshot });
    snapshot.catch(() => this.#snapshots.delete(topic));
    return snapshot;
  }

  async #read(topic: string): Promise<Snapshot> {
    const services = await listServicesByTopic(this.parts.db, topic);
    const hosts = services.flatMap((service) =>
      service.host !== null && isUp(this.parts.runtime, service)
        ? [{ host: service.host, zone: service.availability_zone }]
        : [],
    );
    return { hosts, names: new Set(hosts.map(({ host }) => host)) };
  }

  async #isLive(topic: string, host: string): Promise<boolean> {
    const service = await findService(this.parts.db, host, `nova-${topic}`);
    // a topic of another name than its program: the list has to do
    if (service === undefined || service.topic !== topic) return (await this.#at(topic, true)).names.has(host);
    return service.disabled !== true && isUp(this.parts.runtime, service);
  }
}
