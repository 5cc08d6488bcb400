import { expect } from 'chai';
import { setTimeout as pause } from 'node:timers/promises';
import { makeNetworks, plainNetwork } from '../../common/cloud/networks.js';
import { adminContext, type Context } from '../../common/context.js';
import type { Db } from '../../common/db/db.js';
import { createFloatingIps } from '../../common/db/floatingIps.js';
import { novaTables, ownTables } from '../../common/db/schema.js';
import { syncDatabase } from '../../common/db/sync.js';
import type { FlagName } from '../../common/flags/flags.js';
import { createImageService } from '../../common/images/client.js';
import type { ImageService } from '../../common/images/imageService.js';
import type { Runtime } from '../../common/runtime/runtime.js';
import { type Answer, type CallParams, type Caller, type Endpoint, Ec2Port, type RawRequest } from './apiCaller.js';
import { accessKeyOf, makeUsers, secretKeyOf, testUsers, type UserName } from './apiUsers.js';

/** A cloud as tests need it which call every action: of whatever kind, with its API and its rows within reach. */
export interface WalkedCloud {
  readonly db: Db;
  readonly port: number;
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
  /** Resolves when no instance, volume or snapshot is on its way to another state. */
  settle(): Promise<void>;
  /** Every row of every table, but of those which change by themselves (services, compute_nodes), and every image. */
  contents(): Promise<Record<string, string[]>>;
  /**
   * A number which grows with what statements change: rows of SQLite's one connection in memory, transactions of
   * PostgreSQL. As long as it stays, nothing was written.
   */
  changes(): Promise<number>;
  /** What daemons should not have done since it was last asked: errors of a door, stack traces, their end. */
  troubles(): string[];
  stop(): Promise<void>;
}

/** Flags with which a cloud does nothing but what requests cause, and has room for all of it. */
export const quietFlags: Partial<Record<FlagName, unknown>> = {
  fake_spawn_ms: 0,
  ec2_auth: 'keys',
  report_interval: 3600,
  periodic_interval: 3600,
  service_down_time: 100_000,
  drain_timeout: 1,
  max_cores: 10_000,
  max_gigabytes: 10_000_000,
};

/** Brings a new database to where daemons can serve {@link testUsers}: schema, accounts, a network, a pool of addresses. */
export async function furnish(db: Db, runtime: Runtime): Promise<void> {
  await syncDatabase(db);
  await makeUsers(db);
  await makeNetworks({ db, random: runtime.random }, plainNetwork('private', '10.0.0.0/24'));
  await createFloatingIps(
    db,
    Array.from({ length: 60 }, (_, index) => `4.4.4.${index + 1}`),
  );
}

export interface WalkedParts {
  /** A session of the test's own, or the daemons'. */
  readonly db: Db;
  /** Whose flags say where the image registry is. */
  readonly runtime: Runtime;
  readonly port: number;
  /** Whether the bus is at rest, where it can be asked. */
  readonly idle?: () => boolean;
  readonly troubles: () => string[];
  readonly stop: () => Promise<void>;
}

/** Makes the cloud's public image, and puts the rest together. */
export async function walkedCloud(parts: WalkedParts): Promise<WalkedCloud> {
  const { db, runtime, port, idle = () => true, troubles } = parts;
  const images = createImageService(runtime);
  const api = new Ec2Port(port);
  return {
    db,
    port,
    images,
    adminContext: () => adminContext(runtime),
    image: await registerImage({ images, adminContext: () => adminContext(runtime) }, { name: 'tiny' }),
    as: (user, project) => api.caller(`${accessKeyOf(user)}:${project ?? testUsers[user].project}`, secretKeyOf(user)),
    caller: (access, secret) => api.caller(access, secret),
    anonymous: (action, params, endpoint) => api.anonymous(action, params, endpoint),
    send: (request) => api.send(request),
    settle: () => atLast('the cloud to come to rest', async () => !(await unsettled(db, idle))),
    async contents() {
      const names = [...novaTables, ...ownTables].map(({ name }) => name).filter((name) => !changing.has(name));
      const tables = await Promise.all(
        names.map(async (name) => {
          const rows = await db.all(`SELECT * FROM "${name}"`);
          return [name, rows.map((row) => JSON.stringify(row)).sort()] as const;
        }),
      );
      const registered = await images.detail(adminContext(runtime));
      return { ...Object.fromEntries(tables), images: registered.map((image) => JSON.stringify(image)) };
    },
    async changes() {
      const counter = db.dialect === 'sqlite' ? 'total_changes()' : 'txid_snapshot_xmax(txid_current_snapshot())';
      return Number((await db.first<{ n: number | string }>(`SELECT ${counter} AS n`))!.n);
    },
    troubles,
    async stop() {
      api.close();
      await parts.stop();
    },
  };
}

