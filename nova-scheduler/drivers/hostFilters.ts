import { SchedulerHostFilterNotFound } from '../../common/errors.js';
import type { KnownHost } from '../manager/capabilities.js';
import { compileQuery } from './jsonQuery.js';
import type { Need } from './need.js';

/** Whether a host will do; made once for a request. */
export type HostTest = (host: KnownHost) => boolean;

const bytesOfMegabyte = 1024 ** 2;
const bytesOfGigabyte = 1024 ** 3;

/** A figure of nova-compute's announcements. Not a number: NaN, which is less and more than nothing. */
export function computeFigure(host: KnownHost, name: string): number {
  const value = host.service('compute')?.[name];
  return typeof value === 'number' ? value : NaN;
}

/** As much free memory as the instance has (nova 2011.3, nova/scheduler/abstract_scheduler.py). */
export function memoryTest({ memoryMb }: Need): HostTest {
  const least = memoryMb * bytesOfMegabyte;
  return (host) => computeFigure(host, 'host_memory_free') >= least;
}

/**
 * The host filters which the flag default_host_filter, or a request, names (nova 2011.3, nova/scheduler/host_filter.py).
 * Memory and disk are compared in bytes, which is what hosts announce; there megabytes were compared with bytes, so that
 * every host passed.
 */
const filters: Readonly<Record<string, (need: Need) => HostTest>> = {
  /** Every host which was heard of. */
  AllHostsFilter: () => () => true,
  /** Memory and disk, and each extra_spec of the instance type is what the host says under that name. */
  InstanceTypeFilter: (need) => {
    const memory = memoryTest(need);
    const disk = need.localGb * bytesOfGigabyte;
    const specs = Object.entries(need.extraSpecs);
    return (host) => {
      if (!memory(host) || !(computeFigure(host, 'disk_available') >= disk)) return false;
      const said = host.service('compute') ?? {};
      return specs.every(([name, value]) => Object.hasOwn(said, name) && String(said[name]) === value);
    };
  },
  /** A query of the JSON kind, here made of memory and disk. */
  JsonFilter: (need) =>
    compileQuery([
      'and',
      ['>=', '$compute.host_memory_free', need.memoryMb * bytesOfMegabyte],
      ['>=', '$compute.disk_available', need.localGb * bytesOfGigabyte],
    ]),
};

/** The names of the filters which there are. */
export const hostFilterNames: readonly string[] = Object.keys(filters);

/** A filter by the name of its class, with or without its module. Throws SchedulerHostFilterNotFound. */
export function hostFilter(name: string): (need: Need) => HostTest {
  const short = name.slice(name.lastIndexOf('.') + 1);
  const filter = Object.hasOwn(filters, short) ? filters[short] : undefined;
  if (filter === undefined) throw new SchedulerHostFilterNotFound(name.slice(0, 100));
  return filter;
}
