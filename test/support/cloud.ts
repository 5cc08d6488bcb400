import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { type AddressInfo, createServer } from 'node:net';
import { join } from 'node:path';
import { DaemonProcess, runProgramToEnd, spawnDaemon } from './daemons.js';
import { postgres, type Postgres } from './postgres.js';
import { type RabbitMq, sharedRabbitMq } from './rabbitmq.js';
import { temporaryFolder } from './temporary.js';

/** What a client program needs to work on a cloud. */
export interface ClientEnvironment {
  EC2_URL: string;
  EC2_ACCESS_KEY: string;
  EC2_SECRET_KEY: string;
  /** Absent where the test has no objectstore. */
  S3_URL?: string;
}

/** How a client program ended. */
export interface ClientRun {
  code: number;
  output: string;
}

/** A cloud in processes of its own, as an operator would run it. */
export interface TestCloud {
  readonly environment: ClientEnvironment;
  /** Runs `nova-manage` on it and answers what it printed. Throws when it fails. */
  manage(...words: string[]): Promise<string>;
  /** What the daemons logged and printed. */
  output(): string;
  stop(): Promise<void>;
}

/** Runs a client program with the cloud's addresses and keys in its environment. */
export function runClient(
  cloud: Pick<TestCloud, 'environment'>,
  command: readonly string[],
  extra: Record<string, string> = {},
  deadlineMs = 240_000,
): Promise<ClientRun> {
  const { EC2_ACCESS_KEY: access, EC2_SECRET_KEY: secret } = cloud.environment;
  const env = {
    ...process.env,
    ...cloud.environment,
    AWS_ACCESS_KEY_ID: access,
    AWS_SECRET_ACCESS_KEY: secret,
    ...extra,
  };
  return new Promise((resolve) => {
    const [file, ...args] = command;
    execFile(file!, args, { env, timeout: deadlineMs, maxBuffer: 16 * 1024 * 1024 }, (error, stdout, stderr) => {
      const code = error === null ? 0 : typeof error.code === 'number' ? error.code : -1;
      resolve({ code, output: `${stdout}${stderr}` });
    });
  });
}

export async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  return port;
}

