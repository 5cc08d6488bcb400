import type { DaemonParts, RunningDaemon } from '../common/daemon.js';
import type { Db } from '../common/db/db.js';
import { failOverdueInstances, failOverdueVolumes } from '../common/db/scheduling.js';
import type { Flags } from '../common/flags/flags.js';
import { createImageService, ownRegistry, type OwnRegistry } from '../common/images/client.js';
import type { Log } from '../common/log.js';
import { createRpc } from '../common/rpc/client.js';
import { InProcessBus } from '../common/rpc/inProcess.js';
import type { Transport } from '../common/rpc/transport.js';
import { RealRuntime } from '../common/runtime/real.js';
import type { Runtime } from '../common/runtime/runtime.js';
import { startApi, type RunningApi } from '../nova-api/start.js';
import { startCompute } from '../nova-compute/start.js';
import { startNetwork } from '../nova-network/start.js';
import { startObjectstore } from '../nova-objectstore/start.js';
import { startScheduler } from '../nova-scheduler/start.js';
import { startVolume } from '../nova-volume/start.js';

/** What the daemons of one process share. */
export interface SharedParts {
  readonly flags: Flags;
  readonly log: Log;
  readonly db: Db;
  /** Ends the process because of an error; only a bus of others can fail so. */
  readonly fail?: (error: unknown) => void;
}

/** One daemon to start. */
interface Part {
  binary: string;
  start(parts: DaemonParts): Promise<RunningDaemon | RunningApi>;
  /** In place of the shared flags. */
  flags?: Flags;
}

/** Every daemon in one process, each with a runtime of its own under its own name. */
export class WholeCloud {
  readonly #shared: SharedParts;
  readonly #bus: InProcessBus;
  readonly #running: { daemon: RunningDaemon; transport: Transport }[] = [];
  /** The registry among these daemons, once it serves. */
  #registry: OwnRegistry | null = null;

  constructor(shared: SharedParts, bus = new InProcessBus()) {
    this.#shared = shared;
    this.#bus = bus;
  }

  /**
   * Starts the daemons; resolves when all serve. The image registry comes first: workers which take up what a predecessor
   * left half-done ask it. The API comes last: who can reach it finds hosts. What was started is stopped by
   * {@link stop} also when this throws.
   */
  async start(): Promise<void> {
    const { flags } = this.#shared;
    const withApis = (apis: readonly string[]): Flags => ({ ...flags, enabled_apis: apis });
    const others = flags.enabled_apis.filter((api) => api !== 'images' && api !== 'objectstore');
    const objectstore: Part[] = flags.enabled_apis.includes('objectstore')
      ? [{ binary: 'nova-objectstore', start: startObjectstore }]
      : [];
    const parts: Part[] = [
      { binary: 'nova-api', start: startApi, flags: withApis(flags.enabled_apis.filter((api) => api === 'images')) },
      ...objectstore,
      { binary: 'nova-network', start: startNetwork },
      { binary: 'nova-volume', start: startVolume },
      { binary: 'nova-scheduler', start: startScheduler },
      { binary: 'nova-compute', start: startCompute },
      { binary: 'nova-api', start: startApi, flags: withApis(others) },
    ];
    for (const part of parts.slice(0, -1)) {
      if (part.flags?.enabled_apis.length !== 0) await this.#startPart(part);
    }
    if (flags.fake_rabbit) await this.#endWhatWasLost();
    if (others.length > 0) await this.#startPart(parts.at(-1)!);
  }

  /**
   * What waited for a host when a predecessor ended goes to `error`, with the reason: the messages which asked for it
   * were in that process. The workers have taken up what they had claimed.
   */
  async #endWhatWasLost(): Promise<void> {
    const { db, flags, log } = this.#shared;
    const reason = 'The cloud was restarted before a host took the instance';
    const instances = await failOverdueInstances(db, db.now(), reason);
    const volumes = await failOverdueVolumes(db, db.now(), new Set([flags.host]));
    const logger = log.logger('nova.service');
    for (const id of instances) logger.warn(`Instance ${id} goes to error: ${reason}`);
    for (const id of volumes) logger.warn(`Volume ${id} goes to error: the cloud was restarted before it was made`);
  }

  /** Stops the daemons in the opposite order, each with the time which drain_timeout gives it. */
  async stop(): Promise<void> {
    for (const { daemon, transport } of this.#running.reverse()) {
      await daemon.stop();
      await transport.close();
    }
  }

  async #startPart(part: Part): Promise<void> {
    const flags = part.flags ?? this.#shared.flags;
    const runtime = new RealRuntime({ binary: part.binary, flags, log: this.#shared.log });
    const transport = await this.#transport(runtime);
    await transport.connect();
    const parts: DaemonParts = {
      runtime,
      db: this.#shared.db,
      transport,
      rpc: createRpc(runtime, transport),
      images: createImageService(runtime, this.#registry),
    };
    const daemon = await part.start(parts);
    this.#running.push({ daemon, transport });
    const images = 'doors' in daemon ? daemon.doors['images'] : undefined;
    if (images !== undefined) this.#registry ??= ownRegistry(flags, images);
  }

  /** The bus of this process, or with --nofake_rabbit a broker, where daemons of other hosts may join. */
  async #transport(runtime: Runtime): Promise<Transport> {
    if (runtime.flags.fake_rabbit) return this.#bus.transport(runtime);
    const { amqpTransport } = await import('../common/rpc/amqp.js');
    const transport = amqpTransport(runtime);
    transport.onGivenUp?.((error) => this.#shared.fail?.(error));
    return transport;
  }
}
