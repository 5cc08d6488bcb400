import type { NetworkInfo } from '../../common/rpc/network.js';

/** Power states of `instances.power_state`; 0 to 6 are libvirt's domain states (nova 2011.3, nova/compute/power_state.py). */
export const powerState = {
  nostate: 0,
  running: 1,
  blocked: 2,
  paused: 3,
  shutdown: 4,
  shutoff: 5,
  crashed: 6,
  suspended: 7,
  failed: 8,
  building: 9,
} as const;
export type PowerState = (typeof powerState)[keyof typeof powerState];

/** A disk which belongs to a volume. */
export interface VolumeDisk {
  /** Path on this host: a local device or what the initiator gave. */
  devicePath: string;
  /** Name in the guest, with `/dev/`. */
  mountpoint: string;
}

/** What is needed to create a machine. */
export interface MachineSpec {
  /** `instance-0000000a`. */
  name: string;
  uuid: string;
  memoryMb: number;
  vcpus: number;
  localGb: number;
  imageRef: string;
  kernelId: string | null;
  ramdiskId: string | null;
  rootDeviceName: string | null;
  keyData: string | null;
  hostname: string | null;
  metadata: Readonly<Record<string, string>>;
  networkInfo: NetworkInfo;
  volumes: readonly VolumeDisk[];
  adminPassword: string | null;
  injectedFiles: readonly (readonly [path: string, content: string])[];
}

export interface MachineInfo {
  name: string;
  state: PowerState;
}

export interface MachineEvent {
  name: string;
  /** What the machine is in now. */
  state: PowerState;
  /** Milliseconds since the epoch. */
  at: number;
}

/** The host's figures for a compute_nodes row; null where the driver writes none (nova 2011.3's fake driver). */
export interface HostResources {
  vcpus: number;
  memory_mb: number;
  local_gb: number;
  vcpus_used: number;
  memory_mb_used: number;
  local_gb_used: number;
  hypervisor_type: string;
  hypervisor_version: number;
  cpu_info: string;
}

/**
 * What a hypervisor must be able to do. Every driver passes the same test file. Methods are idempotent: a repeated call
 * for a machine which is already in the wished state does nothing. All errors are thrown as NovaError.
 */
export interface VirtDriver {
  /** Connects, and reads what exists. Throws StartupError when the hypervisor cannot be used. */
  init(host: string): Promise<void>;
  /** Creates the machine and returns once the hypervisor has started it. A half-made machine is removed on failure. */
  spawn(machine: MachineSpec, signal: AbortSignal): Promise<void>;
  /** Removes the machine and its local disks. One that does not exist is no error. */
  destroy(name: string): Promise<void>;
  reboot(name: string, networkInfo: NetworkInfo): Promise<void>;
  /**
   * Takes over a running machine which a daemon of 2011.3 had on this host, where that one kept no trace of it outside of
   * itself (its fake driver). A machine which is known is left as it is. Absent where machines live outside of daemons.
   */
  adopt?(machine: MachineSpec): Promise<void>;
  attachVolume(name: string, disk: VolumeDisk): Promise<void>;
  /** A disk or machine which is not there is no error. */
  detachVolume(name: string, mountpoint: string): Promise<void>;
  /** Undefined when there is no such machine. */
  info(name: string): Promise<MachineInfo | undefined>;
  /** Every machine of this hypervisor. */
  list(): Promise<MachineInfo[]>;
  /** The newest `maxBytes` of the console. Throws InstanceNotFound. */
  consoleOutput(name: string, maxBytes: number): Promise<Buffer>;
  diagnostics(name: string): Promise<Record<string, unknown>>;
  /** Changes of state which nobody asked for; ends when the driver is closed. */
  events(): AsyncIterable<MachineEvent>;
  /** What the scheduler may know of this host; null when the driver has nothing to say. */
  hostStats(): Promise<Record<string, unknown> | null>;
  hostResources(): Promise<HostResources | null>;
  /** Applies the filters of the groups named; all of the host's machines when undefined. */
  refreshSecurityGroup(securityGroupId?: number): Promise<void>;
  close(): Promise<void>;
}
