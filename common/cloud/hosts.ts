import type { Context } from '../context.js';
import { countByHost } from '../db/hosts.js';
import { listServices, serviceIsUp } from '../db/services.js';
import type { CloudParts } from './parts.js';
import { requireAdmin } from './requireAdmin.js';

/** A host on which services run, and what it carries. */
export interface Host {
  readonly name: string;
  readonly zone: string | null;
  readonly instances: number;
  readonly volumes: number;
  /** Whether its nova-compute is up; undefined when it has none. */
  readonly compute: boolean | undefined;
  /** Whether its nova-volume is up; undefined when it has none. */
  readonly volume: boolean | undefined;
}

/** The hosts of the cloud, which are made of the services on them (nova 2011.3, nova/api/ec2/admin.py). */
export class Hosts {
  constructor(private readonly parts: Pick<CloudParts, 'runtime' | 'db'>) {}

  /** Every host, by name. Throws AdminRequired. */
  async list(context: Context): Promise<Host[]> {
    requireAdmin(context);
    const { db, runtime } = this.parts;
    const [services, instances, volumes] = await Promise.all([
      listServices(db),
      countByHost(db, 'instances'),
      countByHost(db, 'volumes'),
    ]);
    const now = runtime.clock.now();
    const names = [...new Set(services.flatMap((service) => (service.host === null ? [] : [service.host])))].sort();
    return names.map((name) => {
      const own = services.filter((service) => service.host === name);
      const isUp = (topic: string): boolean | undefined => {
        const service = own.find((candidate) => candidate.topic === topic);
        return service && serviceIsUp(service, now, runtime.flags.service_down_time);
      };
      return {
        name,
        zone: own[0]!.availability_zone,
        instances: instances.get(name) ?? 0,
        volumes: volumes.get(name) ?? 0,
        compute: isUp('compute'),
        volume: isUp('volume'),
      };
    });
  }
}
