import { rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { adminContext, type Context } from '../../common/context.js';
import { openDatabase } from '../../common/db/database.js';
import type { Db } from '../../common/db/db.js';
import { createProject, deleteProject, listProjects, removeProjectRole } from '../../common/db/projects.js';
import { createUser, listUsers, modifyUser, removeGlobalRole } from '../../common/db/users.js';
import { parseFlags } from '../../common/flags/parse.js';
import { createImageService } from '../../common/images/client.js';
import type { ImageFields, ImageService } from '../../common/images/imageService.js';
import { freePort, prepareProcessCloud, startEmbeddedCloud, type TestCloud } from '../support/cloud.js';
import { type DaemonProcess, spawnDaemon } from '../support/daemons.js';
import { lockoutPaste } from '../support/lockoutPaste.js';
import { testRuntime } from '../support/runtime.js';
import { send, type Received } from './send.js';
import { signedRequest } from './signing.js';

/** What the recorded system had: addresses by DHCP, metadata behind a proxy, and quotas of instances alone. */
const recordedFlags = [
  '--network_manager=nova.network.manager.FlatDHCPManager',
  '--use_forwarded_for',
  '--quota_cores=-1',
  '--quota_ram=-1',
];

/** The recorded images, in the order of their ids. */
const recordedImages: readonly (ImageFields & { name: string })[] = [
  image('kernel', 'aki', { architecture: 'x86_64', image_location: 'base/vmlinuz.manifest.xml' }),
  image('ramdisk', 'ari', { architecture: 'x86_64' }),
  image('base', 'ami', { architecture: 'x86_64', image_location: 'base/disk.img.manifest.xml' }),
  image('plain', 'raw', {}),
  { ...image('private', 'ami', { owner_id: 'proj', project_id: 'proj' }), is_public: false },
];

function image(name: string, format: string, properties: Record<string, string>): ImageFields & { name: string } {
  return {
    name,
    is_public: true,
    disk_format: format,
    container_format: format === 'raw' ? 'bare' : format,
    properties,
  };
}

/** Kinds of a cloud which the recordings are replayed on. */
export const kinds = {
  'the embedded cloud': startEmbedded,
  'five processes on RabbitMQ and PostgreSQL': startProcesses,
} as const;
export type Kind = keyof typeof kinds;

interface Started {
  readonly cloud: TestCloud;
  readonly flagFile: string;
}

async function startEmbedded(): Promise<Started> {
  const cloud = await startEmbeddedCloud([
    '--host=cloud1',
    '--fixed_range=10.0.0.0/20',
    '--network_size=4096',
    '--floating_range=1.2.3.0/27',
    ...recordedFlags,
  ]);
  return { cloud, flagFile: join(cloud.stateFolder, 'nova.conf') };
}

async function startProcesses(): Promise<Started> {
  const cloud = await prepareProcessCloud({ flags: ['--host=cloud1', ...recordedFlags] });
  try {
    await cloud.manage('db', 'sync');
    await cloud.manage('network', 'create', 'private', '10.0.0.0/20', '1', '4096');
    await cloud.manage('floating', 'create', '1.2.3.0/27');
    await cloud.start('nova-api');
    const others = ['nova-network', 'nova-volume', 'nova-scheduler', 'nova-compute', 'nova-objectstore'];
    await Promise.all(others.map((binary) => cloud.start(binary)));
  } catch (error) {
    await cloud.stop();
    throw error;
  }
  return { cloud, flagFile: cloud.flagFile };
}

/** The images of a cloud. */
class Registry {
  #ids: readonly string[] = [];

  constructor(
    private readonly service: ImageService,
    private readonly context: Context,
  ) {}

  /** EC2 ids of the recorded images, in their order. */
  get ids(): readonly string[] {
    return this.#ids.map((id, index) => {
      const format = recordedImages[index]!.container_format;
      return `${format === 'bare' ? 'ami' : format}-${Number(id).toString(16).padStart(8, '0')}`;
    });
  }

  /** Makes the recorded images, and takes away all others. */
  async restore(): Promise<void> {
    for (const { id } of await this.service.detail(this.context)) await this.service.delete(this.context, id);
    const ids: string[] = [];
    for (const fields of recordedImages) {
      const data = new Blob([fields.name]).stream() as ReadableStream<Uint8Array>;
      const boot: Record<string, string> = fields.name === 'base' ? { kernel_id: ids[0]!, ramdisk_id: ids[1]! } : {};
      const all = { ...fields, properties: { ...fields.properties, ...boot } };
      ids.push((await this.service.create(this.context, all, data)).id);
    }
    this.#ids = ids;
  }
}

