import { rmSync } from 'node:fs';
import { openDatabase } from '../../common/db/database.js';
import type { FlagName } from '../../common/flags/flags.js';
import { flagsFrom } from '../../common/flags/values.js';
import { RealRuntime } from '../../common/runtime/real.js';
import { InProcessBus } from '../../common/rpc/inProcess.js';
import { WholeCloud } from '../../nova-all/cloud.js';
import { freePort } from '../../nova-all/ports.js';
import { manage } from '../../nova-manage/manage.js';
import { MemoryLog } from './runtime.js';
import { furnish, quietFlags, walkedCloud, type WalkedCloud } from './walkedCloud.js';

export {
  formOf,
  textOf,
  textsOf,
  type Answer,
  type Caller,
  type CallParams,
  type Endpoint,
  type RawRequest,
} from './apiCaller.js';
import { temporaryFolder } from './temporary.js';
export { accessKeyOf, secretKeyOf, testUsers, unlimited, type TestUser, type UserName } from './apiUsers.js';

/** {@link startApiCloud}'s cloud, of which a test sees more. */
export interface ApiCloud extends WalkedCloud {
  readonly log: MemoryLog;
  /** `state_path`. */
  readonly folder: string;
  /** Of the image registry. */
  readonly imagesPort: number;
  /** Runs `nova-manage` with these words; answers what it printed. Throws when it fails. */
  manage(...words: string[]): Promise<string>;
  /** How many statements, and messages, there have been. */
  traffic(): { statements: number; messages: number };
}

/**
 * The whole cloud in the test's own process: real daemons on the in-process bus and a database in memory (or
 * `sql_connection`), its EC2 API and image registry on ports of their own. Users: {@link testUsers}.
 */
export async function startApiCloud(flagValues: Partial<Record<FlagName, unknown>> = {}): Promise<ApiCloud> {
  const folder = temporaryFolder('api');
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
    fake_network: true,
    flat_network_bridge: 'br100',
    network_manager: 'nova.network.manager.FlatManager',
    volume_driver: 'nova.volume.driver.FakeISCSIDriver',
    scheduler_driver: 'nova.scheduler.simple.SimpleScheduler',
    ...quietFlags,
    ...flagValues,
  });
  const log = new MemoryLog();
  const runtime = new RealRuntime({ binary: 'nova-manage', flags, log });
  const traffic = { statements: 0, messages: 0 };
  const db = openDatabase(runtime, { watch: () => void (traffic.statements += 1) });
  await db.connect();
  await furnish(db, runtime);
  const bus = new InProcessBus();
  countMessages(bus, () => (traffic.messages += 1));
  const cloud = new WholeCloud({ flags, log, db }, bus);
  await cloud.start();
  let read = 0;
  const walked = await walkedCloud({
    db,
    runtime,
    port: ec2Port,
    idle: () => bus.idle,
    troubles() {
      const lines = log.lines.slice(read);
      read = log.lines.length;
      return lines.filter((line) => /^(ERROR|CRITICAL) nova\.api|\n {4}at /.test(line));
    },
    async stop() {
      await cloud.stop();
      await db.close();
      rmSync(folder, { recursive: true, force: true });
    },
  });
  return {
    ...walked,
    log,
    folder,
    imagesPort,
    async manage(...words) {
      const lines: string[] = [];
      const print = (line: string): void => void lines.push(line);
      const environment = {
        runtime,
        print,
        database: async () => db,
        rawDatabase: async () => db,
        rpc: () => Promise.reject(new Error('no bus')),
        images: () => walked.images,
      };
      const status = await manage(words, environment, { out: print, err: print });
      if (status !== 0) throw new Error(`nova-manage ${words.join(' ')}: ${status}\n${lines.join('\n')}`);
      return lines.join('\n');
    },
    traffic: () => ({ ...traffic }),
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
