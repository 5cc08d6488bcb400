import { createHash, createHmac } from 'node:crypto';
import { Agent, request as httpRequest } from 'node:http';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { makeNetworks, plainNetwork } from '../../common/cloud/networks.js';
import { adminContext, type Context } from '../../common/context.js';
import { openDatabase } from '../../common/db/database.js';
import type { Db } from '../../common/db/db.js';
import { createFloatingIps } from '../../common/db/floatingIps.js';
import { addMember, addProjectRole, createProject } from '../../common/db/projects.js';
import { novaTables, ownTables } from '../../common/db/schema.js';
import { syncDatabase } from '../../common/db/sync.js';
import { addGlobalRole, createUser } from '../../common/db/users.js';
import type { FlagName } from '../../common/flags/flags.js';
import { flagsFrom } from '../../common/flags/values.js';
import { createImageService } from '../../common/images/client.js';
import type { ImageService } from '../../common/images/imageService.js';
import { RealRuntime } from '../../common/runtime/real.js';
import { InProcessBus } from '../../common/rpc/inProcess.js';
import { WholeCloud } from '../../nova-all/cloud.js';
import { freePort } from '../../nova-all/ports.js';
import { manage } from '../../nova-manage/manage.js';
import { MemoryLog } from './runtime.js';

/** A user of {@link startApiCloud}, and what the user may. */
export interface TestUser {
  readonly name: string;
  readonly project: string;
  readonly isAdmin?: boolean;
  /** Held globally and in the project; only the two together count. */
  readonly roles?: readonly string[];
  readonly globalRoles?: readonly string[];
  readonly projectRoles?: readonly string[];
}

const projectRoles = ['sysadmin', 'netadmin', 'developer'];

/** The users which the cloud has; the first one of a project manages it. */
export const testUsers = {
  admin: { name: 'admin', project: 'admin', isAdmin: true },
  manager: { name: 'manager', project: 'demo' },
  demo: { name: 'demo', project: 'demo', roles: ['sysadmin', 'netadmin'] },
  roleless: { name: 'roleless', project: 'demo' },
  netadmin: { name: 'netadmin', project: 'demo', roles: ['netadmin'] },
  sysadmin: { name: 'sysadmin', project: 'demo', roles: ['sysadmin'] },
  developer: { name: 'developer', project: 'demo', roles: ['developer'] },
  globally: { name: 'globally', project: 'demo', globalRoles: projectRoles },
  locally: { name: 'locally', project: 'demo', projectRoles },
  itsec: { name: 'itsec', project: 'demo', globalRoles: ['itsec'] },
  cloudadmin: { name: 'cloudadmin', project: 'demo', globalRoles: ['cloudadmin'] },
  other: { name: 'other', project: 'other', roles: ['sysadmin', 'netadmin'] },
} as const satisfies Record<string, TestUser>;
export type UserName = keyof typeof testUsers;

export const accessKeyOf = (name: string): string => `${name}-access`;
export const secretKeyOf = (name: string): string => `${name}-secret`;

/** A path at which the EC2 API is served. */
export type Endpoint = '/services/Cloud' | '/services/Admin';

/** Pairs in the order in which they are sent; a Buffer is a form body as it is. */
export type CallParams = Readonly<Record<string, string | number>> | readonly (readonly [string, string])[] | Buffer;

/** No project runs out of anything. */
export const unlimited: Partial<Record<FlagName, unknown>> = {
  quota_instances: -1,
  quota_cores: -1,
  quota_ram: -1,
  quota_volumes: -1,
  quota_gigabytes: -1,
  quota_floating_ips: -1,
  quota_metadata_items: 128,
  quota_security_groups: -1,
  quota_security_group_rules: -1,
  quota_key_pairs: -1,
};

/** An answer of the API. */
export interface Answer {
  readonly status: number;
  readonly contentType: string;
  readonly xml: string;
  /** The error's code; `none` without one. */
  readonly code: string;
  readonly message: string;
}

/** A request as a client sends it. */
export interface RawRequest {
  readonly method: string;
  /** Path and query. */
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Buffer;
}

export interface Caller {
  readonly access: string;
  readonly secret: string;
  /** Sends an action, signed with version 4 (`signed: false`: without any credentials). */
  call(action: string, params?: CallParams): Promise<Answer>;
  /** {@link call} which must succeed. */
  ok(action: string, params?: CallParams): Promise<Answer>;
  /** The same caller at the other endpoint, or with a clock which is `late` ms behind. */
  at(place: { endpoint?: Endpoint; late?: number }): Caller;
}

