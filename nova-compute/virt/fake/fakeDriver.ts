import { InstanceNotRunning, InvalidCPUInfo, NovaPlainError } from '../../../common/errors.js';
import type { NetworkInfo } from '../../../common/rpc/network.js';
import type { Runtime } from '../../../common/runtime/runtime.js';
import {
  powerState,
  type ConsoleAccess,
  type HostResources,
  type MachineEvent,
  type MachineInfo,
  type MachineSpec,
  type PowerState,
  type RescueImage,
  type VirtDriver,
  type VolumeDisk,
} from '../driver.js';
import { consoleText } from './console.js';
import { EventQueue } from './eventQueue.js';
import { hostStats } from './hostStats.js';
import { cpuRefusal, diskBits, disksOf } from './hardware.js';
import { booted, inState, newMachine, ordinary, unrescued, type FakeMachine } from './machineFile.js';
import { MachineStore } from './machineStore.js';

type Operation =
  | 'spawn'
  | 'destroy'
  | 'reboot'
  | 'attach'
  | 'detach'
  | 'pause'
  | 'unpause'
  | 'suspend'
  | 'resume'
  | 'rescue'
  | 'unrescue'
  | 'snapshot'
  | 'migrateout'
  | 'finishmigration'
  | 'revertmigration'
  | 'incoming'
  | 'migratelive'
  | 'password'
  | 'inject';

/**
 * A hypervisor without machines (connection_type=fake). What it would run is in files,
 * `$state_path/fake/<host>/<name>.json`, so that its machines outlive the daemon as real ones do. Starting one takes
 * fake_spawn_ms; a daemon killed meanwhile leaves it `building`. fake_fail makes operations fail. Nothing else is to
 * change the files while the daemon runs.
 */
export class FakeDriver implements VirtDriver {
  readonly #machines: MachineStore;
  readonly #events = new EventQueue<MachineEvent>();

  constructor(private readonly runtime: Runtime) {
    this.#machines = new MachineStore(runtime);
  }

  async init(host: string): Promise<void> {
    await this.#machines.open(host);
  }

