import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Cloud } from '../../common/cloud/cloud.js';
import type { CloudParts } from '../../common/cloud/parts.js';
import { adminContext, Context } from '../../common/context.js';
import { writeComputeNode, type ComputeNodeFigures } from '../../common/db/computeNodes.js';
import { openDatabase } from '../../common/db/database.js';
import type { Db, Values } from '../../common/db/db.js';
import type { InstanceRow, SnapshotRow, TableName, VolumeRow } from '../../common/db/rows.js';
import { heartbeat, registerService } from '../../common/db/services.js';
import { syncDatabase } from '../../common/db/sync.js';
import { MessageNotDelivered } from '../../common/errors.js';
import type { FlagName } from '../../common/flags/flags.js';
import type { ImageService } from '../../common/images/imageService.js';
import type { Manager } from '../../common/manager.js';
import type { Rpc } from '../../common/rpc/rpc.js';
import type { Delivery } from '../../common/rpc/types.js';
import { never, type RealRuntime } from '../../common/runtime/real.js';
import { chooseSchedulerDriver } from '../../nova-scheduler/drivers/registry.js';
import { capabilitiesOf, schedulerManager } from '../../nova-scheduler/manager/manager.js';
import { chooseVolumeDriver } from '../../nova-volume/drivers/registry.js';
import { volumeManager } from '../../nova-volume/manager/manager.js';
import { delivery, fakeRpc, outcome, type Sending } from './fakeRpc.js';
import { emptyHost } from './hosts.js';
import { testRuntime, type MemoryLog } from './runtime.js';

/** A message which somebody sent. */
export interface Sent {
  kind: Sending;
  routingKey: string;
  method: string;
  args: Record<string, unknown>;
  context: Context;
}

/** A row write as the recordings have it, without transaction numbers. */
export interface Write {
  op: string;
  table: string;
  id: number;
  set: Record<string, unknown>;
}

/** A daemon in a {@link VolumeWorld}. */
export interface TestDaemon {
  runtime: RealRuntime;
  log: MemoryLog;
  manager: Manager<never>;
  /** Effects on the outside so far: statements which write, files, messages. */
  effects: number;
  /** The daemon is killed with the effect of this number: it happens, and nobody sees it. */
  killAt: number;
}

type FlagValues = Partial<Record<FlagName, unknown>>;
const observed: readonly TableName[] = ['volumes', 'snapshots', 'iscsi_targets', 'instances', 'instance_actions'];

/** A database, a bus whose messages wait until they are delivered, and daemons around volumes which come and go. */
export class VolumeWorld {
  /** Everything that was sent. */
  readonly sent: Sent[] = [];
  /** What nobody has taken yet. */
  readonly waiting: Sent[] = [];
  /** Routing keys of no queue. */
  readonly unreachable = new Set<string>();
  readonly cloud: Cloud;
  readonly runtime: RealRuntime;

  private constructor(
    readonly db: Db,
    runtime: RealRuntime,
    readonly statePath: string,
  ) {
    this.runtime = runtime;
    const parts: CloudParts = { runtime, db, rpc: this.rpc(), images: {} as ImageService };
    this.cloud = new Cloud(parts);
  }

  static async create(flags: FlagValues = {}): Promise<VolumeWorld> {
    const { runtime, statePath } = testRuntime({ sql_connection: 'sqlite://', ...flags });
    const db = openDatabase(runtime);
    await syncDatabase(db);
    await db.run(
      'CREATE TABLE test_writes (n INTEGER PRIMARY KEY, op TEXT, tbl TEXT, row_id INTEGER, old TEXT, new TEXT)',
    );
    for (const table of observed) await observe(db, table);
    return new VolumeWorld(db, runtime, statePath);
  }

