import { adminContext, Context } from '../../common/context.js';
import type { DaemonParts } from '../../common/daemon.js';
import { openDatabase } from '../../common/db/database.js';
import type { Db, Values } from '../../common/db/db.js';
import type { InstanceRow, VolumeRow } from '../../common/db/rows.js';
import { syncDatabase } from '../../common/db/sync.js';
import { MessageNotDelivered, RemoteError, RpcTimeout } from '../../common/errors.js';
import type { FlagName } from '../../common/flags/flags.js';
import type { ImageService } from '../../common/images/imageService.js';
import { computeMethods, type ComputeRpc } from '../../common/rpc/compute.js';
import type { NetworkInfo } from '../../common/rpc/network.js';
import type { Rpc } from '../../common/rpc/rpc.js';
import type { Transport } from '../../common/rpc/transport.js';
import type { Delivery } from '../../common/rpc/types.js';
import { never, type RealRuntime } from '../../common/runtime/real.js';
import { ComputeManager } from '../../nova-compute/manager/index.js';
import { FakeDriver } from '../../nova-compute/virt/fake/fakeDriver.js';
import { delivery, fakeRpc, type Sending } from './fakeRpc.js';
import { MemoryImages } from './memoryImages.js';
import { testRuntime, type MemoryLog } from './runtime.js';

/** A message which a daemon sent. */
export interface SentMessage {
  kind: Sending;
  routingKey: string;
  method: string;
  args: Record<string, unknown>;
}

/** What nova-network holds for instances, and what it answers. */
export class ScriptedNetwork {
  /** The address of each instance which has one. */
  readonly addresses = new Map<number, string>();
  /** Set: allocate_for_instance fails so. */
  failure: Error | null = null;
  /** What happens, once, when addresses were allocated. */
  after: (() => Promise<void>) | null = null;
  /** deallocate_for_instance gets lost. */
  deaf = false;

  constructor(private readonly db: Db) {}

  async answer(method: string, args: Record<string, unknown>): Promise<unknown> {
    const id = Number(args['instance_id']);
    if (method === 'allocate_for_instance') {
      if (this.failure !== null) throw this.failure;
      if (!this.addresses.has(id)) {
        this.addresses.set(id, `10.0.0.${(this.addresses.size % 250) + 2}`);
        await this.db.insert('virtual_interfaces', { instance_id: id, network_id: 1, address: `mac of ${id}` });
      }
      await this.after?.();
    }
    if (method === 'deallocate_for_instance') {
      if (this.deaf) return null;
      const row = await this.db.first<InstanceRow>('SELECT * FROM instances WHERE id = ? AND deleted = ?', [id, false]);
      // as nova-network: an instance which is being built keeps its addresses
      if (row?.vm_state === 'building' && row.task_state !== 'deleting') return null;
      this.addresses.delete(id);
      await this.db.run('DELETE FROM virtual_interfaces WHERE instance_id = ? AND network_id = 1', [id]);
      return null;
    }
    return networkInfo(this.addresses.get(id) ?? null);
  }
}