/** `nova-all` with a state directory of its own. */
export async function startEmbeddedCloud(
  flags: readonly string[] = [],
): Promise<TestCloud & { readonly stateFolder: string; readonly pid: number }> {
  const folder = temporaryFolder('cloud');
  const statePath = join(folder, 'state');
  const daemon = await spawnDaemon(
    'nova-all',
    [
      `--state_path=${statePath}`,
      '--ec2_listen_port=0',
      '--images_listen_port=0',
      '--s3_port=0',
      '--fake_spawn_ms=50',
      ...flags,
    ],
    { cwd: folder, ready: /The cloud runs/ },
  );
  const environment = readRcFile(join(statePath, 'novarc'));
  return {
    environment,
    stateFolder: statePath,
    pid: daemon.pid,
    manage: (...words) => manage([`--state_path=${statePath}`, ...words], folder),
    output: () => daemon.output + readFileSync(join(statePath, 'nova-all.log'), 'utf8'),
    async stop() {
      await daemon.stop();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

/** The variables which an rc file sets. */
function readRcFile(path: string): ClientEnvironment {
  const text = readFileSync(path, 'utf8');
  const value = (name: string): string => new RegExp(`^export ${name}="([^"]*)"$`, 'm').exec(text)?.[1] ?? '';
  return {
    EC2_URL: value('EC2_URL'),
    EC2_ACCESS_KEY: value('EC2_ACCESS_KEY'),
    EC2_SECRET_KEY: value('EC2_SECRET_KEY'),
    S3_URL: value('S3_URL'),
  };
}

async function manage(words: readonly string[], folder: string): Promise<string> {
  const { code, output } = await runProgramToEnd('nova-manage', words, { cwd: folder });
  if (code !== 0) throw new Error(`nova-manage ${words.join(' ')} ended with ${code}:\n${output}`);
  return output;
}

/** A cloud of processes, with its broker, so that a test can watch messages and end daemons. */
export interface ProcessCloud extends TestCloud {
  readonly broker: RabbitMq;
  readonly vhost: string;
  readonly server: Postgres;
  /** The URL of its database on PostgreSQL. */
  readonly database: string;
  readonly stateFolder: string;
  /** Host and port of its image registry. */
  readonly imagesServer: string;
  /** The daemon of a kind on a host. */
  daemon(binary: string, host?: string): DaemonProcess;
  /** Starts a daemon (again), with further flags. */
  start(binary: string, host?: string, flags?: readonly string[]): Promise<DaemonProcess>;
}

export interface ProcessCloudOptions {
  /** Compute hosts, `cloud1` and on; 2 when absent. */
  hosts?: number;
  /** Addresses of its network; 256 when absent. */
  networkSize?: number;
  /** For every daemon. */
  flags?: readonly string[];
  /** Servers of the test's own, which it may end; those which all suites share when absent. */
  broker?: RabbitMq;
  server?: Postgres;
  /** False for the sake of speed: the broker doesn't show the messages to {@link RabbitMq.recordMessages}. */
  firehose?: boolean;
  /** False: no nova-objectstore. */
  objectstore?: boolean;
}

/** A broker, a database and a flag file for daemons which the caller starts; nothing is in the database yet. */
export async function prepareProcessCloud(
  options: ProcessCloudOptions = {},
): Promise<ProcessCloud & { readonly flagFile: string }> {
  const folder = temporaryFolder('cloud');
  const [broker, server] = await Promise.all([options.broker ?? sharedRabbitMq(), options.server ?? postgres()]);
  const [vhost, database] = await Promise.all([broker.newVhost(options.firehose), server.freshDatabase()]);
  const { rabbit_host: rabbitHost, rabbit_port: rabbitPort } = broker.flags(vhost);
  const [ec2Port, imagesPort, s3Port] = [await freePort(), await freePort(), await freePort()];
  const flagFile = join(folder, 'nova.conf');
  const lines = [
    `--sql_connection=${database}`,
    `--rabbit_host=${rabbitHost}`,
    `--rabbit_port=${rabbitPort}`,
    `--rabbit_virtual_host=${vhost}`,
    '--rabbit_retry_interval=1',
    '--my_ip=127.0.0.1',
    `--state_path=${folder}`,
    '--enabled_apis=ec2,images',
    '--ec2_listen=127.0.0.1',
    `--ec2_listen_port=${ec2Port}`,
    '--images_listen=127.0.0.1',
    `--images_listen_port=${imagesPort}`,
    `--s3_port=${s3Port}`,
    `--glance_api_servers=127.0.0.1:${imagesPort}`,
    '--connection_type=fake',
    '--fake_spawn_ms=50',
    '--network_manager=nova.network.manager.FlatManager',
    '--fake_network',
    '--flat_network_bridge=br100',
    '--volume_driver=nova.volume.driver.FakeISCSIDriver',
    '--scheduler_driver=nova.scheduler.simple.SimpleScheduler',
    '--verbose',
    ...(options.flags ?? []),
  ];
  writeFileSync(flagFile, `${lines.join('\n')}\n`);

  const daemons = new Map<string, DaemonProcess>();
  const ended: DaemonProcess[] = [];
  return {
    environment: {
      EC2_URL: `http://127.0.0.1:${ec2Port}/services/Cloud`,
      S3_URL: `http://127.0.0.1:${s3Port}`,
      EC2_ACCESS_KEY: '',
      EC2_SECRET_KEY: '',
    },
    broker,
    vhost,
    server,
    database,
    stateFolder: folder,
    imagesServer: `127.0.0.1:${imagesPort}`,
    flagFile,
    manage: (...words) => manage([`--flagfile=${flagFile}`, ...words], folder),
    output: () => [...ended, ...daemons.values()].map((daemon) => daemon.output).join('\n'),
    daemon(binary, host = 'cloud1') {
      const daemon = daemons.get(`${binary} ${host}`);
      if (daemon === undefined) throw new Error(`${binary} on ${host} was not started`);
      return daemon;
    },
    async start(binary, host = 'cloud1', further = []) {
      const key = `${binary} ${host}`;
      const old = daemons.get(key);
      if (old !== undefined) ended.push(old);
      const words = [`--flagfile=${flagFile}`, `--host=${host}`, ...further];
      const daemon = new DaemonProcess(binary, words, { cwd: folder });
      daemons.set(key, daemon);
      await daemon.until(/ is ready/);
      return daemon;
    },
    async stop() {
      await Promise.all([...daemons.values()].map((daemon) => daemon.stop()));
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

/** Starts a cloud's daemons, the API (which has the images) before the others; answers all of them. */
export async function startDaemons(
  { start }: Pick<ProcessCloud, 'start'>,
  options: Pick<ProcessCloudOptions, 'hosts' | 'objectstore'>,
): Promise<DaemonProcess[]> {
  const api = await start('nova-api');
  const hosts = Array.from({ length: options.hosts ?? 2 }, (_, index) => `cloud${index + 1}`);
  const others = await Promise.all([
    start('nova-network'),
    ...(options.objectstore === false ? [] : [start('nova-objectstore')]),
    start('nova-volume'),
    start('nova-scheduler'),
    ...hosts.map((host) => start('nova-compute', host)),
  ]);
  return [api, ...others];
}

/** Runs what is left of a cloud's start. When that fails the cloud is stopped, and the error has what the daemons said. */
export async function orStop<T>(cloud: ProcessCloud, start: () => Promise<T>): Promise<T> {
  try {
    return await start();
  } catch (error) {
    const output = cloud.output();
    await cloud.stop();
    throw new Error(`The cloud did not start: ${error instanceof Error ? error.message : String(error)}\n${output}`, {
      cause: error,
    });
  }
}

/** Five daemons, and a nova-compute for each further host, on RabbitMQ and PostgreSQL; set up as README says. */
export async function startProcessCloud(options: ProcessCloudOptions = {}): Promise<ProcessCloud> {
  const cloud = await prepareProcessCloud(options);
  const { manage: run } = cloud;
  return orStop(cloud, async () => {
    await run('db', 'sync');
    const exports = await run('user', 'create', 'demo');
    const [access, secret] = ['EC2_ACCESS_KEY', 'EC2_SECRET_KEY'].map(
      (name) => new RegExp(`^export ${name}=(.*)$`, 'm').exec(exports)?.[1] ?? '',
    );
    await run('project', 'create', 'demo', 'demo');
    for (const role of ['sysadmin', 'netadmin']) {
      await run('role', 'add', 'demo', role);
      await run('role', 'add', 'demo', role, 'demo');
    }
    await run('network', 'create', 'private', '10.0.0.0/20', '1', String(options.networkSize ?? 256));
    await run('floating', 'create', '4.4.4.0/27');
    await startDaemons(cloud, options);
    const image = join(cloud.stateFolder, 'tiny.img');
    writeFileSync(image, Buffer.alloc(1024));
    await run('image', 'image_register', image, 'demo', 'tiny');
    const keys = { EC2_ACCESS_KEY: `${access}:demo`, EC2_SECRET_KEY: secret ?? '' };
    return { ...cloud, environment: { ...cloud.environment, ...keys } };
  });
}
