import type { DaemonParts, RunningDaemon } from '../common/daemon.js';
import { openDatabase } from '../common/db/database.js';
import type { Turns } from '../common/db/turns.js';
import { errorText } from '../common/errors.js';
import type { Flags } from '../common/flags/flags.js';
import { createImageService } from '../common/images/client.js';
import { createRpc } from '../common/rpc/client.js';
import type { HttpFetch } from '../common/runtime/runtime.js';
import type { BackEnd } from './drivers.js';
import type { SimulatedBroker, SimulatedTransport } from './faults/bus.js';
import { FaultyDialect, type DatabaseServer } from './faults/database.js';
import { DriverTroubles } from './faults/drivers.js';
import type { SimulatedHost } from './host.js';
import type { SeededRandom } from './seededRandom.js';
import type { SimulatedLog } from './simulatedLog.js';
import { SimulatedRuntime } from './simulatedRuntime.js';
import type { World } from './world.js';

/** What all daemons of a cloud share. */
export interface Surroundings {
  readonly world: World;
  readonly log: SimulatedLog;
  readonly random: SeededRandom;
  readonly broker: SimulatedBroker;
  readonly database: DatabaseServer;
  readonly turns: Turns;
  readonly fetch: HttpFetch;
  flags(host: string): Flags;
}

export type Start<D extends RunningDaemon> = (parts: DaemonParts, backEnd: BackEnd) => Promise<D>;

/** One life of a daemon: from its start to its end. */
interface Life<D> {
  readonly runtime: SimulatedRuntime;
  readonly dialect: FaultyDialect;
  readonly transport: SimulatedTransport;
  running?: D;
}

/** A daemon of a host, which is killed, stopped and started again. */
export class SimulatedDaemon<D extends RunningDaemon = RunningDaemon> {
  readonly troubles = new DriverTroubles();
  #life: Life<D> | undefined;
  #wanted = false;

  constructor(
    readonly name: string,
    readonly host: SimulatedHost,
    private readonly around: Surroundings,
    private readonly begin: Start<D>,
  ) {}

  /** Undefined while it is dead. */
  get life(): Life<D> | undefined {
    return this.#life?.runtime.halted === false ? this.#life : undefined;
  }

  /** It serves. */
  get serves(): boolean {
    return this.life?.running !== undefined;
  }

  /** Starts it, and again whenever it could not start; resolves when it serves, or has to stay dead. */
  async start(): Promise<void> {
    this.#wanted = true;
    while (this.#wanted && !this.host.lost && this.life === undefined) {
      const life = this.#newLife();
      this.#life = life;
      try {
        await Promise.race([this.#serve(life), life.runtime.ended]);
        return;
      } catch (error) {
        this.around.log.note(`FAULT ${this.name} could not start: ${errorText(error)}`);
        life.runtime.halt();
        await this.around.world.sleep(5000);
      }
    }
  }

  /** kill -9. */
  kill(): void {
    this.#wanted = false;
    this.life?.runtime.halt();
  }

  /** Ends as after SIGTERM; killed when that takes too long. Answers whether it ended by itself. */
  async stop(): Promise<boolean> {
    this.#wanted = false;
    const life = this.life;
    if (life === undefined) return true;
    const { world } = this.around;
    const seconds = life.runtime.flags.drain_timeout + 60;
    const late = world.sleep(seconds * 1000).then(() => 'late');
    const end = await Promise.race([this.#end(life), life.runtime.ended, late]);
    life.runtime.halt();
    return end !== 'late';
  }

  /** No trouble is to come any more; what has begun goes on. */
  calm(): void {
    this.troubles.calm();
    this.life?.runtime.calm();
    this.life?.dialect.calm();
    this.life?.transport.calm();
  }

  async #end(life: Life<D>): Promise<void> {
    await life.running?.stop();
    await life.transport.close();
  }

  async #serve(life: Life<D>): Promise<void> {
    const { runtime, dialect, transport } = life;
    const db = openDatabase(runtime, { serialize: true, turns: this.around.turns, sql: dialect });
    await Promise.all([transport.connect(), db.connect()]);
    const parts = { runtime, db, transport, rpc: createRpc(runtime, transport), images: createImageService(runtime) };
    life.running = await this.begin(parts, { host: this.host, runtime, troubles: this.troubles });
  }

  #newLife(): Life<D> {
    const { world, log, random, fetch, broker, database } = this.around;
    const runtime = new SimulatedRuntime({
      binary: this.name.split('@')[0]!,
      flags: this.around.flags(this.host.name),
      world,
      random: random.fork(),
      log,
      files: this.host.files,
      fetch,
      clockError: () => this.host.clockError,
    });
    const transport = broker.transport(runtime);
    void runtime.ended.then(() => broker.forget(transport));
    return { runtime, dialect: new FaultyDialect(database, runtime), transport };
  }
}
