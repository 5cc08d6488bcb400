import { Readable } from 'node:stream';
import { makeNetworks, plainNetwork } from '../common/cloud/networks.js';
import { adminContext } from '../common/context.js';
import type { DaemonParts, RunningDaemon, StartDaemon } from '../common/daemon.js';
import { openDatabase } from '../common/db/database.js';
import type { Db } from '../common/db/db.js';
import { createFloatingIps } from '../common/db/floatingIps.js';
import { addProjectRole, createProject } from '../common/db/projects.js';
import { syncDatabase } from '../common/db/sync.js';
import { addGlobalRole, createUser } from '../common/db/users.js';
import type { FlagName, Flags } from '../common/flags/flags.js';
import { flagsFrom } from '../common/flags/values.js';
import { createImageService } from '../common/images/client.js';
import { createRpc } from '../common/rpc/client.js';
import { InProcessBus } from '../common/rpc/inProcess.js';
import type { HttpFetch } from '../common/runtime/runtime.js';
import type { HttpDoor } from '../common/http/door.js';
import { ec2Door } from '../nova-api/ec2/start.js';
import { imagesDoor } from '../nova-api/images/start.js';
import { startCompute } from '../nova-compute/start.js';
import { startNetwork } from '../nova-network/start.js';
import { startScheduler } from '../nova-scheduler/start.js';
import { startVolume } from '../nova-volume/start.js';
import { Ec2Client } from './ec2Client.js';
import { MemoryFiles } from './memoryFiles.js';
import { SeededRandom } from './seededRandom.js';
import { SimulatedLog, SimulatedRuntime } from './simulatedRuntime.js';
import { World } from './world.js';

export interface SimulationOptions {
  seed: number;
  /** Compute hosts; 2 when absent. */
  computeHosts?: number;
  flags?: Partial<Record<FlagName, unknown>>;
}

const user = { id: 'demo', accessKey: 'demo-access', secretKey: 'demo-secret' };

/** The whole cloud in one process on a virtual clock: a seed determines everything that happens. */
export class SimulatedCloud {
  readonly world = new World();
  readonly log = new SimulatedLog(this.world);
  readonly random: SeededRandom;
  readonly #bus = new InProcessBus();
  readonly #files = new Map<string, MemoryFiles>();
  readonly #options: SimulationOptions;
  readonly #daemons: RunningDaemon[] = [];
  #images: HttpDoor | undefined;
  #database: Db | undefined;
  #ec2: Ec2Client | undefined;

  constructor(options: SimulationOptions) {
    this.#options = options;
    this.random = new SeededRandom(options.seed);
  }

  /** The database which all daemons share. */
  get db(): Db {
    if (this.#database === undefined) throw new Error('The cloud was not started');
    return this.#database;
  }

  /** The demo user's client. */
  get ec2(): Ec2Client {
    if (this.#ec2 === undefined) throw new Error('The cloud was not started');
    return this.#ec2;
  }

  /** Makes schema, user, network, addresses and an image, and starts every daemon. */
  async start(): Promise<void> {
    const root = this.#runtime('nova-manage', 'cloud1');
    this.#database = openDatabase(root, { serialize: true });
    await this.db.connect();
    await syncDatabase(this.db);
    await this.#populate(root);

    this.#images = await imagesDoor({ runtime: this.#runtime('nova-api', 'cloud1') });
    const images = createImageService(root);
    await images.create(
      adminContext(root),
      { name: 'tiny', disk_format: 'raw', container_format: 'bare', is_public: true },
      new Blob(['tiny']).stream() as ReadableStream<Uint8Array>,
    );

    await this.#startDaemon('nova-network', 'cloud1', startNetwork);
    await this.#startDaemon('nova-volume', 'cloud1', startVolume);
    await this.#startDaemon('nova-scheduler', 'cloud1', startScheduler);
    for (let host = 1; host <= (this.#options.computeHosts ?? 2); host++) {
      await this.#startDaemon('nova-compute', `cloud${host}`, startCompute);
    }
    const api = await this.#parts('nova-api', 'cloud1');
    this.#ec2 = new Ec2Client(await ec2Door(api), api.runtime.clock, user);
  }

  async stop(): Promise<void> {
    for (const daemon of this.#daemons.reverse()) await daemon.stop();
    await this.db.close();
  }

  async #populate(runtime: SimulatedRuntime): Promise<void> {
    await createUser(this.db, { ...user, isAdmin: false });
    await createProject(this.db, user.id, user.id);
    for (const role of ['sysadmin', 'netadmin']) {
      await addGlobalRole(this.db, user.id, role);
      await addProjectRole(this.db, user.id, user.id, role);
    }
    await makeNetworks({ db: this.db, random: runtime.random }, plainNetwork('private', '10.0.0.0/26'));
    await createFloatingIps(
      this.db,
      Array.from({ length: 8 }, (_, index) => `4.4.4.${index + 1}`),
    );
  }

  async #startDaemon(binary: string, host: string, start: StartDaemon): Promise<void> {
    this.#daemons.push(await start(await this.#parts(binary, host)));
  }

  async #parts(binary: string, host: string): Promise<DaemonParts> {
    const runtime = this.#runtime(binary, host);
    const transport = this.#bus.transport(runtime);
    await transport.connect();
    return { runtime, db: this.db, transport, rpc: createRpc(runtime, transport), images: createImageService(runtime) };
  }

  #runtime(binary: string, host: string): SimulatedRuntime {
    let files = this.#files.get(host);
    if (files === undefined) this.#files.set(host, (files = new MemoryFiles()));
    return new SimulatedRuntime({
      binary,
      flags: this.#flags(host),
      world: this.world,
      random: this.random.fork(),
      log: this.log,
      files,
      fetch: this.#fetch,
    });
  }

  #flags(host: string): Flags {
    return flagsFrom({
      host,
      my_ip: '127.0.0.1',
      state_path: '/nova',
      sql_connection: 'sqlite://',
      fake_rabbit: true,
      connection_type: 'fake',
      fake_network: true,
      network_manager: 'nova.network.manager.FlatManager',
      volume_driver: 'nova.volume.driver.FakeISCSIDriver',
      scheduler_driver: 'nova.scheduler.simple.SimpleScheduler',
      glance_api_servers: ['127.0.0.1:9292'],
      ...this.#options.flags,
    });
  }

  /** The only HTTP in this world goes to the image registry. */
  readonly #fetch: HttpFetch = async (input, init) => {
    if (this.#images === undefined) throw new TypeError('fetch failed: nobody listens');
    const url = new URL(String(input));
    const headers: Record<string, string> = Object.fromEntries(new Headers(init?.headers));
    const body = init?.body === undefined || init.body === null ? Buffer.alloc(0) : await bytesOf(init.body);
    headers['content-length'] = String(body.length);
    const response = await this.#images.handle({
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

/** As much of a Response as our client reads; the platform's own takes its time, which isn't the world's. */
function plainResponse(status: number, headers: Readonly<Record<string, string>>, body: Buffer): Response {
  const response = {
    ok: status >= 200 && status < 300,
    status,
    headers: new Headers(headers),
    json: async () => JSON.parse(body.toString('utf8')) as unknown,
    text: async () => body.toString('utf8'),
    body: new ReadableStream({
      start(controller) {
        controller.enqueue(new Uint8Array(body));
        controller.close();
      },
    }),
  };
  return response as unknown as Response;
}
