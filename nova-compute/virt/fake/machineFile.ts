import { powerState, type MachineSpec, type PowerState } from '../driver.js';

/** A machine of the fake hypervisor as its file holds it. Times are milliseconds since the epoch. */
export interface FakeMachine {
  name: string;
  uuid: string;
  state: PowerState;
  memoryMb: number;
  vcpus: number;
  localGb: number;
  imageRef: string;
  hostname: string | null;
  rootDeviceName: string | null;
  /** The first address of each interface. */
  addresses: string[];
  macs: string[];
  /** Names of files which were put in; their contents stay out. */
  injectedFiles: string[];
  /** Device path by mountpoint. */
  volumes: Record<string, string>;
  /** When it was started, and each reboot; the newest last. */
  boots: number[];
  /** Between two hosts; absent for an ordinary machine. */
  role?: 'outgoing' | 'incoming';
  /** The image which it is rescued with. */
  rescueImage?: string;
}

/** Boots which a machine's file remembers, and so its console shows. */
const keptBoots = 20;

/** A machine which is about to start. Passwords and contents of injected files are left out. */
export function newMachine(spec: MachineSpec): FakeMachine {
  return {
    name: spec.name,
    uuid: spec.uuid,
    state: powerState.building,
    memoryMb: spec.memoryMb,
    vcpus: spec.vcpus,
    localGb: spec.localGb,
    imageRef: spec.imageRef,
    hostname: spec.hostname,
    rootDeviceName: spec.rootDeviceName,
    addresses: spec.networkInfo.flatMap(([, vif]) => vif.ips.slice(0, 1).map((ip) => ip.ip)),
    macs: spec.networkInfo.map(([, vif]) => vif.mac),
    injectedFiles: spec.injectedFiles.map(([path]) => path),
    volumes: Object.fromEntries(spec.volumes.map((disk) => [disk.mountpoint, disk.devicePath])),
    boots: [],
  };
}

/** The machine, running since `now`. */
export function booted(machine: FakeMachine, now: number): FakeMachine {
  return { ...machine, state: powerState.running, boots: [...machine.boots, now].slice(-keptBoots) };
}

/** The machine in another state, without a boot. */
export function inState(machine: FakeMachine, state: PowerState): FakeMachine {
  return machine.state === state ? machine : { ...machine, state };
}

/** The machine without a part in a migration. */
export function ordinary(machine: FakeMachine): FakeMachine {
  const plain = { ...machine };
  delete plain.role;
  return plain;
}

/** The machine booting from its own disk. */
export function unrescued(machine: FakeMachine): FakeMachine {
  const plain = { ...machine };
  delete plain.rescueImage;
  return plain;
}

/** Reads a machine's file; undefined when it holds no machine. */
export function parseMachine(text: string): FakeMachine | undefined {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return undefined;
  }
  if (typeof value !== 'object' || value === null) return undefined;
  const read = value as Readonly<Record<string, unknown>>;
  const { name, state } = read;
  if (typeof name !== 'string' || !isPowerState(state)) return undefined;
  const textOf = (key: string): string | null => (typeof read[key] === 'string' ? read[key] : null);
  const numberOf = (key: string): number => (typeof read[key] === 'number' ? read[key] : 0);
  const texts = (key: string): string[] => list(read[key]).filter((item) => typeof item === 'string');
  const volumes = typeof read['volumes'] === 'object' && read['volumes'] !== null ? read['volumes'] : {};
  return {
    name,
    state,
    uuid: textOf('uuid') ?? '',
    memoryMb: numberOf('memoryMb'),
    vcpus: numberOf('vcpus'),
    localGb: numberOf('localGb'),
    imageRef: textOf('imageRef') ?? '',
    hostname: textOf('hostname'),
    rootDeviceName: textOf('rootDeviceName'),
    addresses: texts('addresses'),
    macs: texts('macs'),
    injectedFiles: texts('injectedFiles'),
    volumes: Object.fromEntries(
      Object.entries(volumes).filter((entry): entry is [string, string] => typeof entry[1] === 'string'),
    ),
    boots: list(read['boots']).filter((item) => typeof item === 'number'),
    ...(read['role'] === 'outgoing' || read['role'] === 'incoming' ? { role: read['role'] } : {}),
    ...(typeof read['rescueImage'] === 'string' ? { rescueImage: read['rescueImage'] } : {}),
  };
}

/** The file's text. */
export function formatMachine(machine: FakeMachine): string {
  return `${JSON.stringify(machine, null, 2)}\n`;
}

function list(value: unknown): unknown[] {
  return Array.isArray(value) ? value : [];
}

function isPowerState(value: unknown): value is PowerState {
  return Object.values(powerState).some((state) => state === value);
}
