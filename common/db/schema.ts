/**
 * The tables of Nova 2011.3's schema 46 as its migrations 001 to 046 leave them (the models of 2011.3 declare keys and
 * indexes which no migration creates; they are not here), followed by our own. Referenced tables come first.
 */

/** `serial` is the integer primary key which the database counts up; `string` is VARCHAR(length). */
export type ColumnKind = 'serial' | 'integer' | 'float' | 'boolean' | 'time' | 'text' | 'string';

export interface Column {
  readonly name: string;
  readonly kind: ColumnKind;
  /** Characters of a `string`. */
  readonly length: number;
  readonly notNull: boolean;
}
export interface ForeignKey {
  readonly columns: readonly string[];
  readonly table: string;
  readonly references: readonly string[];
}
export interface Table {
  readonly name: string;
  readonly columns: readonly Column[];
  readonly primaryKey: readonly string[];
  readonly foreignKeys: readonly ForeignKey[];
  readonly unique: readonly (readonly string[])[];
  /** Name which the table had while it was made; PostgreSQL's sequence and primary key still bear it. */
  readonly formerName: string;
  /** The column which the database counts up, when there is one. */
  readonly serial: string | null;
  /** created_at, updated_at, deleted_at and deleted are there. */
  readonly softDeleted: boolean;
}

interface Keys {
  primaryKey?: readonly string[];
  /** `columns -> table`, several columns with spaces between; they reference the primary key. */
  foreignKeys?: readonly string[];
  unique?: readonly string[];
  formerName?: string;
}

const stamps = 'created_at time, updated_at time, deleted_at time, deleted boolean';

/** Reads the notation below: `name kind`, `!` for NOT NULL, `stamps` for the four columns of the life cycle. */
function table(name: string, notation: string, keys: Keys = {}): Table {
  const columns = notation.replace('stamps', stamps).split(',').map(column);
  return {
    name,
    columns,
    primaryKey: keys.primaryKey ?? ['id'],
    foreignKeys: (keys.foreignKeys ?? []).map(foreignKey),
    unique: (keys.unique ?? []).map((columnNames) => columnNames.split(' ')),
    formerName: keys.formerName ?? name,
    serial: columns.find((each) => each.kind === 'serial')?.name ?? null,
    softDeleted: columns.some((each) => each.name === 'deleted'),
  };
}

function column(notation: string): Column {
  const match = /^\s*(\w+)\s+(serial|integer|float|boolean|time|text|string)(?:\((\d+)\))?(!?)\s*$/.exec(notation);
  if (!match) throw new SyntaxError(`not a column: ${notation}`);
  const [, name, kind, length, notNull] = match;
  return {
    name: name!,
    kind: kind as ColumnKind,
    length: Number(length ?? 255),
    notNull: notNull === '!' || kind === 'serial',
  };
}

function foreignKey(notation: string): ForeignKey {
  const [columns, target] = notation.split(' -> ') as [string, string];
  const names = columns.split(' ');
  return { columns: names, table: target, references: names.length === 1 ? ['id'] : names };
}

