import cluster, { type Worker } from 'node:cluster';
import type { DaemonParts, RunningDaemon } from '../common/daemon.js';
import { StartupError } from '../common/errors.js';
import type { Logger } from '../common/log.js';
import { within } from '../common/service/timers.js';
import { startApi } from './start.js';

/** So long after its end a worker is started again. */
const restartAfterMs = 1000;

/**
 * nova-api with the flag ec2_workers: with more than one the EC2 API is served by so many processes on one port, which
 * this one starts, and starts again when they end; the other APIs stay here. Throws StartupError, also when a worker can't
 * start (it has said why).
 */
export async function startApiWithWorkers(parts: DaemonParts): Promise<RunningDaemon> {
  const { flags } = parts.runtime;
  if (cluster.isWorker) {
    const api = await startApi(parts, ['ec2']);
    process.send?.({ serves: true });
    return { ...api, worker: cluster.worker!.id };
  }
  if (flags.ec2_workers === 1 || !flags.enabled_apis.includes('ec2')) return startApi(parts);
  const others = await startApi(
    parts,
    flags.enabled_apis.filter((name) => name.trim() !== 'ec2'),
  );
  const workers = new Workers(parts, flags.ec2_workers);
  try {
    await workers.start();
  } catch (error) {
    await Promise.all([workers.stop(), others.stop()]);
    throw error;
  }
  return {
    binary: others.binary,
    stop: async () => {
      await Promise.all([workers.stop(), others.stop()]);
    },
    reopenLogs: () => {
      others.reopenLogs();
      workers.signal('SIGHUP');
    },
  };
}

/** The processes which serve the EC2 API. */
class Workers {
  readonly #log: Logger;
  #stopping = false;

  constructor(
    private readonly parts: DaemonParts,
    private readonly count: number,
  ) {
    this.#log = parts.runtime.log.logger('nova.api');
  }

  /** Resolves when all serve. Throws StartupError when one ends before. */
  async start(): Promise<void> {
    await Promise.all(Array.from({ length: this.count }, () => this.#fork()));
    cluster.on('exit', (worker) => this.#onExit(worker));
  }

  signal(signal: NodeJS.Signals): void {
    for (const worker of this.#running()) worker.process.kill(signal);
  }

  /** Lets them finish as drain_timeout says. */
  async stop(): Promise<void> {
    const { runtime } = this.parts;
    this.#stopping = true;
    const gone = this.#running().map((worker) => new Promise<void>((resolve) => worker.once('exit', () => resolve())));
    this.signal('SIGTERM');
    const patience = (runtime.flags.drain_timeout + 5) * 1000;
    if (!(await within(runtime, patience, Promise.all(gone)))) this.signal('SIGKILL');
  }

  #fork(): Promise<void> {
    const worker = cluster.fork();
    return new Promise((resolve, reject) => {
      worker.once('message', () => resolve());
      worker.once('exit', () => reject(new StartupError('A process of --ec2_workers ended before it served')));
    });
  }

  #onExit(worker: Worker): void {
    if (this.#stopping) return;
    this.#log.error(`Process ${worker.process.pid} of --ec2_workers has ended; another one takes its place`);
    this.parts.runtime.after(restartAfterMs, () => {
      // one which ends before it serves comes here again
      if (!this.#stopping) void this.#fork().catch(() => undefined);
    });
  }

  #running(): Worker[] {
    return Object.values(cluster.workers ?? {}).filter((worker) => worker !== undefined);
  }
}