/** Registers an image whose bits are its name. Answers its EC2 id. */
export async function registerImage(
  { images, adminContext: context }: Pick<WalkedCloud, 'images' | 'adminContext'>,
  { name, projectId }: { name: string; /** Whose it is alone; everybody's when absent. */ projectId?: string },
): Promise<string> {
  const fields = { name, disk_format: 'raw', container_format: 'bare', is_public: projectId === undefined };
  const image = await images.create(
    context(),
    { ...fields, ...(projectId !== undefined && { properties: { project_id: projectId } }) },
    new Blob([name]).stream() as ReadableStream<Uint8Array>,
  );
  return `ami-${Number(image.id).toString(16).padStart(8, '0')}`;
}

/** Waits for a condition. Throws after a minute. */
export async function atLast(what: string, condition: () => Promise<boolean>): Promise<void> {
  for (const end = Date.now() + 60_000; !(await condition()); await pause(5)) {
    if (Date.now() > end) throw new Error(`Waited in vain for ${what}`);
  }
}

/**
 * Runs what must not change any row or image, and compares those before with those after. Begins when nothing has been
 * written for a moment, so that no worker's last words on an earlier request fall in between.
 */
export async function withoutChange(cloud: WalkedCloud, what: string, work: () => Promise<void>): Promise<void> {
  await cloud.settle();
  let changes = await cloud.changes();
  await atLast('the last write', async () => {
    await pause(10);
    const before = changes;
    changes = await cloud.changes();
    return changes === before;
  });
  const stored = await cloud.contents();
  await work();
  if ((await cloud.changes()) === changes) return;
  const now = await cloud.contents();
  const differing = Object.keys(stored).flatMap((table) => [
    ...missingFrom(now[table]!, stored[table]!).map((row) => `${table} had ${row}`),
    ...missingFrom(stored[table]!, now[table]!).map((row) => `${table} has ${row}`),
  ]);
  expect(differing, `rows after ${what}`).to.deep.equal([]);
}

function missingFrom(rows: readonly string[], others: readonly string[]): string[] {
  const known = new Set(rows);
  return others.filter((row) => !known.has(row));
}

/** {@link WalkedCloud.troubles} without what is said on purpose where no console proxy runs. */
export function troublesOf(cloud: WalkedCloud): string[] {
  return cloud.troubles().filter((line) => !line.includes('No console proxy takes the messages'));
}

const changing: ReadonlySet<string> = new Set(['services', 'compute_nodes']);

/** Whether something is under way. */
async function unsettled(db: Db, idle: () => boolean): Promise<boolean> {
  // Asked before the rows: a message which is acknowledged while they are read has changed them since.
  if (!idle()) return true;
  const busy = await db.first(
    'SELECT id FROM instances WHERE deleted = ? AND task_state IS NOT NULL AND vm_state <> ? ' +
      'UNION ALL SELECT id FROM volumes WHERE deleted = ? AND status IN (?, ?) ' +
      'UNION ALL SELECT id FROM snapshots WHERE deleted = ? AND status IN (?, ?) ' +
      'UNION ALL SELECT id FROM fixed_ips WHERE allocated = ? AND instance_id IN (SELECT id FROM instances WHERE deleted = ?)',
    [false, 'error', false, 'creating', 'deleting', false, 'creating', 'deleting', true, true],
  );
  return busy !== undefined || !idle();
}