/** The recorded system with our daemons: its users, images, network and addresses, and nothing else. */
export class ReplayCloud {
  readonly #doors = new Map<string, { daemon: DaemonProcess; port: number }>();

  private constructor(
    readonly kind: Kind,
    private readonly started: Started,
    readonly db: Db,
    private readonly registry: Registry,
  ) {}

  static async start(kind: Kind): Promise<ReplayCloud> {
    const started = await kinds[kind]();
    const { values } = parseFlags({ argv: [`--flagfile=${started.flagFile}`], defaultFiles: [] });
    const { runtime, statePath } = testRuntime(values, { binary: 'nova-manage' });
    if (!started.flagFile.startsWith(statePath)) rmSync(statePath, { recursive: true, force: true });
    const db = openDatabase(runtime);
    await db.connect();
    await makeUsers(db);
    const registry = new Registry(createImageService(runtime), adminContext(runtime));
    await registry.restore();
    return new ReplayCloud(kind, started, db, registry);
  }

  /** EC2 ids of the recorded images, in their order. */
  get images(): readonly string[] {
    return this.registry.ids;
  }
  get ec2Port(): number {
    return Number(new URL(this.started.cloud.environment.EC2_URL).port);
  }
  get s3Port(): number {
    return Number(new URL(this.started.cloud.environment.S3_URL!).port);
  }
  output(): string {
    return this.started.cloud.output();
  }

  /** The port of a further nova-api of this cloud, with flags of its own; started when it is first asked for. */
  async door(name: string, flags: readonly string[]): Promise<number> {
    let door = this.#doors.get(name);
    if (door === undefined) {
      const port = await freePort();
      const daemon = await spawnDaemon('nova-api', [
        `--flagfile=${this.started.flagFile}`,
        '--enabled_apis=ec2',
        '--ec2_listen=127.0.0.1',
        `--ec2_listen_port=${port}`,
        ...flags,
      ]);
      door = { daemon, port };
      this.#doors.set(name, door);
    }
    return door.port;
  }

  /** The port of a nova-api whose pipeline for /services/Cloud has the filter ec2lockout. */
  async lockoutPort(): Promise<number> {
    const folder = dirname(this.started.flagFile);
    const paste = join(folder, 'lockout-paste.ini');
    writeFileSync(paste, lockoutPaste);
    return this.door('lockout', ['--ec2_auth=', `--api_paste_config=${paste}`]);
  }

  /** A request of our own. Throws unless it ends with the status expected. */
  async call(access: string, params: Readonly<Record<string, string>>, expected = 200): Promise<string> {
    const answer = await this.#ask(access, params);
    const text = answer.body.toString();
    if (answer.status !== expected) throw new Error(`${JSON.stringify(params)}: ${answer.status} ${text}`);
    return text;
  }

  /** Resolves when nothing is on its way to another state. */
  async settle(): Promise<void> {
    for (let round = 0; round < 1500; round += 1) {
      const busy = await this.db.first(
        'SELECT id FROM instances WHERE deleted = ? AND task_state IS NOT NULL AND vm_state <> ? ' +
          'UNION ALL SELECT id FROM volumes WHERE deleted = ? AND status IN (?, ?, ?, ?) ' +
          'UNION ALL SELECT id FROM snapshots WHERE deleted = ? AND status IN (?, ?)',
        [false, 'error', false, 'creating', 'deleting', 'attaching', 'detaching', false, 'creating', 'deleting'],
      );
      if (busy === undefined) return;
      await pause(10);
    }
    throw new Error(`The cloud does not come to rest\n${this.output().slice(-3000)}`);
  }