export interface ApiCloud {
  readonly db: Db;
  readonly log: MemoryLog;
  readonly port: number;
  /** `state_path`. */
  readonly folder: string;
  /** Of the image registry. */
  readonly imagesPort: number;
  /** To register images with. */
  readonly images: ImageService;
  adminContext(): Context;
  /** Id of a public image. */
  readonly image: string;
  as(user: UserName, project?: string): Caller;
  /** A caller with whatever credentials. */
  caller(access: string, secret: string): Caller;
  /** Sends a request without credentials. */
  anonymous(action: string, params?: CallParams, endpoint?: Endpoint): Promise<Answer>;
  /** Sends a request as it is, signed or not. */
  send(request: RawRequest): Promise<Answer>;
  /** Runs `nova-manage` with these words; answers what it printed. Throws when it fails. */
  manage(...words: string[]): Promise<string>;
  /** Resolves when no instance, volume or snapshot is on its way to another state. */
  settle(): Promise<void>;
  /** Every row of every table, but of those which change by themselves (services, compute_nodes). */
  contents(): Promise<Record<string, string[]>>;
  /**
   * A number which grows with what statements change: rows of SQLite's one connection in memory, transactions of
   * PostgreSQL. As long as it stays, nothing was written.
   */
  changes(): Promise<number>;
  /** How many statements, and messages, there have been. */
  traffic(): { statements: number; messages: number };
  stop(): Promise<void>;
}

/** The text of the first element of this name. */
export function textOf(answer: Answer, element: string): string {
  const match = new RegExp(`<${element}>([^<]*)</${element}>`).exec(answer.xml);
  if (match === null) throw new Error(`No ${element} in ${answer.xml}`);
  return match[1]!;
}
/** The texts of all elements of this name. */
export function textsOf(answer: Answer, element: string): string[] {
  return [...answer.xml.matchAll(new RegExp(`<${element}>([^<]*)</${element}>`, 'g'))].map((match) => match[1]!);
}

/** A form body. Names and values are percent-encoded as UTF-8. */
export function formOf(params: CallParams): Buffer {
  if (Buffer.isBuffer(params)) return params;
  const pairs = Array.isArray(params) ? (params as readonly (readonly [string, string])[]) : Object.entries(params);
  return Buffer.from(
    pairs.map(([name, value]) => `${encodeURIComponent(name)}=${encodeURIComponent(value)}`).join('&'),
  );
}

/**
 * The whole cloud in the test's own process: real daemons on the in-process bus and a database in memory (or
 * `sql_connection`), its EC2 API and image registry on ports of their own. Users: {@link testUsers}.
 */
