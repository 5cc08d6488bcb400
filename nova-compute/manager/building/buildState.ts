import type { Context } from '../../../common/context.js';
import type { InstanceClaim } from '../../../common/db/instanceClaims.js';
import type { InstanceRow, VolumeRow } from '../../../common/db/rows.js';
import type { RunInstanceArgs } from '../../../common/rpc/compute.js';
import type { NetworkInfo } from '../../../common/rpc/network.js';
import type { MachineSpec, VolumeDisk } from '../../virt/driver.js';
import type { ComputeParts } from '../parts.js';
import type { UndoScope } from '../steps.js';

/** What the owner asked for beside what is in the row. None of it can be read again after a crash. */
export interface BuildWishes {
  requestedNetworks: RunInstanceArgs['requested_networks'];
  injectedFiles: MachineSpec['injectedFiles'];
  adminPassword: string | null;
}

/** An instance on its way to a running machine. */
export interface Build {
  readonly parts: ComputeParts;
  /** Who asked, and the same with administrator's rights. */
  readonly caller: Context;
  readonly context: Context;
  /** The row as it was before it was claimed. */
  readonly instance: InstanceRow;
  readonly name: string;
  readonly wishes: BuildWishes;
  readonly signal: AbortSignal;
  /** The task which the row is in. */
  taskState: 'networking' | 'block_device_mapping' | 'spawning';
  /** What a failure is called to the owner. */
  doing: string;
  networkInfo: NetworkInfo;
  /** nova-network was asked for addresses. */
  networkAsked: boolean;
  /** How much of the build was taken back when it had failed. */
  undone: UndoScope;
  /** Volumes which this build attached. */
  readonly volumes: VolumeRow[];
  readonly disks: VolumeDisk[];
}

/** What the build believes of its row. */
export function claimOf(build: Build): InstanceClaim {
  const { instance, parts } = build;
  return { instanceId: instance.id, host: parts.runtime.host, vmState: 'building', taskState: build.taskState };
}