  spawn(spec: MachineSpec, signal: AbortSignal): Promise<void> {
    return this.#machines.inTurn(spec.name, async () => {
      const present = this.#machines.get(spec.name);
      if (present?.state === powerState.running && present.role === undefined) return;
      signal.throwIfAborted();
      const machine = newMachine(spec);
      try {
        const { fake_spawn_ms: spawnMs } = this.runtime.flags;
        if (spawnMs > 0) {
          await this.#machines.save(machine);
          await this.runtime.sleep(spawnMs, signal);
        }
        this.#failWhenTold('spawn', spec.name);
        await this.#machines.save(booted(machine, this.runtime.clock.now()));
      } catch (error) {
        await this.#machines.remove(spec.name);
        throw error;
      }
    });
  }

  destroy(name: string): Promise<void> {
    return this.#machines.inTurn(name, async () => {
      if (this.#machines.get(name) === undefined) return;
      this.#failWhenTold('destroy', name);
      await this.#machines.remove(name);
    });
  }

  reboot(name: string, _networkInfo: NetworkInfo): Promise<void> {
    return this.#machines.change(name, (machine) => {
      this.#failWhenTold('reboot', name);
      requireHere(machine);
      return booted(machine, this.runtime.clock.now());
    });
  }

  pause(name: string): Promise<void> {
    return this.#toState(name, 'pause', powerState.paused);
  }

  unpause(name: string): Promise<void> {
    return this.#toState(name, 'unpause', powerState.running);
  }

  suspend(name: string): Promise<void> {
    return this.#toState(name, 'suspend', powerState.suspended);
  }

  resume(name: string, _networkInfo: NetworkInfo): Promise<void> {
    return this.#toState(name, 'resume', powerState.running);
  }

  rescue(name: string, image: RescueImage, _networkInfo: NetworkInfo): Promise<void> {
    return this.#machines.change(name, (machine) => {
      if (machine.rescueImage !== undefined) return machine;
      this.#failWhenTold('rescue', name);
      requireHere(machine);
      return booted({ ...machine, rescueImage: image.imageRef }, this.runtime.clock.now());
    });
  }

  unrescue(name: string, _networkInfo: NetworkInfo): Promise<void> {
    return this.#machines.change(name, (machine) => {
      if (machine.rescueImage === undefined) return machine;
      this.#failWhenTold('unrescue', name);
      requireHere(machine);
      return booted(unrescued(machine), this.runtime.clock.now());
    });
  }

  snapshot(name: string, deliver: (bits: ReadableStream<Uint8Array>) => Promise<void>): Promise<void> {
    return this.#machines.inTurn(name, async () => {
      const machine = this.#machines.get(name);
      if (machine === undefined) throw new InstanceNotRunning(name);
      this.#failWhenTold('snapshot', name);
      await deliver(diskBits(machine));
    });
  }

  async setAdminPassword(name: string, _password: string): Promise<void> {
    this.#require('password', name);
  }

  async injectFile(name: string, path: string, _contents: string): Promise<void> {
    await this.#machines.change(name, (machine) => {
      this.#failWhenTold('inject', name);
      if (machine.injectedFiles.includes(path)) return machine;
      return { ...machine, injectedFiles: [...machine.injectedFiles, path] };
    });
  }

  async injectNetworkInfo(name: string, networkInfo: NetworkInfo): Promise<void> {
    await this.#machines.change(name, (machine) => ({
      ...machine,
      addresses: networkInfo.flatMap(([, vif]) => vif.ips.slice(0, 1).map((ip) => ip.ip)),
      macs: networkInfo.map(([, vif]) => vif.mac),
    }));
  }

  async resetNetwork(name: string): Promise<void> {
    this.#require('inject', name);
  }

  async updateAgent(name: string, _url: string, _md5: string): Promise<void> {
    this.#require('inject', name);
  }

  /** There is no disk to copy: the destination makes the machine from its description. */
  async migrateOut(name: string, _destination: string): Promise<null> {
    await this.#machines.change(name, (machine) => {
      if (machine.role === 'outgoing') return machine;
      this.#failWhenTold('migrateout', name);
      return { ...machine, state: powerState.shutoff, role: 'outgoing' };
    });
    return null;
  }

  async finishMigration(spec: MachineSpec, _diskInfo: string | null, signal: AbortSignal): Promise<void> {
    this.#failWhenTold('finishmigration', spec.name);
    await this.spawn(spec, signal);
  }

  confirmMigration(name: string): Promise<void> {
    return this.#machines.inTurn(name, async () => {
      if (this.#machines.get(name)?.role === 'outgoing') await this.#machines.remove(name);
    });
  }

  revertMigration(name: string, _networkInfo: NetworkInfo): Promise<void> {
    return this.#machines.change(name, (machine) => {
      if (machine.role !== 'outgoing') return machine;
      this.#failWhenTold('revertmigration', name);
      return booted(ordinary(machine), this.runtime.clock.now());
    });
  }

  async compareCpu(cpuInfo: string): Promise<void> {
    const refusal = cpuRefusal(cpuInfo);
    if (refusal !== undefined) throw new InvalidCPUInfo(refusal);
  }

  async diskInfo(name: string): Promise<string> {
    const machine = this.#machines.require(name);
    return disksOf(machine);
  }

  prepareIncoming(spec: MachineSpec, _disks: string | null): Promise<void> {
    return this.#machines.inTurn(spec.name, async () => {
      const present = this.#machines.get(spec.name);
      if (present !== undefined && present.role !== 'incoming') {
        throw new NovaPlainError(`${spec.name} is on ${this.runtime.host} already`);
      }
      this.#failWhenTold('incoming', spec.name);
      await this.#machines.save({ ...newMachine(spec), state: powerState.paused, role: 'incoming' });
    });
  }

  migrateLive(name: string, _destination: string, _options: { block: boolean }, signal: AbortSignal): Promise<void> {
    return this.#machines.inTurn(name, async () => {
      if (this.#machines.get(name) === undefined) return;
      await this.runtime.sleep(this.runtime.flags.fake_spawn_ms, signal);
      this.#failWhenTold('migratelive', name);
      await this.#machines.remove(name);
    });
  }

  completeIncoming(name: string): Promise<void> {
    return this.#machines.change(name, (machine) =>
      machine.role === 'incoming' ? { ...ordinary(machine), state: powerState.running } : machine,
    );
  }

  async vncConsole(name: string): Promise<ConsoleAccess> {
    return this.#console(name, 'fakevncconsole.com');
  }

  async ajaxConsole(name: string): Promise<ConsoleAccess> {
    return this.#console(name, 'fakeajaxconsole.com');
  }

  async consolePool(_type: string): Promise<{ address: string; username: string; password: string }> {
    return { address: '127.0.0.1', username: 'fakeuser', password: 'fakepassword' };
  }

  async hostPowerAction(_action: string): Promise<null> {
    return null;
  }

  async setHostEnabled(_enabled: boolean): Promise<null> {
    return null;
  }

  adopt(spec: MachineSpec): Promise<void> {
    return this.#machines.inTurn(spec.name, async () => {
      if (this.#machines.get(spec.name) === undefined) {
        await this.#machines.save(booted(newMachine(spec), this.runtime.clock.now()));
      }
    });
  }

  attachVolume(name: string, disk: VolumeDisk): Promise<void> {
    return this.#machines.change(name, (machine) => {
      const present = machine.volumes[disk.mountpoint];
      if (present === disk.devicePath) return machine;
      if (present !== undefined) throw new NovaPlainError(`${name} has a disk at ${disk.mountpoint} already`);
      this.#failWhenTold('attach', name);
      return { ...machine, volumes: { ...machine.volumes, [disk.mountpoint]: disk.devicePath } };
    });
  }

  detachVolume(name: string, mountpoint: string): Promise<void> {
    return this.#machines.inTurn(name, async () => {
      const machine = this.#machines.get(name);
      if (machine?.volumes[mountpoint] === undefined) return;
      this.#failWhenTold('detach', name);
      const volumes = Object.entries(machine.volumes).filter(([device]) => device !== mountpoint);
      await this.#machines.save({ ...machine, volumes: Object.fromEntries(volumes) });
    });
  }

  async volumeDisks(name: string): Promise<VolumeDisk[]> {
    const volumes = Object.entries(this.#machines.get(name)?.volumes ?? {});
    return volumes.map(([mountpoint, devicePath]) => ({ devicePath, mountpoint }));
  }

  async info(name: string): Promise<MachineInfo | undefined> {
    const machine = this.#machines.get(name);
    return machine && infoOf(machine);
  }

  async list(): Promise<MachineInfo[]> {
    return this.#machines.all().map(infoOf);
  }

  async consoleOutput(name: string, maxBytes: number): Promise<Buffer> {
    const machine = this.#machines.require(name);
    const text = consoleText(machine);
    return text.subarray(Math.max(0, text.length - maxBytes));
  }

  async diagnostics(name: string): Promise<Record<string, unknown>> {
    this.#machines.require(name);
    return {};
  }

  events(): AsyncIterable<MachineEvent> {
    return this.#events;
  }

  async hostStats(): Promise<Record<string, unknown>> {
    return hostStats();
  }

  /** None, as in 2011.3: the fake hypervisor writes no compute_nodes row. */
  async hostResources(): Promise<HostResources | null> {
    return null;
  }

  async refreshSecurityGroup(_securityGroupId?: number): Promise<void> {
    // there are no filters
  }

  async close(): Promise<void> {
    this.#events.close();
  }

  /** Makes a machine crash (or be in another state), as nobody asked for: for tests and simulations. */
  async crash(name: string, state: PowerState = powerState.crashed): Promise<void> {
    await this.#machines.change(name, (machine) => ({ ...machine, state }));
    this.#events.push({ name, state, at: this.runtime.clock.now() });
  }

  #toState(name: string, operation: Operation, state: PowerState): Promise<void> {
    return this.#machines.change(name, (machine) => {
      if (machine.state === state && machine.role === undefined) return machine;
      this.#failWhenTold(operation, name);
      requireHere(machine);
      return inState(machine, state);
    });
  }

  #require(operation: Operation, name: string): void {
    this.#machines.require(name);
    this.#failWhenTold(operation, name);
  }

  #console(name: string, host: string): ConsoleAccess {
    this.#machines.require(name);
    return { token: 'FAKETOKEN', host, port: 6969 };
  }

  #failWhenTold(operation: Operation, name: string): void {
    const told = this.runtime.flags.fake_fail;
    if (told.includes(operation) || told.includes(`${operation}:${name}`)) {
      throw new NovaPlainError(`The fake hypervisor was told (--fake_fail) to fail the ${operation} of ${name}`);
    }
  }
}

function infoOf({ name, state, role }: FakeMachine): MachineInfo {
  return { name, state, ...(role === undefined ? {} : { role }) };
}

/** What belongs to another host is not worked on here. */
function requireHere(machine: FakeMachine): void {
  if (machine.role !== undefined) throw new NovaPlainError(`${machine.name} is being moved between hosts`);
}
