import { openDatabase } from '../../common/db/database.js';
import type { FlagName } from '../../common/flags/flags.js';
import { flagsFrom } from '../../common/flags/values.js';
import { RealRuntime } from '../../common/runtime/real.js';
import { startApiCloud } from './apiCloud.js';
import { orStop, prepareProcessCloud, startDaemons } from './cloud.js';
import type { DaemonProcess } from './daemons.js';
import { MemoryLog } from './runtime.js';
import { furnish, quietFlags, walkedCloud, type WalkedCloud } from './walkedCloud.js';

/** A kind of cloud, for suites which walk every action on each. */
export interface CloudKind {
  readonly on: string;
  start(flags: Partial<Record<FlagName, unknown>>): Promise<WalkedCloud>;
}

export const cloudKinds: readonly CloudKind[] = [
  { on: 'the embedded cloud', start: startApiCloud },
  { on: 'five processes', start: startApiProcesses },
];

/** {@link startApiCloud}'s cloud, but in five processes on RabbitMQ and PostgreSQL. */
async function startApiProcesses(flagValues: Partial<Record<FlagName, unknown>>): Promise<WalkedCloud> {
  const flagLines = Object.entries({ ...quietFlags, verbose: false, ...flagValues }).map(lineOf);
  const processes = await prepareProcessCloud({ flags: flagLines, firehose: false });
  const runtime = new RealRuntime({
    binary: 'nova-manage',
    flags: flagsFrom({
      sql_connection: processes.database,
      state_path: processes.stateFolder,
      glance_api_servers: [processes.imagesServer],
    }),
    log: new MemoryLog(),
  });
  const db = openDatabase(runtime);
  const started = orStop(processes, async () => {
    await furnish(db, runtime);
    const daemons = await startDaemons(processes, { hosts: 1, objectstore: false });
    const watches = daemons.map((daemon) => watchOf(daemon));
    return walkedCloud({
      db,
      runtime,
      port: Number(new URL(processes.environment.EC2_URL).port),
      troubles: () => watches.flatMap((watch) => watch()),
      async stop() {
        await processes.stop();
        await db.close();
      },
    });
  });
  return started.catch(async (error: unknown) => {
    await db.close();
    throw error;
  });
}

const lineOf = ([name, value]: [string, unknown]): string =>
  typeof value === 'boolean' ? `--${value ? '' : 'no'}${name}` : `--${name}=${String(value)}`;

/** Looks at what a daemon has logged since it was last asked, for what a request may not cause. */
function watchOf(daemon: DaemonProcess): () => string[] {
  let read = 0;
  return () => {
    const { output } = daemon;
    // A line which is not whole yet is left for the next look.
    const end = output.lastIndexOf('\n') + 1;
    const lines = output.slice(read, end).split('\n');
    read = end;
    const alarms = lines.filter((line) => /\b(ERROR|CRITICAL) nova\.api|^\s+at \S|\bTRACE\b.* at \S+/.test(line));
    return [
      ...alarms.map((line) => `${daemon.binary}: ${line}`),
      ...(daemon.hasEnded ? [`${daemon.binary} (${daemon.pid}) has ended`] : []),
    ];
  };
}