export async function startApiCloud(flagValues: Partial<Record<FlagName, unknown>> = {}): Promise<ApiCloud> {
  const folder = mkdtempSync(join(tmpdir(), 'nova-api-'));
  const [ec2Port, imagesPort] = [await freePort('127.0.0.1'), await freePort('127.0.0.1')];
  const flags = flagsFrom({
    host: 'cloud1',
    my_ip: '127.0.0.1',
    state_path: folder,
    sql_connection: 'sqlite://',
    fake_rabbit: true,
    enabled_apis: ['ec2', 'images'],
    ec2_listen: '127.0.0.1',
    ec2_listen_port: ec2Port,
    images_listen: '127.0.0.1',
    images_listen_port: imagesPort,
    glance_api_servers: [`127.0.0.1:${imagesPort}`],
    connection_type: 'fake',
    fake_spawn_ms: 0,
    fake_network: true,
    flat_network_bridge: 'br100',
    network_manager: 'nova.network.manager.FlatManager',
    volume_driver: 'nova.volume.driver.FakeISCSIDriver',
    scheduler_driver: 'nova.scheduler.simple.SimpleScheduler',
    ec2_auth: 'keys',
    // Nothing happens but what requests cause.
    report_interval: 3600,
    periodic_interval: 3600,
    service_down_time: 100_000,
    drain_timeout: 1,
    max_cores: 10_000,
    max_gigabytes: 10_000_000,
    ...flagValues,
  });
  const log = new MemoryLog();
  const runtime = new RealRuntime({ binary: 'nova-manage', flags, log });
  const traffic = { statements: 0, messages: 0 };
  const db = openDatabase(runtime, { watch: () => void (traffic.statements += 1) });
  await db.connect();
  await syncDatabase(db);
  await makeUsers(db);
  await makeNetworks({ db, random: runtime.random }, plainNetwork('private', '10.0.0.0/24'));
  await createFloatingIps(
    db,
    Array.from({ length: 60 }, (_, index) => `4.4.4.${index + 1}`),
  );
  const bus = new InProcessBus();
  countMessages(bus, () => (traffic.messages += 1));
  const cloud = new WholeCloud({ flags, log, db }, bus);
  await cloud.start();
  const images = createImageService(runtime);
  const image = await images.create(
    adminContext(runtime),
    { name: 'tiny', disk_format: 'raw', container_format: 'bare', is_public: true },
    new Blob(['tiny']).stream() as ReadableStream<Uint8Array>,
  );

  const agent = new Agent({ keepAlive: true, maxSockets: 64 });
  const host = `127.0.0.1:${ec2Port}`;
  const post = (endpoint: Endpoint, headers: Record<string, string>, body: Buffer): Promise<Answer> => {
    const type = 'application/x-www-form-urlencoded; charset=utf-8';
    const request = { method: 'POST', url: endpoint, headers: { ...headers, 'content-type': type }, body };
    return exchange(agent, ec2Port, request);
  };
  const bodyOf = (action: string, params: CallParams = {}): Buffer => {
    const protocol = formOf({ Action: action, Version: '2011-01-01' });
    const form = formOf(params);
    return form.length === 0 ? protocol : Buffer.concat([protocol, Buffer.from('&'), form]);
  };
  const callerAt = (access: string, secret: string, endpoint: Endpoint, late: number): Caller => {
    const call: Caller['call'] = (action, params) => {
      const body = bodyOf(action, params);
      const now = runtime.clock.now() - late;
      return post(endpoint, signedV4({ host, endpoint, access, secret, body, now }), body);
    };
    return {
      access,
      secret,
      call,
      async ok(action, params) {
        const answer = await call(action, params);
        if (answer.status !== 200) throw new Error(`${action}: ${answer.status} ${answer.xml}`);
        return answer;
      },
      at: (place) => callerAt(access, secret, place.endpoint ?? endpoint, place.late ?? late),
    };
  };
  const caller = (access: string, secret: string): Caller => callerAt(access, secret, '/services/Cloud', 0);
  const unsettled = async (): Promise<boolean> => {
    const busy = await db.first(
      'SELECT id FROM instances WHERE deleted = ? AND task_state IS NOT NULL AND vm_state <> ? ' +
        'UNION ALL SELECT id FROM volumes WHERE deleted = ? AND status IN (?, ?) ' +
        'UNION ALL SELECT id FROM snapshots WHERE deleted = ? AND status IN (?, ?)',
      [false, 'error', false, 'creating', 'deleting', false, 'creating', 'deleting'],
    );
    return busy !== undefined || !bus.idle;
  };
  return {
    db,
    log,
    port: ec2Port,
    folder,
    imagesPort,
    images,
    adminContext: () => adminContext(runtime),
    image: `ami-${Number(image.id).toString(16).padStart(8, '0')}`,
    as: (user, project) => caller(`${accessKeyOf(user)}:${project ?? testUsers[user].project}`, secretKeyOf(user)),
    caller,
    anonymous: (action, params, endpoint = '/services/Cloud') => post(endpoint, { host }, bodyOf(action, params)),
    send: (request) => exchange(agent, ec2Port, request),
    async manage(...words) {
      const lines: string[] = [];
      const print = (line: string): void => void lines.push(line);
      const environment = {
        runtime,
        print,
        database: async () => db,
        rawDatabase: async () => db,
        rpc: () => Promise.reject(new Error('no bus')),
        images: () => images,
      };
      const status = await manage(words, environment, { out: print, err: print });
      if (status !== 0) throw new Error(`nova-manage ${words.join(' ')}: ${status}\n${lines.join('\n')}`);
      return lines.join('\n');
    },
    async settle() {
      for (let round = 0; await unsettled(); round++) {
        if (round > 3000) throw new Error('The cloud does not come to rest');
        await runtime.sleep(5);
      }
    },
    async contents() {
      const tables: Record<string, string[]> = {};
      for (const { name } of [...novaTables, ...ownTables]) {
        if (name === 'services' || name === 'compute_nodes') continue;
        const rows = await db.all(`SELECT * FROM "${name}"`);
        tables[name] = rows.map((row) => JSON.stringify(row)).sort();
      }
      return tables;
    },
    async changes() {
      const counter = db.dialect === 'sqlite' ? 'total_changes()' : 'txid_snapshot_xmax(txid_current_snapshot())';
      return Number((await db.first<{ n: number | string }>(`SELECT ${counter} AS n`))!.n);
    },
    traffic: () => ({ ...traffic }),
    async stop() {
      agent.destroy();
      await cloud.stop();
      await db.close();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

/** Calls `count` for each message which a daemon sends on the bus. */
function countMessages(bus: InProcessBus, count: () => void): void {
  const transportOf = bus.transport.bind(bus);
  bus.transport = (runtime) => {
    const transport = transportOf(runtime);
    for (const way of ['publish', 'publishFanout', 'call'] as const) {
      const send = transport[way].bind(transport) as (...parts: unknown[]) => Promise<never>;
      transport[way] = (...parts: unknown[]) => {
        count();
        return send(...parts);
      };
    }
    return transport;
  };
}

async function makeUsers(db: Db): Promise<void> {
  const projects = new Set<string>();
  for (const user of Object.values(testUsers) as TestUser[]) {
    const { name, project, isAdmin = false, roles = [] } = user;
    const { globalRoles = [], projectRoles: roleNames = [] } = user;
    await createUser(db, { id: name, accessKey: accessKeyOf(name), secretKey: secretKeyOf(name), isAdmin });
    if (projects.has(project)) await addMember(db, project, name);
    else await createProject(db, project, name);
    projects.add(project);
    for (const role of [...roles, ...globalRoles]) await addGlobalRole(db, name, role);
    for (const role of [...roles, ...roleNames]) await addProjectRole(db, name, project, role);
  }
}

const hmac = (key: string | Buffer, text: string): Buffer => createHmac('sha256', key).update(text).digest();
const sha256 = (data: string | Buffer): string => createHash('sha256').update(data).digest('hex');

/** The headers of a POST signed with version 4, which signs the body's bytes whatever they are. */
function signedV4(parts: {
  host: string;
  endpoint: Endpoint;
  access: string;
  secret: string;
  body: Buffer;
  now: number;
}): Record<string, string> {
  const { host, endpoint, access, secret, body } = parts;
  const stamp = new Date(parts.now).toISOString().replace(/[-:]|\.\d+/g, '');
  const date = stamp.slice(0, 8);
  const canonical = `POST\n${endpoint}\n\nhost:${host}\nx-amz-date:${stamp}\n\nhost;x-amz-date\n${sha256(body)}`;
  const scope = `${date}/nova/ec2/aws4_request`;
  const key = ['nova', 'ec2', 'aws4_request'].reduce(hmac, hmac(`AWS4${secret}`, date));
  const signature = hmac(key, `AWS4-HMAC-SHA256\n${stamp}\n${scope}\n${sha256(canonical)}`).toString('hex');
  return {
    host,
    'x-amz-date': stamp,
    authorization: `AWS4-HMAC-SHA256 Credential=${access}/${scope}, SignedHeaders=host;x-amz-date, Signature=${signature}`,
  };
}

function exchange(agent: Agent, port: number, { method, url, headers, body }: RawRequest): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const request = httpRequest(
      {
        agent,
        host: '127.0.0.1',
        port,
        method,
        path: url,
        headers: { ...headers, 'content-length': body.length },
      },
      (response) => {
        const chunks: Buffer[] = [];
        response.on('data', (chunk: Buffer) => chunks.push(chunk));
        response.on('error', reject);
        response.on('end', () => {
          const xml = Buffer.concat(chunks).toString('utf8');
          resolve({
            status: response.statusCode ?? 0,
            contentType: response.headers['content-type'] ?? '',
            xml,
            code: /<Code>(.*?)<\/Code>/s.exec(xml)?.[1] ?? 'none',
            message: /<Message>(.*?)<\/Message>/s.exec(xml)?.[1] ?? '',
          });
        });
      },
    );
    request.on('error', reject);
    request.end(body);
  });
}
