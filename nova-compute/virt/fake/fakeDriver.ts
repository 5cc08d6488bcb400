import { InstanceNotFound, NovaPlainError, StartupError, errorText } from '../../../common/errors.js';
import { Lanes } from '../../../common/lanes.js';
import type { NetworkInfo } from '../../../common/rpc/network.js';
import type { Runtime } from '../../../common/runtime/runtime.js';
import {
  powerState,
  type HostResources,
  type MachineEvent,
  type MachineInfo,
  type MachineSpec,
  type PowerState,
  type VirtDriver,
  type VolumeDisk,
} from '../driver.js';
import { consoleText } from './console.js';
import { EventQueue } from './eventQueue.js';
import { hostStats } from './hostStats.js';
import { booted, formatMachine, newMachine, parseMachine, type FakeMachine } from './machineFile.js';

type Operation = 'spawn' | 'destroy' | 'reboot' | 'attach' | 'detach';

/**
 * A hypervisor without machines (connection_type=fake). What it would run is in files,
 * `$state_path/fake/<host>/<name>.json`, so that its machines outlive the daemon as real ones do. Starting one takes
 * fake_spawn_ms; a daemon killed meanwhile leaves it `building`. fake_fail makes operations fail. Nothing else is to
 * change the files while the daemon runs.
 */
export class FakeDriver implements VirtDriver {
  readonly #machines = new Map<string, FakeMachine>();
  readonly #lanes = new Lanes<string>();
  readonly #events = new EventQueue<MachineEvent>();
  #folder = '';

  constructor(private readonly runtime: Runtime) {}

  async init(host: string): Promise<void> {
    const { files, flags, log } = this.runtime;
    this.#folder = `${flags.state_path}/fake/${encodeURIComponent(host)}`;
    try {
      await files.makeFolder(this.#folder);
      // a disk which is full or read-only is told of now, not at the first machine
      await files.writeAtomic(`${this.#folder}/check.tmp`, 'The folder can be written.\n');
      for (const file of await files.list(this.#folder)) {
        if (file.endsWith('.tmp')) await files.remove(`${this.#folder}/${file}`);
        if (!file.endsWith('.json')) continue;
        const machine = parseMachine(await files.read(`${this.#folder}/${file}`));
        if (machine !== undefined) this.#machines.set(machine.name, machine);
        else log.logger('nova.virt.fake').warn(`${this.#folder}/${file} holds no machine; it is left alone`);
      }
    } catch (error) {
      throw new StartupError(`The fake hypervisor cannot use ${this.#folder} (--state_path): ${errorText(error)}`);
    }
  }

  spawn(spec: MachineSpec, signal: AbortSignal): Promise<void> {
    return this.#lanes.run(spec.name, async () => {
      if (this.#machines.get(spec.name)?.state === powerState.running) return;
      signal.throwIfAborted();
      const machine = newMachine(spec);
      try {
        await this.#save(machine);
        await this.runtime.sleep(this.runtime.flags.fake_spawn_ms, signal);
        this.#failWhenTold('spawn', spec.name);
        await this.#save(booted(machine, this.runtime.clock.now()));
      } catch (error) {
        await this.#remove(spec.name);
        throw error;
      }
    });
  }

  destroy(name: string): Promise<void> {
    return this.#lanes.run(name, async () => {
      if (!this.#machines.has(name)) return;
      this.#failWhenTold('destroy', name);
      await this.#remove(name);
    });
  }

  reboot(name: string, _networkInfo: NetworkInfo): Promise<void> {
    return this.#change(name, (machine) => {
      this.#failWhenTold('reboot', name);
      return booted(machine, this.runtime.clock.now());
    });
  }

  adopt(spec: MachineSpec): Promise<void> {
    return this.#lanes.run(spec.name, async () => {
      if (!this.#machines.has(spec.name)) await this.#save(booted(newMachine(spec), this.runtime.clock.now()));
    });
  }

  attachVolume(name: string, disk: VolumeDisk): Promise<void> {
    return this.#change(name, (machine) => {
      const present = machine.volumes[disk.mountpoint];
      if (present === disk.devicePath) return machine;
      if (present !== undefined) throw new NovaPlainError(`${name} has a disk at ${disk.mountpoint} already`);
      this.#failWhenTold('attach', name);
      return { ...machine, volumes: { ...machine.volumes, [disk.mountpoint]: disk.devicePath } };
    });
  }

  detachVolume(name: string, mountpoint: string): Promise<void> {
    return this.#lanes.run(name, async () => {
      const machine = this.#machines.get(name);
      if (machine?.volumes[mountpoint] === undefined) return;
      this.#failWhenTold('detach', name);
      const volumes = Object.entries(machine.volumes).filter(([device]) => device !== mountpoint);
      await this.#save({ ...machine, volumes: Object.fromEntries(volumes) });
    });
  }

  async info(name: string): Promise<MachineInfo | undefined> {
    const machine = this.#machines.get(name);
    return machine === undefined ? undefined : { name, state: machine.state };
  }

  async list(): Promise<MachineInfo[]> {
    return [...this.#machines.values()].map(({ name, state }) => ({ name, state }));
  }

  async consoleOutput(name: string, maxBytes: number): Promise<Buffer> {
    const machine = this.#machines.get(name);
    if (machine === undefined) throw new InstanceNotFound(name);
    const text = consoleText(machine);
    return text.subarray(Math.max(0, text.length - maxBytes));
  }

  async diagnostics(name: string): Promise<Record<string, unknown>> {
    if (!this.#machines.has(name)) throw new InstanceNotFound(name);
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
    await this.#change(name, (machine) => ({ ...machine, state }));
    this.#events.push({ name, state, at: this.runtime.clock.now() });
  }

  /** The volumes of a machine, device path by mountpoint. */
  disks(name: string): Readonly<Record<string, string>> | undefined {
    return this.#machines.get(name)?.volumes;
  }

  #change(name: string, change: (machine: FakeMachine) => FakeMachine): Promise<void> {
    return this.#lanes.run(name, async () => {
      const machine = this.#machines.get(name);
      if (machine === undefined) throw new InstanceNotFound(name);
      const changed = change(machine);
      if (changed !== machine) await this.#save(changed);
    });
  }

  async #save(machine: FakeMachine): Promise<void> {
    await this.runtime.files.writeAtomic(this.#path(machine.name), formatMachine(machine));
    this.#machines.set(machine.name, machine);
  }

  async #remove(name: string): Promise<void> {
    await this.runtime.files.remove(this.#path(name));
    this.#machines.delete(name);
  }

  #path(name: string): string {
    return `${this.#folder}/${encodeURIComponent(name)}.json`;
  }

  #failWhenTold(operation: Operation, name: string): void {
    const told = this.runtime.flags.fake_fail;
    if (told.includes(operation) || told.includes(`${operation}:${name}`)) {
      throw new NovaPlainError(`The fake hypervisor was told (--fake_fail) to fail the ${operation} of ${name}`);
    }
  }
}
