import type { Context } from '../context.js';
import type { ServiceRow } from '../db/rows.js';
import { listServices, serviceIsUp } from '../db/services.js';
import { pythonTime } from '../time.js';
import type { CloudParts } from './parts.js';

/** An availability zone, or a line about one of its hosts or services. */
export interface Zone {
  name: string;
  state: string;
}

/** Where a region's EC2 API is. */
export interface Region {
  name: string;
  endpoint: string;
}

/** Availability zones, which are made of the services in them, and regions, which are made of flags. */
export class Zones {
  constructor(private readonly parts: CloudParts) {}

  /** The zones: `available` where a service is enabled, else `not available`; in the order of their first service. */
  async list(): Promise<Zone[]> {
    const services = await listServices(this.parts.db);
    const enabled = zoneNames(services.filter((service) => !service.disabled));
    const disabled = zoneNames(services.filter((service) => service.disabled)).filter(
      (name) => !enabled.includes(name),
    );
    return [
      ...enabled.map((name) => ({ name, state: 'available' })),
      ...disabled.map((name) => ({ name, state: 'not available' })),
    ];
  }

  /**
   * What administrators get to see instead: zone `nova`, below it each host with an enabled service, below that its
   * services and whether they are up (nova 2011.3, nova/api/ec2/cloud.py _describe_availability_zones_verbose). Others
   * get {@link list}.
   */
  async listVerbose(context: Context): Promise<Zone[]> {
    if (!context.isAdmin) return this.list();
    const { clock, flags } = this.parts.runtime;
    const now = clock.now();
    const byHost = new Map<string, ServiceRow[]>();
    for (const service of await listServices(this.parts.db)) {
      if (service.disabled || service.host === null) continue;
      byHost.set(service.host, [...(byHost.get(service.host) ?? []), service]);
    }
    const lines: Zone[] = [{ name: 'nova', state: 'available' }];
    for (const [host, services] of byHost) {
      lines.push({ name: `|- ${host}`, state: '' });
      for (const service of services) {
        const face = serviceIsUp(service, now, flags.service_down_time) ? ':-)' : 'XXX';
        lines.push({
          name: `| |- ${service.binary}`,
          state: `enabled ${face} ${pythonTime(service.updated_at) ?? 'None'}`,
        });
      }
    }
    return lines;
  }

  /** The regions of the flag region_list (`name=host`); without it one, `nova`, at ec2_host. */
  regions(): Region[] {
    const { flags } = this.parts.runtime;
    const endpoint = (host: string): string => `${flags.ec2_scheme}://${host}:${flags.ec2_port}${flags.ec2_path}`;
    if (flags.region_list.length === 0) return [{ name: 'nova', endpoint: endpoint(flags.ec2_host) }];
    return flags.region_list.map((item) => {
      const separator = item.indexOf('=');
      const [name, host] =
        separator < 0 ? [item, flags.ec2_host] : [item.slice(0, separator), item.slice(separator + 1)];
      return { name: name.trim(), endpoint: endpoint(host.trim()) };
    });
  }
}

function zoneNames(services: readonly ServiceRow[]): string[] {
  return [
    ...new Set(services.flatMap((service) => (service.availability_zone === null ? [] : [service.availability_zone]))),
  ];
}
