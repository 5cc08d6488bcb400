import type { Context } from '../../common/context.js';
import { listFreeResources } from '../../common/db/computeNodes.js';
import { reserveInstanceHost } from '../../common/db/scheduling.js';
import { NoValidHost, StartupError, errorText } from '../../common/errors.js';
import type { KnownHost } from '../manager/capabilities.js';
import { ChanceScheduler } from './chance.js';
import { costFunctions, weighedSums, type WeighedCost } from './costs.js';
import type { InstanceRequest, SchedulerDriver, VolumeRequest, WeighedHost } from './driver.js';
import { hostFilter, hostFilterNames, memoryTest, type HostTest } from './hostFilters.js';
import { checkForced, forcedHost, type DriverParts } from './hosts.js';
import { LiveHosts } from './liveHosts.js';
import { needOf, needOfSpec, type Need } from './need.js';

/** More hosts than this are no answer to `select`. */
const mostSelected = 1000;

/**
 * Chooses hosts for instances by what the hosts announce of themselves: those with enough free memory, all equally good
 * (nova 2011.3, nova/scheduler/abstract_scheduler.py). The instance's own row is given to the host (there a new one was
 * made, and the API's stayed in scheduling for ever); among equals chance decides (there always the same host won), and what
 * a host was given counts until its next announcement. Everything else than instances goes where chance decides; there it
 * went nowhere.
 */
export class AbstractScheduler implements SchedulerDriver {
  readonly #chance: ChanceScheduler;
  readonly #live: LiveHosts;
  #reading: Promise<void> | null = null;

  constructor(protected readonly parts: DriverParts) {
    this.#chance = new ChanceScheduler(parts);
    this.#live = new LiveHosts(parts);
  }

  /** Writes the host and scheduled_at before the message goes out, so that a repeated message finds the choice. */
  async placeInstance(context: Context, request: InstanceRequest): Promise<string | null> {
    const { instance, waiting, topic, tried } = request;
    const { db, capabilities } = this.parts;
    const forced = forcedHost(context, instance.availability_zone);
    if (forced !== null) await checkForced(this.parts, forced, 'nova-compute', tried, `Host ${forced} is not alive`);
    const need = await needOf(db, instance, request.requestSpec);
    const host = forced ?? (await this.#best(topic, tried, need));
    if ((await reserveInstanceHost(db, instance, waiting, host, null)) !== 'reserved') return null;
    capabilities.consume(topic, host, need);
    return host;
  }

  placeVolume(context: Context, request: VolumeRequest): Promise<string> {
    return this.#chance.placeVolume(context, request);
  }

  place(context: Context, topic: string, tried: ReadonlySet<string>): Promise<string> {
    return this.#chance.place(context, topic, tried);
  }

  /** The hosts for a request, the best first. */
  async select(requestSpec: unknown): Promise<WeighedHost[]> {
    const topic = this.parts.runtime.flags.compute_topic;
    await this.#readRows(topic);
    const hosts = this.parts.capabilities.known(topic, this.test(needOfSpec(requestSpec)));
    const weights = this.weigh(hosts);
    const ranked = hosts
      .map((host, index) => ({ host, weight: weights[index]! }))
      .sort((a, b) => a.weight - b.weight)
      .slice(0, mostSelected)
      .map(({ host, weight }) => ({ weight, hostname: host.host, capabilities: host.service(topic) ?? {} }));
    return ranked;
  }

  /** Whether a host will do for a request; null for one which says nothing of an instance type. */
  protected test(need: Need | null): HostTest {
    return need === null ? () => true : memoryTest(need);
  }

  /** How good each host is, the less the better. */
  protected weigh(hosts: readonly KnownHost[]): number[] {
    return hosts.map(() => 1);
  }

  /**
   * A scheduler which has just started has heard of no host, and would refuse everything for a minute: until the first
   * announcement it goes by what the hosts have written into their compute_nodes rows. One which has none (the fake
   * hypervisor's) is a host without figures: it will do where nothing is asked of them.
   */
  async #readRows(topic: string): Promise<void> {
    const { db, capabilities } = this.parts;
    if (capabilities.knows(topic)) return;
    this.#reading ??= listFreeResources(db, topic)
      .then((rows) => {
        if (capabilities.knows(topic)) return;
        for (const { host, memory_mb: memory, local_gb: disk } of rows) {
          const figures = {
            ...(memory === null ? {} : { host_memory_free: memory * 1024 ** 2 }),
            ...(disk === null ? {} : { disk_available: disk * 1024 ** 3 }),
          };
          capabilities.update(topic, host, figures);
        }
      })
      .finally(() => (this.#reading = null));
    await this.#reading;
  }

  async #best(topic: string, tried: ReadonlySet<string>, need: Need): Promise<string> {
    await this.#readRows(topic);
    const chosen = await this.#live.choose(topic, tried, (live) => {
      const test = this.test(need);
      const hosts = this.parts.capabilities.known(topic, (host) => live.has(host.host) && test(host));
      if (hosts.length === 0) return undefined;
      const weights = this.weigh(hosts);
      const least = weights.reduce((a, b) => Math.min(a, b));
      return this.parts.runtime.random.pick(hosts.filter((_host, index) => weights[index] === least)).host;
    });
    if (chosen === undefined) throw new NoValidHost('No hosts were available');
    return chosen;
  }
}

/** With the host filter of the request or of the flag default_host_filter (nova 2011.3, nova/scheduler/base_scheduler.py). */
export class BaseScheduler extends AbstractScheduler {
  /** Throws StartupError when default_host_filter names no filter. */
  constructor(parts: DriverParts) {
    super(parts);
    const { default_host_filter: name } = parts.runtime.flags;
    try {
      hostFilter(name);
    } catch (error) {
      throw new StartupError(
        `--default_host_filter=${name}: ${errorText(error)} The values which work are ${hostFilterNames.join(', ')}`,
      );
    }
  }

  protected override test(need: Need | null): HostTest {
    if (need === null) return () => true;
    return hostFilter(need.filter ?? this.parts.runtime.flags.default_host_filter)(need);
  }
}

/**
 * With the cost functions of the flag least_cost_scheduler_cost_functions: the host of the least sum gets the instance
 * (nova 2011.3, nova/scheduler/least_cost.py).
 */
export class LeastCostScheduler extends BaseScheduler {
  readonly #costs: readonly WeighedCost[];

  /** Throws StartupError when a cost function or its weight isn't there. */
  constructor(parts: DriverParts) {
    super(parts);
    const { flags } = parts.runtime;
    try {
      this.#costs = costFunctions(flags, flags.compute_topic);
    } catch (error) {
      throw new StartupError(`--least_cost_scheduler_cost_functions: ${errorText(error)}`);
    }
  }

  protected override weigh(hosts: readonly KnownHost[]): number[] {
    return weighedSums(hosts, this.#costs);
  }
}