  async volumeDaemon(host = 'cloud1', flags: FlagValues = {}): Promise<TestDaemon> {
    return this.#daemon('nova-volume', host, flags, async (parts) =>
      volumeManager(parts, await chooseVolumeDriver(parts.runtime)),
    );
  }

  async scheduler(flags: FlagValues = {}): Promise<TestDaemon> {
    return this.#daemon('nova-scheduler', 'cloud1', flags, async (parts) => {
      const capabilities = capabilitiesOf(parts.runtime);
      return schedulerManager(parts, await chooseSchedulerDriver({ ...parts, capabilities }), capabilities);
    });
  }

  /** A services row which is up. */
  async service(host: string, topic: string, values: Values<'services'> = {}): Promise<void> {
    const row = { host, binary: `nova-${topic}`, topic, availabilityZone: 'nova', disabled: false };
    const { id } = await registerService(this.db, row);
    await heartbeat(this.db, id);
    if (Object.keys(values).length > 0) await this.db.update('services', values, 'id = ?', [id], { updatedAt: false });
  }

  /** A compute host which is up, with its own figures; an empty one where they don't say otherwise. */
  async computeHost(host: string, figures: Partial<ComputeNodeFigures> = {}): Promise<void> {
    await this.service(host, 'compute');
    await writeComputeNode(this.db, host, { ...emptyHost, ...figures });
  }

  /** Delivers what waits, and what that brings about, to the daemon of its routing key; what nobody serves stays. */
  async deliver(daemons: Readonly<Record<string, TestDaemon>>): Promise<void> {
    for (;;) {
      const index = this.waiting.findIndex((message) => daemons[message.routingKey] !== undefined);
      if (index < 0) return;
      const [message] = this.waiting.splice(index, 1);
      await this.handle(daemons[message!.routingKey]!, message!).catch(() => undefined);
    }
  }

  /** Has a daemon work on a message; resolves, undefined, also when it is killed meanwhile. */
  async handle(
    daemon: TestDaemon,
    message: Pick<Sent, 'method' | 'args' | 'context'>,
    receipt: Delivery = delivery(),
  ): Promise<unknown> {
    const { manager, runtime } = daemon;
    const { method, args, context } = message;
    const handler = (manager.handlers as Record<string, (...args: unknown[]) => Promise<unknown>>)[method];
    const work =
      handler === undefined ? manager.fallback!(context, method, args, receipt) : handler(context, args, receipt);
    return orDeath(work, runtime);
  }

  /** What a daemon makes of a message: its answer, or `Class text` of what it throws. */
  async ask(
    daemon: TestDaemon,
    method: string,
    args: Record<string, unknown>,
    context = caller(this.runtime),
  ): Promise<unknown> {
    return outcome(this.handle(daemon, { method, args, context }));
  }

  async volume(values: Values<'volumes'> = {}): Promise<VolumeRow> {
    const id = await this.db.insert('volumes', {
      user_id: 'joe',
      project_id: 'acme',
      host: 'cloud1',
      size: 1,
      availability_zone: 'nova',
      status: 'available',
      attach_status: 'detached',
      ...values,
    });
    return this.volumeRow(id);
  }
  async instance(values: Values<'instances'> = {}): Promise<number> {
    return this.db.insert('instances', {
      user_id: 'joe',
      project_id: 'acme',
      vm_state: 'building',
      task_state: 'scheduling',
      vcpus: 1,
      memory_mb: 512,
      local_gb: 0,
      uuid: this.runtime.random.uuid(),
      ...values,
    });
  }
  async volumeRow(id: number): Promise<VolumeRow> {
    return (await this.db.first<VolumeRow>('SELECT * FROM volumes WHERE id = ?', [id]))!;
  }
  async snapshotRow(id: number): Promise<SnapshotRow> {
    return (await this.db.first<SnapshotRow>('SELECT * FROM snapshots WHERE id = ?', [id]))!;
  }
  async instanceRow(id: number): Promise<InstanceRow> {
    return (await this.db.first<InstanceRow>('SELECT * FROM instances WHERE id = ?', [id]))!;
  }
  async reason(instanceId: number): Promise<string | undefined> {
    const sql = 'SELECT error FROM instance_actions WHERE instance_id = ? ORDER BY id DESC';
    return (await this.db.first<{ error: string }>(sql, [instanceId]))?.error;
  }
  /** Target numbers which volumes of a host have, by volume. */
  async targets(): Promise<Record<number, number>> {
    const rows = await this.db.all<{ volume_id: number; target_num: number }>(
      'SELECT volume_id, target_num FROM iscsi_targets WHERE volume_id IS NOT NULL ORDER BY id',
    );
    return Object.fromEntries(rows.map((row) => [row.volume_id, row.target_num]));
  }
  /** What the fake driver of a host keeps, by file name. */
  files(host = 'cloud1'): Record<string, { target?: number | null }> {
    const folder = join(this.statePath, 'fake-volumes', host);
    const names = readdirSync(folder).sort();
    return Object.fromEntries(
      names.map((name) => [name, JSON.parse(readFileSync(join(folder, name), 'utf8')) as object]),
    );
  }
  /** The writes since the start, or the last call. Columns which were not changed are left out, as are nulls of inserts. */
  async writes(): Promise<Write[]> {
    type Logged = { op: string; tbl: string; row_id: number; old: string | null; new: string };
    const rows = await this.db.all<Logged>('SELECT * FROM test_writes ORDER BY n');
    await this.db.run('DELETE FROM test_writes');
    return rows.map((row) => {
      const old = JSON.parse(row.old ?? '{}') as Record<string, unknown>;
      const fresh = JSON.parse(row.new) as Record<string, unknown>;
      const set = Object.entries(fresh).filter(([name, value]) => value !== (old[name] ?? null));
      return { op: row.op, table: row.tbl, id: row.row_id, set: Object.fromEntries(set) };
    });
  }

  /** The sending side for one daemon; `effect` does what reaches the outside. */
  rpc(effect: <T>(work: () => Promise<T>) => Promise<T> = (work) => work()): Rpc {
    return fakeRpc((kind, routingKey, method, args, context) =>
      effect(async () => {
        if (this.unreachable.has(routingKey)) throw new MessageNotDelivered(`No queue takes ${routingKey}`);
        if (context === null) return null;
        const message: Sent = {
          kind,
          routingKey,
          method,
          args: JSON.parse(JSON.stringify(args)) as Sent['args'],
          context,
        };
        this.sent.push(message);
        this.waiting.push(message);
        return null;
      }),
    );
  }

  async #daemon(
    binary: string,
    host: string,
    flags: FlagValues,
    make: (parts: { runtime: RealRuntime; db: Db; rpc: Rpc }) => Promise<unknown>,
  ): Promise<TestDaemon> {
    const { runtime, log } = testRuntime(
      { state_path: this.statePath, host, volume_driver: 'nova.volume.driver.FakeISCSIDriver', ...flags },
      { binary },
    );
    const daemon: TestDaemon = { runtime, log, manager: null as never, effects: 0, killAt: Infinity };
    const effect = async <T>(work: () => Promise<T>): Promise<T> => {
      if (runtime.halted) return never();
      const outcome = await work().then(
        (value) => () => value,
        (error: unknown) => () => {
          throw error;
        },
      );
      daemon.effects += 1;
      if (daemon.effects === daemon.killAt) runtime.halt();
      return runtime.halted ? never() : outcome();
    };
    const watch = <T extends object>(target: T, names: readonly string[]): T =>
      new Proxy(target, {
        get: (object, name) => {
          const value: unknown = Reflect.get(object, name);
          if (typeof value !== 'function') return value;
          const bound = (...args: unknown[]): Promise<unknown> =>
            Reflect.apply(value, object, args) as Promise<unknown>;
          return names.includes(String(name)) ? (...args: unknown[]) => effect(() => bound(...args)) : bound;
        },
      });
    Object.assign(runtime, { files: watch(runtime.files, ['writeAtomic', 'remove']) });
    const db = watch(this.db, ['run', 'insert', 'insertMany', 'update', 'transaction']);
    daemon.manager = (await make({ runtime, db, rpc: this.rpc(effect) })) as Manager<never>;
    if (binary === 'nova-volume') {
      await daemon.manager.initHost(adminContext(runtime));
      daemon.effects = 0;
    }
    return daemon;
  }
}