  /** The fixed address of an instance, by its EC2 id; waits until it has one and runs. */
  async addressOf(id: string): Promise<string> {
    await this.settle();
    const number = Number.parseInt(id.slice(2), 16);
    const row = await this.db.first<{ address: string }>('SELECT address FROM fixed_ips WHERE instance_id = ?', [
      number,
    ]);
    if (row === undefined) throw new Error(`${id} has no address`);
    return row.address;
  }

  /** Resolves when a worker has done what an accepted action asked it for; a state alone doesn't tell. */
  async done(action: string, params: ReadonlyMap<string, string>): Promise<void> {
    const sql = {
      AttachVolume: "SELECT id FROM volumes WHERE id = ? AND attach_status = 'attached'",
      DetachVolume: "SELECT id FROM volumes WHERE id = ? AND attach_status = 'detached'",
      AssociateAddress: 'SELECT id FROM floating_ips WHERE address = ? AND fixed_ip_id IS NOT NULL',
    }[action];
    if (sql === undefined) return;
    const volume = params.get('VolumeId');
    const value = volume === undefined ? (params.get('PublicIp') ?? '') : Number.parseInt(volume.slice(4), 16);
    for (let round = 0; (await this.db.first(sql, [value])) === undefined; round += 1) {
      if (round > 1500) throw new Error(`${action} has no effect\n${this.output().slice(-3000)}`);
      await pause(10);
    }
  }

  /** Takes away all that was made on it since it was started. */
  async reset(): Promise<void> {
    const texts = async (action: string, element: string, access = 'akey:proj'): Promise<string[]> => {
      const text = await this.call(access, { Action: action });
      return [...text.matchAll(new RegExp(`<${element}>([^<]*)</${element}>`, 'g'))].map((match) => match[1]!);
    };
    const each = async (
      action: string,
      name: string,
      values: readonly string[],
      access = 'akey:proj',
    ): Promise<void> => {
      for (const value of new Set(values)) await this.#ask(access, { Action: action, [name]: value });
    };
    await this.settle();
    await each('TerminateInstances', 'InstanceId.1', await texts('DescribeInstances', 'instanceId'));
    await this.settle();
    await each('DeleteSnapshot', 'SnapshotId', await texts('DescribeSnapshots', 'snapshotId'));
    await this.settle();
    await each('DeleteVolume', 'VolumeId', await texts('DescribeVolumes', 'volumeId'));
    await each('ReleaseAddress', 'PublicIp', await texts('DescribeAddresses', 'publicIp'));
    for (const access of ['akey:proj', 'dkey:demo'])
      await each('DeleteKeyPair', 'KeyName', await texts('DescribeKeyPairs', 'keyName', access), access);
    await each('DeleteSecurityGroup', 'GroupId', await texts('DescribeSecurityGroups', 'groupId'));
    await this.settle();
    await this.registry.restore();
  }

  async stop(): Promise<void> {
    await Promise.all([...this.#doors.values()].map(({ daemon }) => daemon.stop()));
    await this.db.close();
    await this.started.cloud.stop();
  }

  #ask(access: string, params: Readonly<Record<string, string>>): Promise<Received> {
    return send(this.ec2Port, signedRequest(`127.0.0.1:${this.ec2Port}`, access, params));
  }
}

/** An administrator with project `proj`, and `demo`, who has no roles but manages the project of that name. */
async function makeUsers(db: Db): Promise<void> {
  const users = [
    { id: 'admin', accessKey: 'akey', secretKey: 'skey', isAdmin: true },
    { id: 'demo', accessKey: 'dkey', secretKey: 'dsecret', isAdmin: false },
  ];
  const existing = (await listUsers(db)).map(({ id }) => id);
  for (const { id, ...user } of users) {
    if (existing.includes(id)) await modifyUser(db, id, user);
    else await createUser(db, { id, ...user });
    for (const role of ['sysadmin', 'netadmin']) {
      await removeGlobalRole(db, id, role);
      await removeProjectRole(db, id, 'demo', role);
    }
  }
  const projects = (await listProjects(db)).map(({ id }) => id);
  if (projects.includes('admin')) await deleteProject(db, 'admin');
  if (!projects.includes('demo')) await createProject(db, 'demo', 'demo');
  await createProject(db, 'proj', 'admin');
}