/** What counts the effects of a daemon on the outside and kills it after one of them. */
class Lifeline {
  effects = 0;
  killAfter = Infinity;
  runtime: RealRuntime | null = null;
  #bury: () => void = () => undefined;
  /** Resolves when the daemon is killed. */
  readonly death = new Promise<void>((resolve) => (this.#bury = resolve));

  /** Does one thing to the outside. When the daemon is killed with it, it has happened but nobody sees it. */
  async effect<T>(work: () => Promise<T>): Promise<T> {
    if (this.runtime?.halted) return never();
    const outcome = await work().then(
      (value) => () => value,
      (error: unknown) => () => {
        throw error;
      },
    );
    this.effects += 1;
    if (this.effects >= this.killAfter) {
      this.runtime?.halt();
      this.#bury();
    }
    return this.runtime?.halted ? never() : outcome();
  }

  /** The object with every method of `names` counted. */
  watch<T extends object>(target: T, names: readonly (keyof T)[]): T {
    return new Proxy(target, {
      get: (object, name) => {
        const value: unknown = Reflect.get(object, name);
        if (typeof value !== 'function') return value;
        const bound = (...args: unknown[]): unknown => Reflect.apply(value, object, args);
        if (!names.includes(name as keyof T)) return bound;
        return (...args: unknown[]) => this.effect(async () => bound(...args));
      },
    });
  }
}

/** One nova-compute in a {@link ComputeWorld}. */
export interface TestCompute {
  runtime: RealRuntime;
  log: MemoryLog;
  manager: ComputeManager;
  driver: FakeDriver;
  lifeline: Lifeline;
}

/** A database, a bus and a network for nova-computes which come and go. */
export class ComputeWorld {
  readonly sent: SentMessage[] = [];
  readonly network: ScriptedNetwork;
  readonly images = new MemoryImages();
  /** The newest nova-compute of each host; calls to a host are answered by it. */
  readonly hosts = new Map<string, TestCompute>();
  imageSize = 0;
  #delivered = 0;
  readonly #kept: SentMessage[] = [];
  private constructor(
    readonly db: Db,
    readonly statePath: string,
  ) {
    this.network = new ScriptedNetwork(db);
  }

  static async create(): Promise<ComputeWorld> {
    const { runtime, statePath } = testRuntime({ sql_connection: 'sqlite://' });
    const db = openDatabase(runtime);
    await syncDatabase(db);
    await db.run(
      'CREATE TABLE test_states (id INTEGER PRIMARY KEY, instance_id INTEGER, vm_state TEXT, task_state TEXT, power_state INTEGER, host TEXT)',
    );
    await db.run(
      'CREATE TRIGGER test_states_u AFTER UPDATE ON instances BEGIN INSERT INTO test_states ' +
        '(instance_id, vm_state, task_state, power_state, host) ' +
        'VALUES (NEW.id, NEW.vm_state, NEW.task_state, NEW.power_state, NEW.host); END',
    );
    return new ComputeWorld(db, statePath);
  }

  /** A nova-compute which has started; `killAfter` counts its effects from then on. */
  async compute(host: string, flags: Partial<Record<FlagName, unknown>> = {}): Promise<TestCompute> {
    const compute = this.newCompute(host, flags);
    await compute.manager.initHost(adminContext(compute.runtime));
    compute.lifeline.effects = 0;
    return compute;
  }

  /** A nova-compute whose initHost was not called. */
  newCompute(host: string, flags: Partial<Record<FlagName, unknown>> = {}): TestCompute {
    const { runtime, log } = testRuntime(
      {
        state_path: this.statePath,
        host,
        connection_type: 'fake',
        volume_driver: 'nova.volume.driver.FakeISCSIDriver',
        fake_spawn_ms: 0,
        ...flags,
      },
      { binary: 'nova-compute' },
    );
    const lifeline = new Lifeline();
    lifeline.runtime = runtime;
    Object.assign(runtime, { files: lifeline.watch(runtime.files, ['writeUnsynced', 'remove']) });
    const parts: DaemonParts = {
      runtime,
      db: lifeline.watch(this.db, ['all', 'first', 'run', 'insert', 'insertMany', 'update', 'transaction']),
      rpc: this.#rpc(lifeline),
      transport: {} as Transport,
      images: lifeline.watch<ImageService>(
        this.images.service(() => this.imageSize),
        ['update', 'delete', 'detail'],
      ),
    };
    const driver = new FakeDriver(runtime);
    const compute = { runtime, log, lifeline, driver, manager: new ComputeManager(parts, driver) };
    this.hosts.set(host, compute);
    return compute;
  }

  /** Inserts an instance as the API and the scheduler leave it. */
  async instance(values: Values<'instances'> = {}): Promise<number> {
    const id = await this.db.insert('instances', {
      user_id: 'joe',
      project_id: 'acme',
      image_ref: '3',
      kernel_id: '',
      ramdisk_id: '',
      launch_index: 0,
      power_state: 0,
      vm_state: 'building',
      task_state: 'scheduling',
      memory_mb: 512,
      vcpus: 1,
      local_gb: 0,
      locked: false,
      instance_type_id: 2,
      uuid: '3f9b7e69-bbe4-436e-9475-9fd2ea349a48',
      hostname: 'server-1',
      display_name: 'Server 1',
      ...values,
    });
    await this.db.insert('security_group_instance_association', { security_group_id: 1, instance_id: id });
    return id;
  }

  async volume(values: Values<'volumes'> = {}): Promise<number> {
    return this.db.insert('volumes', {
      user_id: 'joe',
      project_id: 'acme',
      host: 'volumes1',
      size: 1,
      availability_zone: 'nova',
      status: 'available',
      attach_status: 'detached',
      ...values,
    });
  }

  async row(id: number): Promise<InstanceRow> {
    return (await this.db.first<InstanceRow>('SELECT * FROM instances WHERE id = ?', [id]))!;
  }
  async volumeRow(id: number): Promise<VolumeRow> {
    return (await this.db.first<VolumeRow>('SELECT * FROM volumes WHERE id = ?', [id]))!;
  }
  async mappings(
    instanceId: number,
  ): Promise<{ device_name: string; volume_id: number; delete_on_termination: boolean }[]> {
    return this.db.all(
      'SELECT device_name, volume_id, delete_on_termination FROM block_device_mapping WHERE instance_id = ? AND deleted = ?',
      [instanceId, false],
    );
  }
  /** The newest recorded reason of an instance's failure. */
  async reason(id: number): Promise<string | null> {
    const row = await this.db.first<{ error: string | null }>(
      'SELECT error FROM instance_actions WHERE instance_id = ? ORDER BY id DESC',
      [id],
    );
    return row?.error ?? null;
  }
  /** The states which the instance went through: vm, task, power, host. */
  async states(id: number): Promise<unknown[][]> {
    const rows = await this.db.all<Pick<InstanceRow, 'vm_state' | 'task_state' | 'power_state' | 'host'>>(
      'SELECT vm_state, task_state, power_state, host FROM test_states WHERE instance_id = ? ORDER BY id',
      [id],
    );
    const states = rows.map((row) => [row.vm_state, row.task_state, row.power_state, row.host]);
    return states.filter((state, index) => index === 0 || String(state) !== String(states[index - 1]));
  }
  /** What an API writes before it sends a message. */
  async api(id: number, values: Values<'instances'>): Promise<void> {
    await this.db.update('instances', values, 'id = ?', [id]);
  }

  /**
   * Brings the messages which were cast to computes since the last time to them, and those which they cast then, in
   * order. As a broker does it keeps what a daemon which died has not acknowledged, and what is for a host on which none
   * runs, for the next time. What fails is answered as a list of errors.
   */
  async deliverCasts(context: Context): Promise<Error[]> {
    const errors: Error[] = [];
    const kept = this.#kept.splice(0);
    const next = (): SentMessage | undefined => kept.shift() ?? this.sent[this.#delivered++];
    for (let message = next(); message !== undefined; message = next()) {
      const { kind, routingKey, method, args } = message;
      if (kind !== 'cast' || !routingKey.startsWith('compute.')) continue;
      const compute = this.#computeOf(routingKey);
      const receipt = delivery();
      const byClaim = computeMethods[method as keyof ComputeRpc].ack === 'claim';
      try {
        if (compute !== undefined) await this.#handle(routingKey, method, args, context, receipt);
      } catch (error) {
        errors.push(error as Error);
      }
      const lost = compute === undefined || (compute.runtime.halted && byClaim && !receipt.accepted);
      if (lost) this.#kept.push(message);
    }
    this.#delivered = this.sent.length;
    return errors;
  }

  /** A sender beside the computes, who is never killed. */
  rpc(): Rpc {
    return this.#rpc(new Lifeline());
  }

  /** Forgets the messages sent so far. */
  forgetMessages(): void {
    this.sent.length = 0;
    this.#delivered = 0;
    this.#kept.length = 0;
  }

  #computeOf(routingKey: string): TestCompute | undefined {
    const compute = this.hosts.get(routingKey.slice('compute.'.length));
    return compute?.runtime.halted === true ? undefined : compute;
  }

  async #handle(
    routingKey: string,
    method: string,
    args: object,
    context = userContext(),
    receipt = delivery(),
  ): Promise<unknown> {
    const compute = this.#computeOf(routingKey);
    if (compute === undefined) throw new MessageNotDelivered(`nobody listens on ${routingKey}`);
    const handler = compute.manager.handlers[method as keyof ComputeRpc] as (
      context: Context,
      args: object,
      delivery: Delivery,
    ) => Promise<unknown>;
    return Promise.race([handler(context, args, receipt), compute.lifeline.death]);
  }

  #rpc(lifeline: Lifeline): Rpc {
    return fakeRpc((kind, routingKey, method, args) =>
      lifeline.effect(async () => {
        this.sent.push({ kind, routingKey, method, args });
        if (kind === 'call' && routingKey.startsWith('compute.')) {
          const answer = await this.#handle(routingKey, method, args);
          // who died meanwhile answers nothing
          if (this.#computeOf(routingKey) === undefined) throw new RpcTimeout(method, routingKey, 60);
          return answer;
        }
        return routingKey === 'network' ? this.network.answer(method, { ...args }) : null;
      }),
    );
  }
}

/** The context of a user. */
export function userContext(fields: Partial<Context> = {}): Context {
  return new Context({
    userId: 'joe',
    projectId: 'acme',
    isAdmin: false,
    readDeleted: false,
    roles: ['sysadmin'],
    remoteAddress: '127.0.0.1',
    timestamp: '2011-09-30T08:15:02.004711',
    requestId: '48ab5cae-bb3e-41ed-951f-cc2c740546b3',
    authToken: null,
    strategy: 'noauth',
    ...fields,
  });
}

/** What nova-network says when its pool is empty. */
export const noMoreFixedIps = new RemoteError('NoMoreFixedIps', 'Zero fixed ips available.', ['Traceback …']);

function networkInfo(address: string | null): NetworkInfo {
  if (address === null) return [];
  return [
    [
      {
        id: 1,
        bridge: 'br100',
        cidr: '10.0.0.0/24',
        cidr_v6: null,
        injected: false,
        vlan: null,
        bridge_interface: null,
        multi_host: false,
      },
      {
        label: 'public',
        gateway: '10.0.0.1',
        dhcp_server: '10.0.0.1',
        broadcast: '10.0.0.255',
        mac: '02:16:3e:09:17:75',
        vif_uuid: '5d7ba0e7-f270-4601-9fcf-c8c8d34a7fd8',
        rxtx_cap: 0,
        dns: ['8.8.4.4'],
        ips: [{ ip: address, netmask: '255.255.255.0', enabled: '1' }],
        should_create_bridge: false,
        should_create_vlan: false,
      },
    ],
  ];
}