/** A caller of project acme. */
export function caller(runtime: RealRuntime, fields: Partial<Context> = {}): Context {
  return new Context({ ...adminContext(runtime), isAdmin: false, userId: 'joe', projectId: 'acme', ...fields });
}

/** What `work` answers; undefined when the runtime is halted, and what ran has come to rest, before it does. */
async function orDeath<T>(work: Promise<T>, runtime: RealRuntime): Promise<T | undefined> {
  let ended = false;
  const end = (): void => void (ended = true);
  work.then(end, end);
  while (!ended && !runtime.halted) await new Promise((resolve) => setImmediate(resolve));
  for (let turn = 0; turn < 5 && !ended; turn += 1) await new Promise((resolve) => setImmediate(resolve));
  return ended ? work : undefined;
}

/** Has the database note each write of a table. */
async function observe(db: Db, table: string): Promise<void> {
  const columns = await db.all<{ name: string }>(`SELECT name FROM pragma_table_info('${table}')`);
  const json = (row: string): string =>
    `json_object(${columns.map(({ name }) => `'${name}', ${row}."${name}"`).join(', ')})`;
  const log = 'INSERT INTO test_writes (op, tbl, row_id, old, new) VALUES';
  await db.run(
    `CREATE TRIGGER test_${table}_i AFTER INSERT ON ${table} BEGIN ${log} ('insert', '${table}', NEW.id, NULL, ${json('NEW')}); END`,
  );
  await db.run(
    `CREATE TRIGGER test_${table}_u AFTER UPDATE ON ${table} BEGIN ${log} ('update', '${table}', NEW.id, ${json('OLD')}, ${json('NEW')}); END`,
  );
}
