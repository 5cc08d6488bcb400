import type { ComputeNodeRow, NumberedRow } from '../../common/db/rows.js';
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
  /**
   * `outgoing`: powered off and kept, since its disk went to another host ({@link VirtDriver.migrateOut}). `incoming`:
   * made ready to take up a machine which still runs on another host. Absent: an ordinary machine.
   */
  role?: 'outgoing' | 'incoming';
}

/** What a rescued machine boots from; its own disks are there as well. */
export interface RescueImage {
  imageRef: string;
  kernelId: string | null;
  ramdiskId: string | null;
}

/** Where a console is served, and the token which opens it. */
export interface ConsoleAccess {
  token: string;
  host: string;
  port: number | string;
}

export interface MachineEvent {
  name: string;
  /** What the machine is in now. */
  state: PowerState;
  /** Milliseconds since the epoch. */
  at: number;
}

/** The host's figures for a compute_nodes row; null where the driver writes none (nova 2011.3's fake driver). */
export type HostResources = Omit<ComputeNodeRow, keyof NumberedRow | 'service_id'>;

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
  /** Stops the guest's CPUs; its memory stays. */
  pause(name: string): Promise<void>;
  unpause(name: string): Promise<void>;
  /** Saves the guest's memory to disk and stops it. */
  suspend(name: string): Promise<void>;
  resume(name: string, networkInfo: NetworkInfo): Promise<void>;
  /** Boots the machine from another image. Repeated for a rescued machine it does nothing. */
  rescue(name: string, image: RescueImage, networkInfo: NetworkInfo): Promise<void>;
  /** Boots the machine from its own disk again. One that isn't rescued is left as it is. */
  unrescue(name: string, networkInfo: NetworkInfo): Promise<void>;
  /**
   * Gives the bits of the machine's root disk, as they are at one moment, to `deliver`, and lets go of them when that
   * has ended, however it did. The guest goes on. Throws InstanceNotRunning when there is no such machine.
   */
  snapshot(name: string, deliver: (bits: ReadableStream<Uint8Array>) => Promise<void>): Promise<void>;
  /** Sets the password of the guest's administrator. */
  setAdminPassword(name: string, password: string): Promise<void>;
  /** Writes a file in the guest. */
  injectFile(name: string, path: string, contents: string): Promise<void>;
  /** Tells the guest of its interfaces and addresses. */
  injectNetworkInfo(name: string, networkInfo: NetworkInfo): Promise<void>;
  /** Makes the guest configure its network anew. */
  resetNetwork(name: string): Promise<void>;
  /** Makes the guest's agent replace itself by what is at `url`. */
  updateAgent(name: string, url: string, md5: string): Promise<void>;

  /**
   * Powers a machine off and brings its disk to another host, or tells what that needs: the answer is the driver's own
   * text for {@link finishMigration} there. The machine is kept, `outgoing`; a repeated call answers the same.
   */
  migrateOut(name: string, destination: string): Promise<string | null>;
  /** Starts a machine which came from another host, in the size of `machine`. As {@link spawn} when it fails. */
  finishMigration(machine: MachineSpec, diskInfo: string | null, signal: AbortSignal): Promise<void>;
  /** Removes an `outgoing` machine for good. Any other machine is left alone. */
  confirmMigration(name: string): Promise<void>;
  /** Starts an `outgoing` machine again. Any other machine is left alone. Throws InstanceNotFound. */
  revertMigration(name: string, networkInfo: NetworkInfo): Promise<void>;

  /** Throws InvalidCPUInfo when a guest of a host with this CPU (the JSON of compute_nodes.cpu_info) could not run here. */
  compareCpu(cpuInfo: string): Promise<void>;
  /** What a block migration copies of a machine: JSON, a list of `{type, path, local_gb}`. */
  diskInfo(name: string): Promise<string>;
  /** Makes ready for a machine which still runs on another host: `incoming` from now on. `disks` for a block migration. */
  prepareIncoming(machine: MachineSpec, disks: string | null): Promise<void>;
  /** Moves a running machine to a host which is ready for it, and returns when it is gone from here. */
  migrateLive(name: string, destination: string, options: { block: boolean }, signal: AbortSignal): Promise<void>;
  /** Takes up a machine which has come: it is an ordinary one from now on. Any other machine is left alone. */
  completeIncoming(name: string): Promise<void>;

  /** Throw InstanceNotFound. */
  vncConsole(name: string): Promise<ConsoleAccess>;
  ajaxConsole(name: string): Promise<ConsoleAccess>;
  consolePool(type: string): Promise<{ address: string; username: string; password: string }>;
  /** Null where the hypervisor can't, as in 2011.3; else what it says. */
  hostPowerAction(action: 'startup' | 'shutdown' | 'reboot'): Promise<string | null>;
  setHostEnabled(enabled: boolean): Promise<string | null>;
  /**
   * Takes over a running machine which a daemon of 2011.3 had on this host, where that one kept no trace of it outside of
   * itself (its fake driver). A machine which is known is left as it is. Absent where machines live outside of daemons.
   */
  adopt?(machine: MachineSpec): Promise<void>;
  attachVolume(name: string, disk: VolumeDisk): Promise<void>;
  /** A disk or machine which is not there is no error. */
  detachVolume(name: string, mountpoint: string): Promise<void>;
  /** The disks of volumes which a machine has now; none when there is no such machine. */
  volumeDisks(name: string): Promise<VolumeDisk[]>;
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
