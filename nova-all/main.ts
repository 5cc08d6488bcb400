import { join, relative } from 'node:path';
import { openDatabase } from '../common/db/database.js';
import type { FileLock } from '../common/db/fileLock.js';
import { createImageService } from '../common/images/client.js';
import { logFileOf } from '../common/log/open.js';
import { runProgram, type Program, type RunningProgram } from '../common/program.js';
import { notifyReady } from '../common/service/systemd.js';
import { WholeCloud } from './cloud.js';
import { shownDefaults, withDefaults } from './defaults.js';
import { finishFirstStart, prepareState } from './firstStart.js';
import { writeFlagFile } from './flagFile.js';
import { ec2Url, s3Url, writeRcFiles } from './rcFiles.js';
import { lockState } from './stateLock.js';

const usage = {
  binary: 'nova-all',
  summary: 'Runs a whole cloud in one process: the five daemons, the objectstore and the image registry.',
  defaults: shownDefaults,
};

// A reader of the output who went away (a closed terminal) doesn't end the cloud.
process.stdout.on('error', () => undefined);
const say = (line: string): void => void process.stdout.write(`nova-all: ${line}\n`);

let lock: FileLock | null = null;

await runProgram({
  usage,
  // A host's /etc/nova/nova.conf is its daemons', not this cloud's.
  searchFlagFiles: false,
  values: withDefaults,
  hangup: process.stdin.isTTY ? 'stop' : 'reopen',
  prepare: async (flags) => {
    lock = await lockState(flags.state_path);
  },
  start: startCloud,
});

async function startCloud({ runtime, flags, log, fail }: Program): Promise<RunningProgram> {
  const db = openDatabase(runtime);
  await db.connect();
  const parts = { runtime, db, say };
  const isFirst = await prepareState(parts);
  await writeFlagFile(runtime.files, flags);
  const cloud = new WholeCloud({ flags, log, db, fail });
  say('starting the daemons');
  await cloud.start();
  const ownRegistry = flags.enabled_apis.includes('images');
  if (isFirst) await finishFirstStart(parts, ownRegistry ? createImageService(runtime) : null);
  await writeRcFiles(runtime, db);
  process.stdout.write(welcome(runtime));
  await notifyReady(runtime, 'ready');
  return {
    stop: async () => {
      say('stopping');
      await cloud.stop();
      await db.close();
      await lock?.release();
    },
  };
}

/** Where things are, and three commands to try. */
function welcome(runtime: Program['runtime']): string {
  const { flags } = runtime;
  const novarc = join(flags.state_path, 'novarc');
  const near = relative(process.cwd(), novarc);
  const aws = 'aws ec2 --endpoint-url "$EC2_URL"';
  return [
    '',
    `The cloud runs, process ${process.pid}; Ctrl-C ends it.`,
    '',
    `  EC2 API   ${ec2Url(runtime)}`,
    ...(flags.enabled_apis.includes('images') ? [`  images    http://${flags.glance_api_servers[0]}`] : []),
    ...(flags.enabled_apis.includes('objectstore') ? [`  S3 API    ${s3Url(runtime)}`] : []),
    `  state     ${flags.state_path}`,
    `  log       ${logFileOf(flags, 'nova-all') ?? 'standard error'}`,
    '',
    'Try in another terminal:',
    '',
    `  . ${near.startsWith('..') ? novarc : `./${near}`}`,
    `  ${aws} run-instances --image-id ami-00000001 --instance-type m1.tiny`,
    `  ${aws} describe-instances`,
    '',
    '',
  ].join('\n');
}
