import type { Clock } from '../../common/runtime/runtime.js';

/** What a service of a host said of itself, and when. */
interface Entry {
  capabilities: Readonly<Record<string, unknown>>;
  readonly heardAt: number;
}

/** A host as its announcements describe it. */
export interface KnownHost {
  readonly host: string;
  /** What one of its services says; undefined when that has said nothing for too long. */
  service(name: string): Readonly<Record<string, unknown>> | undefined;
}

/** Anybody on the bus can announce hosts; when these are more hosts, or one has more services, the rest is forgotten. */
const mostHosts = 20_000;
const mostServices = 16;
/** Figures of one service; an announcement of more is none. */
const mostFigures = 256;
const bytesOfMegabyte = 1024 ** 2;
const bytesOfGigabyte = 1024 ** 3;

/** One host; it lives as long as it is remembered, so that a decision makes no objects for ten thousand hosts. */
class Host implements KnownHost {
  readonly services = new Map<string, Entry>();

  constructor(
    readonly host: string,
    private readonly horizon: { oldest: number },
  ) {}

  service(name: string): Entry['capabilities'] | undefined {
    const said = this.services.get(name);
    return said === undefined || said.heardAt < this.horizon.oldest ? undefined : said.capabilities;
  }
}

/**
 * What the hosts' periodic announcements say (nova 2011.3, nova/scheduler/zone_manager.py): in memory only, the newest of
 * each host and service; of too many hosts those go which have been silent the longest.
 */
export class Capabilities {
  /** In the order of their newest announcements. */
  readonly #byHost = new Map<string, Host>();
  /** What was heard before `oldest` (milliseconds since the epoch) says nothing any more. */
  readonly #horizon = { oldest: -Infinity };

  /** `expirySeconds`: what is older says nothing about the cloud any more (there 3 × periodic_interval). */
  constructor(
    private readonly clock: Clock,
    private readonly expirySeconds: number,
  ) {}

  /** Takes an announcement. What is not an object is none. */
  update(service: string, host: string, capabilities: unknown): void {
    if (typeof capabilities !== 'object' || capabilities === null || Array.isArray(capabilities)) return;
    if (Object.keys(capabilities).length > mostFigures) return;
    const known = this.#byHost.get(host) ?? new Host(host, this.#horizon);
    if (!known.services.has(service) && known.services.size >= mostServices) return;
    known.services.set(service, { capabilities: { ...capabilities }, heardAt: this.clock.now() });
    this.#byHost.delete(host);
    this.#byHost.set(host, known);
    if (this.#byHost.size > mostHosts) this.#byHost.delete(this.#byHost.keys().next().value!);
  }

  /** Every service of every host that has been heard of. */
  hosts(): { service: string; host_name: string }[] {
    return [...this.#byHost].flatMap(([host, { services }]) =>
      [...services.keys()].map((service) => ({ service, host_name: host })),
    );
  }

  /** The hosts which pass a test and of which a service was heard lately and doesn't say `enabled: false`, the most silent first. */
  known(service: string, test: (host: KnownHost) => boolean = () => true): KnownHost[] {
    this.#look();
    const known: KnownHost[] = [];
    for (const host of this.#byHost.values()) {
      const said = host.service(service);
      if (said !== undefined && said['enabled'] !== false && test(host)) known.push(host);
    }
    return known;
  }

  /** Whether any host was heard lately of which a service is known. */
  knows(service: string): boolean {
    this.#look();
    for (const host of this.#byHost.values()) if (host.service(service) !== undefined) return true;
    return false;
  }

  /**
   * An instance was given to a host: until that says itself how much it has left, it has so much less. Otherwise all
   * instances of a minute would go to the same host.
   */
  consume(service: string, host: string, need: { memoryMb: number; localGb: number }): void {
    const entry = this.#byHost.get(host)?.services.get(service);
    if (entry === undefined) return;
    const less = (name: string, bytes: number): Record<string, number> => {
      const had = entry.capabilities[name];
      return typeof had === 'number' ? { [name]: had - bytes } : {};
    };
    entry.capabilities = {
      ...entry.capabilities,
      ...less('host_memory_free', need.memoryMb * bytesOfMegabyte),
      ...less('disk_available', need.localGb * bytesOfGigabyte),
    };
  }

  /**
   * The smallest and largest value of each capability over all hosts, by `<service>_<capability>`. Services which say
   * `enabled: false` don't count, nor does what is older than the expiry, which is also forgotten here.
   */
  summary(): Record<string, [unknown, unknown]> {
    const oldest = this.#look();
    const summary = new Map<string, [unknown, unknown]>();
    for (const [host, { services }] of this.#byHost) {
      for (const [service, { capabilities, heardAt }] of services) {
        if (heardAt < oldest) {
          services.delete(service);
          continue;
        }
        if (capabilities['enabled'] === false) continue;
        for (const [name, value] of Object.entries(capabilities)) {
          const key = `${service}_${name}`;
          const [low, high] = summary.get(key) ?? [value, value];
          summary.set(key, [compare(value, low) < 0 ? value : low, compare(value, high) > 0 ? value : high]);
        }
      }
      if (services.size === 0) this.#byHost.delete(host);
    }
    return Object.fromEntries(summary);
  }

  /** Moves the horizon to now. */
  #look(): number {
    this.#horizon.oldest = this.clock.now() - this.expirySeconds * 1000;
    return this.#horizon.oldest;
  }
}

/** As Python 2 orders values: null, numbers, and other kinds by their name; objects and lists of one kind are equal. */
function compare(a: unknown, b: unknown): number {
  if (rank(a) !== rank(b)) return rank(a) - rank(b);
  if (typeof a === 'number' || typeof a === 'boolean') return Number(a) - Number(b);
  if (typeof a === 'string' && typeof b === 'string') return a < b ? -1 : a > b ? 1 : 0;
  return 0;
}

function rank(value: unknown): number {
  if (value === null || value === undefined) return 0;
  if (typeof value === 'number' || typeof value === 'boolean') return 1;
  if (typeof value === 'string') return 4;
  return Array.isArray(value) ? 3 : 2;
}
