import { Readable } from 'node:stream';
import { makeNetworks, plainNetwork } from '../common/cloud/networks.js';
import { adminContext } from '../common/context.js';
import type { RunningDaemon } from '../common/daemon.js';
import { openDatabase } from '../common/db/database.js';
import type { Db } from '../common/db/db.js';
import { createFloatingIps } from '../common/db/floatingIps.js';
import { addMember, addProjectRole, createProject } from '../common/db/projects.js';
import { syncDatabase } from '../common/db/sync.js';
import { Turns } from '../common/db/turns.js';
import { addGlobalRole, createUser } from '../common/db/users.js';
import type { Flags } from '../common/flags/flags.js';
import { flagsFrom } from '../common/flags/values.js';
import type { HttpDoor } from '../common/http/door.js';
import { createImageService } from '../common/images/client.js';
import type { HttpFetch } from '../common/runtime/runtime.js';
import { startScheduler } from '../nova-scheduler/start.js';
import { request, startApi, type SimulatedApi } from './api.js';
import { SimulatedDaemon, type Start, type Surroundings } from './daemon.js';
import { startCompute, startNetwork, startVolume } from './drivers.js';
import { Ec2Client } from './ec2Client.js';
import { SimulatedBroker } from './faults/bus.js';
import { DatabaseServer, FaultyDialect } from './faults/database.js';
import { SimulatedHost } from './host.js';
import { daemonsOf, users, type Setting } from './plan.js';
import { SeededRandom } from './seededRandom.js';
import { SimulatedLog } from './simulatedLog.js';
import { SimulatedRuntime } from './simulatedRuntime.js';
import { World } from './world.js';

export interface CloudOptions {
  seed: number;
  setting: Setting;
  /** Is told of each line of the log. */
  onLine?: ((line: string) => void) | undefined;
}

const starts: Readonly<Record<string, Start<RunningDaemon>>> = {
  'nova-api': startApi,
  'nova-network': startNetwork,
  'nova-volume': startVolume,
  'nova-scheduler': startScheduler,
  'nova-compute': startCompute,
};

/** The whole cloud in one process on a virtual clock: a seed and a setting determine everything that happens. */
export class SimulatedCloud {
  readonly world: World;
  readonly log: SimulatedLog;
  readonly broker: SimulatedBroker;
  readonly database: DatabaseServer;
  readonly hosts = new Map<string, SimulatedHost>();
  /** By name, e.g. `nova-compute@cloud1`, in the order of their start. */
  readonly daemons = new Map<string, SimulatedDaemon>();
  /** An observer's own way to the database, on which nothing goes wrong. */
  readonly db: Db;
  readonly #setting: Setting;
  readonly #flagsByHost = new Map<string, Flags>();
  readonly #around: Surroundings;
  readonly #observer: SimulatedRuntime;

