import { ClientTokens } from '../../common/cloud/clientTokens.js';
import { Quotas } from '../../common/cloud/quotas.js';
import { Volumes } from '../../common/cloud/volumes.js';
import type { DaemonParts } from '../../common/daemon.js';
import type { InstanceRow } from '../../common/db/rows.js';
import { Lanes, Slots } from '../../common/lanes.js';
import type { Logger } from '../../common/log.js';
import { nameFromTemplate } from '../../common/names.js';
import { powerState, type VirtDriver } from '../virt/driver.js';
import { UnfinishedWork } from './cutOff.js';
import { ReleaseWatch } from './releaseWatch.js';

/** What the operations of nova-compute work with. */
export interface ComputeParts extends DaemonParts {
  readonly driver: VirtDriver;
  readonly logger: Logger;
  /** The rules of volumes: instances bring some with them and take some along. */
  readonly volumes: Volumes;
  /** Work on one instance (by integer id) in order. */
  readonly lanes: Lanes<number>;
  /** Bounds how many instances are built at a time. */
  readonly builds: Slots;
  /** Ends the build of an instance which is going away. */
  readonly building: Map<number, AbortController>;
  /** Instances which are being moved to another host, alive. */
  readonly moving: Set<number>;
  /** Instances whose work could not be brought to an end here (database or broker away); recovered periodically. */
  readonly unfinished: UnfinishedWork;
  /** Tells when nova-network has freed what an instance held. */
  readonly releases: ReleaseWatch;
}

export function computeParts(parts: DaemonParts, driver: VirtDriver): ComputeParts {
  return {
    runtime: parts.runtime,
    db: parts.db,
    transport: parts.transport,
    rpc: parts.rpc,
    images: parts.images,
    driver,
    logger: parts.runtime.log.logger('nova.compute.manager'),
    volumes: new Volumes(parts, { quotas: new Quotas(parts), clientTokens: new ClientTokens(parts) }),
    lanes: new Lanes(),
    builds: new Slots(parts.runtime.flags.max_concurrent_builds),
    building: new Map(),
    moving: new Set(),
    unfinished: new UnfinishedWork(),
    releases: new ReleaseWatch(parts.db, parts.runtime),
  };
}

/** The hypervisor's name of an instance. */
export function machineName(parts: ComputeParts, instance: Pick<InstanceRow, 'id'>): string {
  return nameFromTemplate(parts.runtime.flags.instance_name_template, instance.id);
}

/** The column power_state as the hypervisor has it now; 8 (failed) when it knows no such machine. */
export async function powerStateOf(parts: ComputeParts, name: string): Promise<{ power_state: number }> {
  return { power_state: (await parts.driver.info(name))?.state ?? powerState.failed };
}
