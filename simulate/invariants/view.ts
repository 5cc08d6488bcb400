import type { Rows, TableName } from '../../common/db/rows.js';
import { idFromName } from '../../common/names.js';
import { parseMachine, type FakeMachine } from '../../nova-compute/virt/fake/machineFile.js';
import type { SimulatedCloud } from '../cloud.js';
import type { SimulatedHost } from '../host.js';
import type { SimulatedUsers } from '../users/users.js';

/** A machine of a hypervisor, with the instance which it is. */
export interface Machine extends FakeMachine {
  readonly instanceId: number;
}

/** What a block store holds. */
export interface StoredVolume {
  readonly id: number;
  readonly target: number | null;
}

/** The state of a cloud at one moment. */
export interface View {
  readonly cloud: SimulatedCloud;
  readonly users: SimulatedUsers;
  rows<T extends TableName>(table: T): readonly Rows[T][];
  /** Rows which are not deleted. */
  live<T extends TableName>(table: T): readonly Rows[T][];
  /** Hosts which are not lost. */
  readonly hosts: readonly SimulatedHost[];
  isLost(host: string | null): boolean;
  machinesOf(host: string): readonly Machine[];
  volumesOf(host: string): readonly StoredVolume[];
  snapshotsOf(host: string): readonly number[];
}

const tables = [
  'instances',
  'instance_actions',
  'fixed_ips',
  'floating_ips',
  'virtual_interfaces',
  'volumes',
  'snapshots',
  'block_device_mapping',
  'iscsi_targets',
  'security_groups',
  'security_group_rules',
  'security_group_instance_association',
] as const satisfies readonly TableName[];

/** Reads everything. */
export async function viewOf(cloud: SimulatedCloud, users: SimulatedUsers): Promise<View> {
  const read = new Map<string, readonly { deleted?: boolean | null }[]>();
  for (const table of tables) read.set(table, await cloud.db.all(`SELECT * FROM ${table} ORDER BY id`));
  const rows = <T extends TableName>(table: T): readonly Rows[T][] => read.get(table) as unknown as Rows[T][];
  const hosts = [...cloud.hosts.values()];
  const stored = new Map<string, { machines: Machine[]; volumes: StoredVolume[]; snapshots: number[] }>();
  for (const host of hosts) {
    const volumes = await texts(host, `/nova/fake-volumes/${host.name}`, '.volume.json');
    const snapshots = await texts(host, `/nova/fake-volumes/${host.name}`, '.snapshot.json');
    stored.set(host.name, {
      machines: await machines(cloud, host),
      volumes: volumes.map((text) => JSON.parse(text) as StoredVolume),
      snapshots: snapshots.map((text) => (JSON.parse(text) as { id: number }).id),
    });
  }
  return {
    cloud,
    users,
    rows,
    live: (table) => rows(table).filter((row) => !(row as { deleted?: boolean | null }).deleted),
    hosts: hosts.filter((host) => !host.lost),
    isLost: (host) => host !== null && cloud.hosts.get(host)?.lost === true,
    machinesOf: (host) => stored.get(host)?.machines ?? [],
    volumesOf: (host) => stored.get(host)?.volumes ?? [],
    snapshotsOf: (host) => stored.get(host)?.snapshots ?? [],
  };
}

async function texts(host: SimulatedHost, folder: string, ending: string): Promise<string[]> {
  const names = (await host.files.list(folder)).filter((name) => name.endsWith(ending));
  return Promise.all(names.map((name) => host.files.read(`${folder}/${name}`)));
}

async function machines(cloud: SimulatedCloud, host: SimulatedHost): Promise<Machine[]> {
  const { instance_name_template: template } = cloud.flagsOf(host.name);
  return (await texts(host, `/nova/fake/${host.name}`, '.json')).map((text) => {
    const machine = parseMachine(text)!;
    return { ...machine, instanceId: idFromName(template, machine.name) ?? -1 };
  });
}