  constructor({ seed, setting, onLine }: CloudOptions) {
    const random = new SeededRandom(seed ^ 0x5eed);
    this.#setting = setting;
    this.world = new World(random.fork());
    this.log = new SimulatedLog(this.world, onLine);
    this.broker = new SimulatedBroker(this.world, random.fork());
    const flags = (host: string): Flags => this.#flags(host);
    this.#observer = new SimulatedRuntime({
      binary: 'nova-manage',
      flags: flags('cloud1'),
      world: this.world,
      random: random.fork(),
      log: this.log,
      files: this.#host('cloud1').files,
      fetch: this.#fetch,
    });
    this.database = new DatabaseServer(this.#observer);
    const turns = new Turns();
    this.db = openDatabase(this.#observer, {
      serialize: true,
      turns,
      sql: new FaultyDialect(this.database, this.#observer),
    });
    const { world, log, broker, database } = this;
    this.#around = { world, log, random: random.fork(), broker, database, turns, fetch: this.#fetch, flags };
    for (const name of daemonsOf(setting)) {
      const [binary, host] = name.split('@') as [string, string];
      this.daemons.set(name, new SimulatedDaemon(name, this.#host(host), this.#around, starts[binary]!));
    }
  }

  /** Makes schema, users, network, addresses and an image, and starts every daemon. */
  async start(): Promise<void> {
    await this.db.connect();
    await syncDatabase(this.db);
    await this.#populate();
    for (const daemon of this.daemons.values()) {
      await daemon.start();
      if (daemon.name === 'nova-api@cloud1') await this.#makeImage();
    }
  }

  /** Ends every daemon as after SIGTERM; answers the names of those which had to be killed. */
  async stop(): Promise<string[]> {
    const late: string[] = [];
    const stop = async (daemon: SimulatedDaemon): Promise<void> => {
      if (!(await daemon.stop())) late.push(daemon.name);
    };
    await Promise.all([...this.daemons.values()].map(stop));
    return late;
  }

  /** Lets go of everything, whatever state it is in. The world has ended. */
  async close(): Promise<void> {
    for (const daemon of this.daemons.values()) daemon.kill();
    await this.database.close();
  }

  /** The EC2 API as a user's client. */
  client(user: number): Ec2Client {
    const { id, project } = users[user]!;
    const credentials = { accessKey: `${id}-access:${project}`, secretKey: `${id}-secret` };
    return new Ec2Client(this.#frontDoor, this.world, credentials);
  }

  /** The flags of a host's daemons, as an observer sees them. */
  flagsOf(host: string): Flags {
    return this.#flags(host);
  }

  readonly #frontDoor: HttpDoor = { handle: (sent) => request(this.#api, 'ec2', sent) };

  get #api(): SimulatedDaemon<SimulatedApi> | undefined {
    return this.daemons.get('nova-api@cloud1') as SimulatedDaemon<SimulatedApi> | undefined;
  }

  #host(name: string): SimulatedHost {
    let host = this.hosts.get(name);
    if (host === undefined) this.hosts.set(name, (host = new SimulatedHost(name)));
    return host;
  }

  async #populate(): Promise<void> {
    for (const { id, project } of users) {
      await createUser(this.db, { id, accessKey: `${id}-access`, secretKey: `${id}-secret`, isAdmin: false });
      const first = users.find((user) => user.project === project)!.id;
      if (first === id) await createProject(this.db, project, id);
      else await addMember(this.db, project, id);
      for (const role of ['sysadmin', 'netadmin']) {
        await addGlobalRole(this.db, id, role);
        await addProjectRole(this.db, id, project, role);
      }
    }
    const { networkSize, floatingAddresses } = this.#setting;
    const range = `10.0.0.0/${32 - Math.log2(networkSize)}`;
    await makeNetworks({ db: this.db, random: this.#observer.random }, plainNetwork('private', range));
    const addresses = Array.from({ length: floatingAddresses }, (_, index) => `4.4.4.${index + 1}`);
    await createFloatingIps(this.db, addresses);
  }

  async #makeImage(): Promise<void> {
    await createImageService(this.#observer).create(
      adminContext(this.#observer),
      { name: 'tiny', disk_format: 'raw', container_format: 'bare', is_public: true },
      streamOf(Buffer.from('tiny')),
    );
  }

  #flags(host: string): Flags {
    let flags = this.#flagsByHost.get(host);
    if (flags === undefined) this.#flagsByHost.set(host, (flags = this.#newFlags(host)));
    return flags;
  }

  #newFlags(host: string): Flags {
    const { networkManager, scheduler, spawnMs } = this.#setting;
    return flagsFrom({
      host,
      my_ip: '127.0.0.1',
      state_path: '/nova',
      sql_connection: 'sqlite://',
      fake_rabbit: true,
      connection_type: 'fake',
      fake_network: true,
      fake_spawn_ms: spawnMs,
      network_manager: `nova.network.manager.${networkManager}`,
      volume_driver: 'nova.volume.driver.FakeISCSIDriver',
      scheduler_driver: `nova.scheduler.${scheduler}`,
      glance_api_servers: ['127.0.0.1:9292'],
      // Quotas, and what a host can carry, are soon used up, and nothing waits long.
      quota_instances: 6,
      quota_cores: 8,
      quota_volumes: 4,
      quota_gigabytes: 10,
      quota_floating_ips: 3,
      max_cores: 6,
      iscsi_num_targets: 20,
      periodic_interval: 30,
      scheduling_timeout: 120,
      rpc_response_timeout: 30,
      fixed_ip_disassociate_timeout: 120,
    });
  }

  /** The only HTTP in this world goes to the image registry. */
  readonly #fetch: HttpFetch = async (input, init) => {
    const url = new URL(String(input));
    const headers: Record<string, string> = Object.fromEntries(new Headers(init?.headers));
    const body = init?.body === undefined || init.body === null ? Buffer.alloc(0) : await bytesOf(init.body);
    headers['content-length'] = String(body.length);
    const response = await request(this.#api, 'images', {
      method: init?.method ?? 'GET',
      url: url.pathname + url.search,
      headers,
      remoteAddress: '127.0.0.1',
      body,
    });
    const answer = response.body instanceof Readable ? await bytesOf(response.body) : Buffer.from(response.body);
    return plainResponse(response.status, response.headers, answer);
  };
}

async function bytesOf(source: unknown): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of source as AsyncIterable<Uint8Array>) chunks.push(chunk);
  return Buffer.concat(chunks);
}

/** The platform's Blob would read itself in a thread. */
function streamOf(bytes: Buffer): ReadableStream<Uint8Array> {
  return new ReadableStream({
    start(controller) {
      controller.enqueue(new Uint8Array(bytes));
      controller.close();
    },
  });
}

/** As much of a Response as our client reads; the platform's own takes its time, which isn't the world's. */
function plainResponse(status: number, headers: Readonly<Record<string, string>>, body: Buffer): Response {
  const response = {
    ok: status >= 200 && status < 300,
    status,
    headers: new Headers(headers),
    json: async () => JSON.parse(body.toString('utf8')) as unknown,
    text: async () => body.toString('utf8'),
    body: streamOf(body),
  };
  return response as unknown as Response;
}
