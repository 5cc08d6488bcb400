import { makeNetworks, plainNetwork } from '../../../common/cloud/networks.js';
import type { CloudParts } from '../../../common/cloud/parts.js';
import { Context } from '../../../common/context.js';
import type { DaemonParts, RunningDaemon } from '../../../common/daemon.js';
import { openDatabase } from '../../../common/db/database.js';
import type { Db, Values } from '../../../common/db/db.js';
import { syncDatabase } from '../../../common/db/sync.js';
import type { FlagName } from '../../../common/flags/flags.js';
import { createRpc } from '../../../common/rpc/client.js';
import { InProcessBus } from '../../../common/rpc/inProcess.js';
import type { Transport } from '../../../common/rpc/transport.js';
import { startNetwork } from '../../../nova-network/start.js';
import { testRuntime, type MemoryLog } from '../../support/runtime.js';

/** A message as a test compares it: `routing key method arguments`. Replies are left out. */
export interface Sent {
  to: string;
  method: string;
  args: Record<string, unknown>;
}
/** A row's change as the recordings have it: the columns which differ, without times. */
export interface Write {
  op: 'insert' | 'update' | 'delete';
  table: string;
  id: number;
  set: Record<string, unknown>;
}

/** nova-network on SQLite in memory and the in-process bus; hosts of nova-compute which swallow what they are sent. */
export class NetworkFixture {
  readonly sent: Sent[] = [];
  readonly bus = new InProcessBus(({ routingKey, body }) => {
    const { method, args } = JSON.parse(body) as Partial<Sent>;
    if (method === undefined) return;
    this.sent.push({ to: routingKey, method, args: args! });
    this.onSent?.(method);
  });
  /** Hears of each message when it is sent. */
  onSent: ((method: string) => void) | null = null;
  readonly log: MemoryLog;
  readonly parts: CloudParts;
  readonly db: Db;
  readonly #daemons: { daemon: RunningDaemon; transport: Transport }[] = [];

  readonly #flags: Partial<Record<FlagName, unknown>>;

  private constructor(flags: Partial<Record<FlagName, unknown>>) {
    this.#flags = {
      sql_connection: 'sqlite://',
      network_manager: 'nova.network.manager.FlatManager',
      fake_network: true,
      rpc_response_timeout: 5,
      ...flags,
    };
    const { runtime, log } = testRuntime(this.#flags, { binary: 'nova-network' });
    this.log = log;
    this.db = openDatabase(runtime);
    const rpc = createRpc(runtime, this.bus.transport(runtime));
    this.parts = { runtime, db: this.db, rpc, images: undefined as never };
  }

  static async start(flags: Partial<Record<FlagName, unknown>> = {}): Promise<NetworkFixture> {
    const fixture = new NetworkFixture(flags);
    await syncDatabase(fixture.db);
    for (const table of ['fixed_ips', 'virtual_interfaces', 'floating_ips', 'networks']) await fixture.#watch(table);
    return fixture;
  }

  /** Starts the daemon of a host; `stop` ends all. */
  async serve(host = 'cloud1'): Promise<void> {
    const parts = this.daemonParts(host);
    this.#daemons.push({ daemon: await startNetwork(parts), transport: parts.transport });
  }