/** Schema 46 of Nova 2011.3. */
export const novaTables: readonly Table[] = [
  table(
    'agent_builds',
    'stamps, id serial, hypervisor string, os string, architecture string, version string, url string, md5hash string',
  ),
  table(
    'auth_tokens',
    `
    stamps, token_hash string!, user_id string, server_management_url string, storage_url string, cdn_management_url
    string`,
    { primaryKey: ['token_hash'] },
  ),
  table(
    'instances',
    `
    stamps, id serial, internal_id integer, user_id string, project_id string, image_ref string, kernel_id string,
    ramdisk_id string, server_name string, launch_index integer, key_name string, key_data text, power_state
    integer, vm_state string, memory_mb integer, vcpus integer, local_gb integer, hostname string, host string,
    user_data text, reservation_id string, scheduled_at time, launched_at time, terminated_at time, display_name
    string, display_description string, availability_zone string, locked boolean, os_type string, launched_on text,
    instance_type_id integer, vm_mode string, uuid string(36), architecture string, root_device_name string,
    access_ip_v4 string, access_ip_v6 string, config_drive string, task_state string, default_local_device string,
    default_swap_device string`,
  ),
  table(
    'snapshots',
    `
    stamps, id serial, volume_id integer!, user_id string, project_id string, status string, progress string,
    volume_size integer, scheduled_at time, display_name string, display_description string`,
  ),
  table(
    'volumes',
    `
    stamps, id serial, ec2_id string, user_id string, project_id string, host string, size integer,
    availability_zone string, instance_id integer, mountpoint string, attach_time string, status string,
    attach_status string, scheduled_at time, launched_at time, terminated_at time, display_name string,
    display_description string, provider_location string(256), provider_auth string(256), snapshot_id integer,
    volume_type_id integer`,
    { foreignKeys: ['instance_id -> instances'] },
  ),
  table(
    'block_device_mapping',
    `
    stamps, id serial, instance_id integer!, device_name string!, delete_on_termination boolean, virtual_name
    string, snapshot_id integer, volume_id integer, volume_size integer, no_device boolean`,
    { foreignKeys: ['instance_id -> instances', 'snapshot_id -> snapshots', 'volume_id -> volumes'] },
  ),
  table('certificates', 'stamps, id serial, user_id string, project_id string, file_name string'),
  table(
    'compute_nodes',
    `
    stamps, id serial, service_id integer!, vcpus integer!, memory_mb integer!, local_gb integer!, vcpus_used
    integer!, memory_mb_used integer!, local_gb_used integer!, hypervisor_type text!, hypervisor_version integer!,
    cpu_info text!`,
  ),
  table(
    'console_pools',
    `
    stamps, id serial, address string, username string, password string, console_type string, public_hostname
    string, host string, compute_host string`,
  ),
  table(
    'consoles',
    'stamps, id serial, instance_name string, instance_id integer, password string, port integer, pool_id integer',
    { foreignKeys: ['pool_id -> console_pools'] },
  ),
  table('export_devices', 'stamps, id serial, shelf_id integer, blade_id integer, volume_id integer', {
    foreignKeys: ['volume_id -> volumes'],
  }),
  table(
    'networks',
    `
    stamps, id serial, injected boolean, cidr string, netmask string, bridge string, gateway string, broadcast
    string, dns1 string, vlan integer, vpn_public_address string, vpn_public_port integer, vpn_private_address
    string, dhcp_start string, project_id string, host string, cidr_v6 string, gateway_v6 string, label string,
    netmask_v6 string, bridge_interface string, multi_host boolean, dns2 string, uuid string(36), priority integer`,
  ),
  table(
    'virtual_interfaces',
    'stamps, id serial, address string, network_id integer, instance_id integer!, uuid string(36)',
    { foreignKeys: ['instance_id -> instances', 'network_id -> networks'], unique: ['address'] },
  ),
  table(
    'fixed_ips',
    `
    stamps, id serial, address string, network_id integer, instance_id integer, allocated boolean, leased boolean,
    reserved boolean, virtual_interface_id integer, host string`,
    {
      foreignKeys: ['instance_id -> instances', 'network_id -> networks', 'virtual_interface_id -> virtual_interfaces'],
    },
  ),
  table(
    'floating_ips',
    'stamps, id serial, address string, fixed_ip_id integer, project_id string, host string, auto_assigned boolean',
    { foreignKeys: ['fixed_ip_id -> fixed_ips'] },
  ),
  table('instance_actions', 'stamps, id serial, instance_id integer, action string, error text', {
    foreignKeys: ['instance_id -> instances'],
  }),
  table('instance_metadata', 'stamps, id serial, instance_id integer!, key string, value string', {
    foreignKeys: ['instance_id -> instances'],
  }),
  table(
    'instance_types',
    `
    stamps, name string, id serial, memory_mb integer!, vcpus integer!, local_gb integer!, flavorid integer!, swap
    integer!, rxtx_quota integer!, rxtx_cap integer!`,
    { unique: ['flavorid', 'name'] },
  ),
  table('instance_type_extra_specs', 'stamps, id serial, instance_type_id integer!, key string, value string', {
    foreignKeys: ['instance_type_id -> instance_types'],
  }),
  table('iscsi_targets', 'stamps, id serial, target_num integer, host string, volume_id integer', {
    foreignKeys: ['volume_id -> volumes'],
  }),
  table('key_pairs', 'stamps, id serial, name string, user_id string, fingerprint string, public_key text'),
  table('migrate_version', 'repository_id string(250)!, repository_path text, version integer', {
    primaryKey: ['repository_id'],
  }),
  table(
    'migrations',
    `
    stamps, id serial, source_compute string, dest_compute string, dest_host string, status string, instance_uuid
    string, old_instance_type_id integer, new_instance_type_id integer`,
  ),
  table('users', 'stamps, id string!, name string, access_key string, secret_key string, is_admin boolean'),
  table('projects', 'stamps, id string!, name string, description string, project_manager string', {
    foreignKeys: ['project_manager -> users'],
  }),
  table('provider_fw_rules', 'stamps, id serial, protocol string(5), from_port integer, to_port integer, cidr string'),
  table('quotas', 'id serial, stamps, project_id string, resource string!, hard_limit integer', {
    formerName: 'quotas_new',
  }),
  table('security_groups', 'stamps, id serial, name string, description string, user_id string, project_id string'),
  table('security_group_instance_association', 'stamps, id serial, security_group_id integer, instance_id integer', {
    foreignKeys: ['instance_id -> instances', 'security_group_id -> security_groups'],
  }),
  table(
    'security_group_rules',
    `
    stamps, id serial, parent_group_id integer, protocol string, from_port integer, to_port integer, cidr string,
    group_id integer`,
    { foreignKeys: ['group_id -> security_groups', 'parent_group_id -> security_groups'] },
  ),
  table(
    'services',
    `
    stamps, id serial, host string, binary string, topic string, report_count integer!, disabled boolean,
    availability_zone string`,
  ),
  table('user_project_association', 'stamps, user_id string!, project_id string!', {
    primaryKey: ['user_id', 'project_id'],
    foreignKeys: ['project_id -> projects', 'user_id -> users'],
  }),
  table('user_project_role_association', 'stamps, user_id string!, project_id string!, role string!', {
    primaryKey: ['user_id', 'project_id', 'role'],
    foreignKeys: ['user_id project_id -> user_project_association'],
  }),
  table('user_role_association', 'stamps, user_id string!, role string!', {
    primaryKey: ['user_id', 'role'],
    foreignKeys: ['user_id -> users'],
  }),
  table(
    'virtual_storage_arrays',
    `
    stamps, id serial, display_name string, display_description string, project_id string, availability_zone string,
    instance_type_id integer!, image_ref string, vc_count integer!, vol_count integer!, status string`,
  ),
  table('volume_metadata', 'stamps, id serial, volume_id integer!, key string, value string', {
    foreignKeys: ['volume_id -> volumes'],
  }),
  table('volume_types', 'stamps, id serial, name string', { unique: ['name'] }),
  table('volume_type_extra_specs', 'stamps, id serial, volume_type_id integer!, key string, value string', {
    foreignKeys: ['volume_type_id -> volume_types'],
  }),
  table(
    'zones',
    'stamps, id serial, api_url string, username string, password string, weight_offset float, weight_scale float',
  ),
];

