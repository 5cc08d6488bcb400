import { InstanceNotFound, StartupError, errorText } from '../../../common/errors.js';
import { Lanes } from '../../../common/lanes.js';
import type { Runtime } from '../../../common/runtime/runtime.js';
import { formatMachine, parseMachine, type FakeMachine } from './machineFile.js';

/** The machines of one fake host: each in a file of its own, and in memory. What is said of one is done in order. */
export class MachineStore {
  readonly #machines = new Map<string, FakeMachine>();
  readonly #lanes = new Lanes<string>();
  #folder = '';

  constructor(private readonly runtime: Runtime) {}

  /** Reads what is there. Throws StartupError when the folder can't be used. */
  async open(host: string): Promise<void> {
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

  get(name: string): FakeMachine | undefined {
    return this.#machines.get(name);
  }

  /** Throws InstanceNotFound. */
  require(name: string): FakeMachine {
    const machine = this.#machines.get(name);
    if (machine === undefined) throw new InstanceNotFound(name);
    return machine;
  }

  all(): FakeMachine[] {
    return [...this.#machines.values()];
  }

  /** Work on one machine, after what was begun before. */
  inTurn<T>(name: string, work: () => Promise<T>): Promise<T> {
    return this.#lanes.run(name, work);
  }

  /** Changes a machine, in turn. Throws InstanceNotFound, and what `change` throws. */
  change(name: string, change: (machine: FakeMachine) => FakeMachine): Promise<void> {
    return this.#lanes.run(name, async () => {
      const machine = this.require(name);
      const changed = change(machine);
      if (changed !== machine) await this.save(changed);
    });
  }

  async save(machine: FakeMachine): Promise<void> {
    await this.runtime.files.writeUnsynced(this.#path(machine.name), formatMachine(machine));
    this.#machines.set(machine.name, machine);
  }

  async remove(name: string): Promise<void> {
    await this.runtime.files.remove(this.#path(name));
    this.#machines.delete(name);
  }

  #path(name: string): string {
    return `${this.#folder}/${encodeURIComponent(name)}.json`;
  }
}
