import type { Context } from '../../common/context.js';
import type { Db } from '../../common/db/db.js';
import type { ServiceRow } from '../../common/db/rows.js';
import { getService, serviceIsUp } from '../../common/db/services.js';
import { NoValidHost, WillNotSchedule } from '../../common/errors.js';
import type { Runtime } from '../../common/runtime/runtime.js';
import type { Capabilities } from '../manager/capabilities.js';

/** What a driver works with. */
export interface DriverParts {
  readonly runtime: Runtime;
  readonly db: Db;
  /** What hosts announce of themselves. */
  readonly capabilities: Pick<Capabilities, 'known' | 'knows' | 'update' | 'consume'>;
}

/** The refusal when no service of a topic is up (nova 2011.3's words). */
export function noHost(): NoValidHost {
  return new NoValidHost('Scheduler was unable to locate a host for this request. Is the appropriate service running?');
}

/** Whether a service has given a sign of life within service_down_time. */
export function isUp(runtime: Runtime, service: ServiceRow): boolean {
  return serviceIsUp(service, runtime.clock.now(), runtime.flags.service_down_time);
}

/** The host in an availability zone of the form `zone:host`, for a caller who may force one; null for anybody else. */
export function forcedHost(context: Context, availabilityZone: string | null): string | null {
  const colon = availabilityZone?.indexOf(':') ?? -1;
  if (!context.isAdmin || availabilityZone === null || colon < 0) return null;
  return availabilityZone.slice(colon + 1) || null;
}

/**
 * Throws HostBinaryNotFound when a forced host has no such service, WillNotSchedule when that is down or could not be
 * told. A disabled one is taken: that is how an operator tries a host before it is opened to all.
 */
export async function checkForced(
  parts: DriverParts,
  host: string,
  binary: string,
  tried: ReadonlySet<string>,
  refusal: string,
): Promise<void> {
  const service = await getService(parts.db, host, binary);
  if (tried.has(host) || !isUp(parts.runtime, service)) throw new WillNotSchedule(refusal);
}
