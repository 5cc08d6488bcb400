import type { Clock } from '../../common/runtime/runtime.js';

/** What a service of a host said of itself, and when. */
interface Entry {
  readonly capabilities: Readonly<Record<string, unknown>>;
  readonly heardAt: number;
}

/** Anybody on the bus can announce hosts; more than this are not remembered. */
const mostEntries = 10_000;

/**
 * What the hosts' periodic announcements say (nova 2011.3, nova/scheduler/zone_manager.py): in memory only, the newest of
 * each host and service; of too many the oldest go.
 */
export class Capabilities {
  readonly #byHost = new Map<string, Map<string, Entry>>();
  #count = 0;

  /** `expirySeconds`: what is older says nothing about the cloud any more (there 3 × periodic_interval). */
  constructor(
    private readonly clock: Clock,
    private readonly expirySeconds: number,
  ) {}

  /** Takes an announcement. What is not an object is none. */
  update(service: string, host: string, capabilities: unknown): void {
    if (typeof capabilities !== 'object' || capabilities === null || Array.isArray(capabilities)) return;
    let services = this.#byHost.get(host);
    if (services === undefined) this.#byHost.set(host, (services = new Map()));
    if (!services.has(service)) this.#count += 1;
    services.set(service, { capabilities: { ...capabilities }, heardAt: this.clock.now() });
    if (this.#count > mostEntries) this.#dropOldest();
  }

  /** Every service of every host that has been heard of. */
  hosts(): { service: string; host_name: string }[] {
    return [...this.#byHost].flatMap(([host, services]) =>
      [...services.keys()].map((service) => ({ service, host_name: host })),
    );
  }

  /**
   * The smallest and largest value of each capability over all hosts, by `<service>_<capability>`. Services which say
   * `enabled: false` don't count, nor does what is older than the expiry, which is also forgotten here.
   */
  summary(): Record<string, [unknown, unknown]> {
    const oldest = this.clock.now() - this.expirySeconds * 1000;
    const summary = new Map<string, [unknown, unknown]>();
    for (const [host, services] of this.#byHost) {
      for (const [service, { capabilities, heardAt }] of services) {
        if (heardAt < oldest) {
          this.#forget(host, service);
          continue;
        }
        if (capabilities['enabled'] === false) continue;
        for (const [name, value] of Object.entries(capabilities)) {
          const key = `${service}_${name}`;
          const [low, high] = summary.get(key) ?? [value, value];
          summary.set(key, [compare(value, low) < 0 ? value : low, compare(value, high) > 0 ? value : high]);
        }
      }
    }
    return Object.fromEntries(summary);
  }

  #dropOldest(): void {
    let oldest: { host: string; service: string; heardAt: number } | undefined;
    for (const [host, services] of this.#byHost) {
      for (const [service, { heardAt }] of services) {
        if (oldest === undefined || heardAt < oldest.heardAt) oldest = { host, service, heardAt };
      }
    }
    if (oldest !== undefined) this.#forget(oldest.host, oldest.service);
  }

  #forget(host: string, service: string): void {
    const services = this.#byHost.get(host);
    if (services?.delete(service) !== true) return;
    this.#count -= 1;
    if (services.size === 0) this.#byHost.delete(host);
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
