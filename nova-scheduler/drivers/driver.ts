import type { Context } from '../../common/context.js';
import type { InstanceRow, VolumeRow } from '../../common/db/rows.js';
import type { Waiting } from '../../common/db/scheduling.js';

/** An instance which waits for a host. */
export interface InstanceRequest {
  readonly instance: InstanceRow;
  readonly waiting: Waiting;
  /** Topic of the hosts asked for, `compute`. */
  readonly topic: string;
  /** Hosts which could not be told; they are out. */
  readonly tried: ReadonlySet<string>;
  /** The message's `request_spec` (image, instance_type, instance_properties, filter), as it came; null without one. */
  readonly requestSpec?: unknown;
  /** The message's `availability_zone`; null without one. */
  readonly availabilityZone?: string | null;
}

/** A volume which waits for a host. */
export interface VolumeRequest {
  readonly volume: VolumeRow;
  /** Topic of the hosts asked for, `volume`. */
  readonly topic: string;
  readonly tried: ReadonlySet<string>;
  /** The only host which can make it, where its snapshot is; null for any. */
  readonly onlyHost: string | null;
}

/**
 * Chooses hosts. `context` is the caller's own, not an elevated one: only an administrator may force a host
 * (`zone:host`). Every method throws NoValidHost when no host will do, WillNotSchedule or HostBinaryNotFound when a forced
 * one won't. What a plug-in's factory makes (see {@link SchedulerDriverFactory}).
 */
export interface SchedulerDriver {
  /** The host for an instance; null when the instance doesn't wait any longer. */
  placeInstance(context: Context, request: InstanceRequest): Promise<string | null>;
  /** The host for a volume; null when the volume doesn't wait any longer. */
  placeVolume(context: Context, request: VolumeRequest): Promise<string | null>;
  /** A host for any other message of a topic. */
  place(context: Context, topic: string, tried: ReadonlySet<string>, method?: string): Promise<string>;
  /** The hosts for a request, the best first, where the driver weighs them (RPC method select). */
  select?(requestSpec: unknown): Promise<WeighedHost[]>;
}

/** A host and how good it is: the less, the better. */
export interface WeighedHost {
  readonly weight: number;
  readonly hostname: string;
  readonly capabilities: Readonly<Record<string, unknown>>;
}