/** Tables of our own. Python daemons do not see them; nothing which Nova 2011.3 stores is in them. */
export const ownTables: readonly Table[] = [
  // Which reservation an EC2 ClientToken made: a repeated RunInstances answers the same one.
  table(
    'ext_client_tokens',
    'id serial, created_at time!, project_id string!, token string(64)!, request_hash string(64)!, reservation_id string',
    { unique: ['project_id token'] },
  ),
];

const byName: ReadonlyMap<string, Table> = new Map([...novaTables, ...ownTables].map((each) => [each.name, each]));

/** The table of that name; undefined when the schema has none. */
export function tableNamed(name: string): Table | undefined {
  return byName.get(name);
}

/** Every column name which holds a boolean wherever it occurs (no other table uses one of them for something else). */
export const booleanColumns: ReadonlySet<string> = new Set(
  [...byName.values()].flatMap((each) => each.columns.filter((one) => one.kind === 'boolean').map((one) => one.name)),
);

/** The version which the tables have, and where `migrate_version` keeps it. */
export const schemaVersionNumber = 46;
export const migrateRepository = 'nova';

/** The flavors which 2011.3's migrations leave; their ids are not in the order of their size. */
export const seededInstanceTypes = [
  { id: 1, name: 'm1.medium', memory_mb: 4096, vcpus: 2, local_gb: 40, flavorid: 3 },
  { id: 2, name: 'm1.tiny', memory_mb: 512, vcpus: 1, local_gb: 0, flavorid: 1 },
  { id: 3, name: 'm1.large', memory_mb: 8192, vcpus: 4, local_gb: 80, flavorid: 4 },
  { id: 4, name: 'm1.xlarge', memory_mb: 16384, vcpus: 8, local_gb: 160, flavorid: 5 },
  { id: 5, name: 'm1.small', memory_mb: 2048, vcpus: 1, local_gb: 20, flavorid: 2 },
].map((type) => ({ ...type, swap: 0, rxtx_quota: 0, rxtx_cap: 0, deleted: false }));
