/* eslint-disable no-restricted-imports -- looks for the flag file of a state directory before there is a runtime */
import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { Db } from '../common/db/db.js';
import { StartupError } from '../common/errors.js';
import { defaultFlagFiles } from '../common/flags/files.js';
import { parseFlags, type ParsedFlags } from '../common/flags/parse.js';
import { flagsFrom } from '../common/flags/values.js';
import { fullHelp, shortHelp } from '../common/flags/help.js';
import { createImageService } from '../common/images/client.js';
import { openLog } from '../common/log/open.js';
import { hideSecrets } from '../common/processTitle.js';
import { novaVersion, productVersion } from '../common/projectRoot.js';
import type { Rpc } from '../common/rpc/rpc.js';
import type { Transport } from '../common/rpc/transport.js';
import { RealRuntime } from '../common/runtime/real.js';
import type { ManageEnvironment } from './command.js';
import { manage, type ManageOutput, shownWords } from './manage.js';

const usage = {
  binary: 'nova-manage',
  summary: 'nova-manage [flags] category action [arguments]: looks after a cloud. Without a category it lists them.',
};

/** A command is for somebody who waits: it tries a few times where a daemon tries for ever. */
const impatience = { sql_max_retries: 3, rabbit_max_retries: 3, rpc_response_timeout: 30 };

/** Runs `nova-manage` on the words after the program's name and answers the exit status. */
export async function main(argv: readonly string[]): Promise<number> {
  const output: ManageOutput = {
    out: (line) => void process.stdout.write(`${line}\n`),
    err: (line) => void process.stderr.write(`${line}\n`),
  };
  let parsed: ParsedFlags;
  let closing: () => Promise<void> = async () => undefined;
  hideSecrets();
  try {
    parsed = parse(argv);
    hideSecrets(shownWords(parsed.positionals));
    if (parsed.show !== null) {
      output.out(
        parsed.show === 'version' ? `nova-manage ${productVersion()} (Nova ${novaVersion})` : helpText(parsed.show),
      );
      return 0;
    }
    const flags = flagsFrom({ ...impatience, ...parsed.values });
    const log = await openLog(flags, 'nova-manage', { now: realNow });
    const runtime = new RealRuntime({ binary: 'nova-manage', flags, log });
    const { environment, close } = openEnvironment(runtime, output);
    closing = async () => {
      await close();
      await log.close();
    };
    parsed.warnings.forEach((warning) => log.logger('nova').warn(warning));
    return await manage(parsed.positionals, environment, output);
  } catch (error) {
    if (!(error instanceof StartupError)) throw error;
    output.err(`nova-manage: ${error.message}`);
    return 1;
  } finally {
    await closing();
  }
}

const realNow = (): number => Date.now(); // eslint-disable-line no-restricted-syntax -- the log's clock, before there is a runtime

const helpText = (kind: 'help' | 'helpshort'): string =>
  (kind === 'help' ? fullHelp(usage) : shortHelp(usage)).trimEnd();

/**
 * The flags; those of a cloud which nova-all runs are in its state directory, so that naming the directory is enough to
 * work on it.
 */
function parse(argv: readonly string[]): ParsedFlags {
  const defaultFiles = defaultFlagFiles(dirname(process.argv[1] ?? ''));
  const first = parseFlags({ argv, defaultFiles });
  const statePath = first.values.state_path;
  const own = typeof statePath === 'string' ? join(statePath, 'nova.conf') : null;
  if (own === null || argv.some((word) => word.includes('flagfile')) || !existsSync(own)) return first;
  return parseFlags({ argv, defaultFiles: [own] });
}

/** Opens what commands ask for, once; `close` closes what was opened. */
function openEnvironment(
  runtime: RealRuntime,
  output: ManageOutput,
): { environment: ManageEnvironment; close: () => Promise<void> } {
  let database: Promise<Db> | undefined;
  let checked: Promise<Db> | undefined;
  let bus: Promise<{ transport: Transport; rpc: Rpc }> | undefined;
  const rawDatabase = (): Promise<Db> => (database ??= connectDatabase(runtime));
  const environment: ManageEnvironment = {
    runtime,
    print: output.out,
    rawDatabase,
    database: () => (checked ??= rawDatabase().then(withSchema)),
    rpc: async () => (await (bus ??= connectBus(runtime))).rpc,
    images: () => createImageService(runtime),
    write: (data) => void process.stdout.write(data),
  };
  const close = async (): Promise<void> => {
    await bus?.then(({ transport }) => transport.close()).catch(() => undefined);
    await database?.then((db) => db.close()).catch(() => undefined);
  };
  return { environment, close };
}

async function connectDatabase(runtime: RealRuntime): Promise<Db> {
  const { openDatabase } = await import('../common/db/database.js');
  const db = openDatabase(runtime);
  await db.connect();
  return db;
}

async function withSchema(db: Db): Promise<Db> {
  const { requireSchema } = await import('../common/db/sync.js');
  await requireSchema(db);
  return db;
}

async function connectBus(runtime: RealRuntime): Promise<{ transport: Transport; rpc: Rpc }> {
  if (runtime.flags.fake_rabbit) {
    throw new StartupError('--fake_rabbit: the bus is inside nova-all, and this command needs to reach the daemons');
  }
  const [{ amqpTransport }, { createRpc }] = await Promise.all([
    import('../common/rpc/amqp.js'),
    import('../common/rpc/client.js'),
  ]);
  const transport = amqpTransport(runtime);
  await transport.connect();
  return { transport, rpc: createRpc(runtime, transport) };
}