  /** What a daemon of a host is made of; all share the database and the bus. */
  daemonParts(host = 'cloud1'): DaemonParts {
    const { images } = this.parts;
    const { runtime } =
      host === 'cloud1' ? this.parts : testRuntime({ ...this.#flags, host }, { binary: 'nova-network' });
    const transport = this.bus.transport(runtime);
    return { runtime, db: this.db, rpc: createRpc(runtime, transport), images, transport };
  }

  /** Ends the daemons and their connections to the bus; what is in the database stays. */
  async endDaemons(): Promise<void> {
    for (const { daemon, transport } of this.#daemons.splice(0)) {
      await daemon.stop();
      await transport.close();
    }
  }

  async stop(): Promise<void> {
    await this.endDaemons();
    await this.db.close();
  }

  /** Waits until the daemon has worked on all it was sent. */
  async settled(): Promise<void> {
    const { runtime } = this.parts;
    const busy = (name: string): number => {
      const depth = this.bus.depth(name);
      return depth === null ? 0 : depth.ready + depth.unacked;
    };
    const all = ['network', 'network.cloud1', 'network.cloud2'];
    for (let waited = 0; all.some((name) => busy(name) > 0); waited++) {
      if (waited > 10_000) throw new Error('nova-network is still busy');
      await runtime.sleep(1);
    }
  }

  /** What was sent since the last call. */
  takeSent(): Sent[] {
    return this.sent.splice(0);
  }

  async network(
    cidr = '10.0.0.0/29',
    values: Values<'networks'> = {},
    vlan?: { start: number; vpnStart: number },
  ): Promise<number> {
    const bridgeInterface = vlan === undefined ? null : 'eth0';
    const request = { ...plainNetwork('public', cidr), bridgeInterface, dns1: '8.8.4.4', vlan };
    const [id] = await makeNetworks({ db: this.db, random: this.parts.runtime.random }, request);
    if (Object.keys(values).length > 0) await this.db.update('networks', values, 'id = ?', [id!]);
    return id!;
  }

  /** An instance in the given groups, in a state in which addresses can be given and taken. */
  async instance(groupIds: readonly number[] = [], values: Values<'instances'> = {}): Promise<number> {
    const { runtime } = this.parts;
    const id = await this.db.insert('instances', {
      user_id: 'demo',
      project_id: 'demo',
      host: 'cloud1',
      instance_type_id: 2,
      vm_state: 'stopped',
      uuid: runtime.random.uuid(),
      ...values,
    });
    for (const group of groupIds) {
      await this.db.insert('security_group_instance_association', { instance_id: id, security_group_id: group });
    }
    return id;
  }

  /** Row changes since the last call, in order. */
  async takeWrites(): Promise<Write[]> {
    const rows = await this.db.all<{ op: Write['op']; tbl: string; row_id: number; old: string; new: string }>(
      'SELECT op, tbl, row_id, old, new FROM test_writes ORDER BY n',
    );
    await this.db.run('DELETE FROM test_writes');
    return rows.map((row) => {
      const before = JSON.parse(row.old) as Record<string, unknown>;
      const after = JSON.parse(row.new) as Record<string, unknown>;
      const changed = Object.entries(after).filter(
        ([key, value]) => value !== (before[key] ?? null) && !key.endsWith('_at'),
      );
      return { op: row.op, table: row.tbl, id: row.row_id, set: Object.fromEntries(changed) };
    });
  }

  async #watch(table: string): Promise<void> {
    const columns = await this.db.all<{ name: string }>(`SELECT name FROM pragma_table_info('${table}')`);
    const json = (of: string): string =>
      `json_object(${columns.map(({ name }) => `'${name}', ${of}.${name}`).join(', ')})`;
    await this.db.run(
      'CREATE TABLE IF NOT EXISTS test_writes (n INTEGER PRIMARY KEY, op TEXT, tbl TEXT, row_id INTEGER, old TEXT, new TEXT)',
    );
    for (const [op, id, old, now] of [
      ['insert', 'NEW.id', "'{}'", json('NEW')],
      ['update', 'NEW.id', json('OLD'), json('NEW')],
      ['delete', 'OLD.id', json('OLD'), "'{}'"],
    ]) {
      await this.db.run(
        `CREATE TRIGGER watch_${table}_${op} AFTER ${op} ON ${table} BEGIN INSERT INTO test_writes (op, tbl, row_id, old, new) ` +
          `VALUES ('${op}', '${table}', ${id}, ${old}, ${now}); END`,
      );
    }
  }
}

/** A caller of project `demo`. */
export function caller(fields: { project?: string; isAdmin?: boolean } = {}): Context {
  const project = fields.project ?? 'demo';
  return new Context({
    userId: project,
    projectId: project,
    isAdmin: fields.isAdmin ?? false,
    readDeleted: false,
    roles: [],
    remoteAddress: '127.0.0.1',
    timestamp: '2011-09-22T12:00:00.000000',
    requestId: '00000000-0000-4000-8000-000000000000',
    authToken: null,
    strategy: 'noauth',
  });
}

/** The error which a promise is rejected with; fails when it is not. */
export async function failure(work: Promise<unknown>): Promise<Error & Record<string, unknown>> {
  try {
    await work;
  } catch (error) {
    return error as Error & Record<string, unknown>;
  }
  throw new Error('no error was thrown');
}
