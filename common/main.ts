import type { StartDaemon } from './daemon.js';
import { runProgram, type Program, type RunningProgram } from './program.js';
import type { Transport } from './rpc/transport.js';
import { notifyReady } from './service/systemd.js';

/** What each daemon is for, as `--help` says it. */
const summaries: Readonly<Record<string, string>> = {
  'nova-api': 'Serves the HTTP APIs named by --enabled_apis.',
  'nova-compute': 'Runs the instances of this host.',
  'nova-network': 'Gives instances their networks and addresses.',
  'nova-scheduler': 'Chooses the host of each new instance and volume.',
  'nova-volume': 'Keeps and exports the volumes of this host.',
};

/**
 * The whole life of one daemon's process: flags, log, database, bus, `load`ed daemon, signals, exit. Modules are imported
 * when they are needed, so that each daemon loads only its own. Resolves when the daemon serves, or could not start.
 */
export async function runDaemon(binary: string, load: () => Promise<StartDaemon>): Promise<void> {
  const usage = { binary, summary: summaries[binary] ?? '' };
  await runProgram({ usage, start: (program) => startDaemon(program, binary, load) });
}

async function startDaemon(
  program: Program,
  binary: string,
  load: () => Promise<StartDaemon>,
): Promise<RunningProgram> {
  const { runtime } = program;
  const [{ openDatabase }, { requireSchema }, { createRpc }, { createImageService }, start] = await Promise.all([
    import('./db/database.js'),
    import('./db/sync.js'),
    import('./rpc/client.js'),
    import('./images/client.js'),
    load(),
  ]);
  const db = openDatabase(runtime);
  const transport = await openTransport(program);
  await Promise.all([transport.connect(), db.connect().then(() => requireSchema(db))]);
  const parts = { runtime, db, transport, rpc: createRpc(runtime, transport), images: createImageService(runtime) };
  transport.onGivenUp?.(program.fail);
  const daemon = await start(parts);
  const log = runtime.log.logger('nova.service');
  if (daemon.worker === undefined) {
    log.info(`${binary} is ready`);
    await notifyReady(runtime, 'ready');
  } else {
    log.info(`${binary}, process ${daemon.worker} of several, serves`);
  }
  return {
    stop: async () => {
      await daemon.stop();
      await transport.close();
      await db.close();
    },
  };
}

/** RabbitMQ, or with fake_rabbit a bus of this process alone. */
async function openTransport({ runtime, flags }: Program): Promise<Transport> {
  if (!flags.fake_rabbit) return (await import('./rpc/amqp.js')).amqpTransport(runtime);
  const { InProcessBus } = await import('./rpc/inProcess.js');
  return new InProcessBus().transport(runtime);
}
