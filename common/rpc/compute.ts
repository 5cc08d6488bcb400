import type { MethodTable } from './types.js';

/** An instance's id as it may arrive: the integer, its decimal text, or a uuid. */
export type InstanceId = number | string;

/** Arguments of `run_instance` beside the id; the API fills all of them, the scheduler passes them on. */
export interface RunInstanceArgs {
  instance_id: InstanceId;
  request_spec?: RequestSpec | null;
  availability_zone?: string | null;
  admin_password?: string | null;
  injected_files?: readonly (readonly [string, string])[] | null;
  requested_networks?: readonly (readonly [string, string | null])[] | null;
}

/** What the API knows of the wish, for schedulers (nova 2011.3, nova/compute/api.py). */
export interface RequestSpec {
  num_instances: number;
  filter: string | null;
  blob: string | null;
  image: Record<string, unknown>;
  instance_type: Record<string, unknown>;
  instance_properties: Record<string, unknown>;
}

/** Arguments of `snapshot_instance`. `rotation`: how many backups of the type stay. */
export interface SnapshotArgs {
  instance_id: InstanceId;
  /** The registry's id of the image which gets the bits. */
  image_id: string | number;
  image_type?: string;
  backup_type?: string | null;
  rotation?: number | null;
}

/** Arguments of the steps of a resize; the instance by its uuid. */
export interface MigrationArgs {
  instance_id: InstanceId;
  migration_id: number;
}

/** Where a console is served, and the token which opens it. */
export interface ConsoleAddress {
  token: string;
  host: string;
  /** A number from the fake hypervisor, a text from libvirt. */
  port: number | string;
}

export interface ConsolePool {
  address: string;
  username: string;
  password: string;
}

/** What a method which respects the instance's lock answers: false when the lock refused it. */
export type LockChecked = null | false;

/** Topic `compute`, host topic `compute.<host>`. Source: nova 2011.3, nova/compute/manager.py. */
export interface ComputeRpc {
  /** Builds a new instance. Claims the row first; a second delivery finds it claimed and does nothing. */
  run_instance(args: RunInstanceArgs): Promise<null>;
  /** Builds a stopped instance again. */
  start_instance(args: { instance_id: InstanceId }): Promise<LockChecked>;
  terminate_instance(args: { instance_id: InstanceId }): Promise<LockChecked>;
  stop_instance(args: { instance_id: InstanceId }): Promise<LockChecked>;
  reboot_instance(args: { instance_id: InstanceId }): Promise<LockChecked>;
  pause_instance(args: { instance_id: InstanceId }): Promise<LockChecked>;
  unpause_instance(args: { instance_id: InstanceId }): Promise<LockChecked>;
  suspend_instance(args: { instance_id: InstanceId }): Promise<LockChecked>;
  resume_instance(args: { instance_id: InstanceId }): Promise<LockChecked>;
  rescue_instance(args: { instance_id: InstanceId }): Promise<LockChecked>;
  unrescue_instance(args: { instance_id: InstanceId }): Promise<LockChecked>;
  /** Makes the machine anew from the row's image. `injected_files` as objects (v1.1) or pairs, contents decoded. */
  rebuild_instance(args: {
    instance_id: InstanceId;
    new_pass?: string | null;
    injected_files?: readonly unknown[] | null;
  }): Promise<LockChecked>;
  /** Gives a registered image the bits of the instance's disk; of backups, deletes those beyond `rotation`. */
  snapshot_instance(args: SnapshotArgs): Promise<null>;
  /** A new password where the message names none. */
  set_admin_password(args: { instance_id: InstanceId; new_pass?: string | null }): Promise<LockChecked>;
  inject_file(args: { instance_id: InstanceId; path: string; file_contents: string }): Promise<LockChecked>;
  agent_update(args: { instance_id: InstanceId; url: string; md5hash: string }): Promise<LockChecked>;
  reset_network(args: { instance_id: InstanceId }): Promise<LockChecked>;
  inject_network_info(args: { instance_id: InstanceId }): Promise<LockChecked>;
  add_fixed_ip_to_instance(args: { instance_id: InstanceId; network_id: number }): Promise<LockChecked>;
  remove_fixed_ip_from_instance(args: { instance_id: InstanceId; address: string }): Promise<LockChecked>;
  /** At the host which the scheduler chose: notes the migration and asks the instance's own host to let go. */
  prep_resize(args: { instance_id: InstanceId; instance_type_id: number }): Promise<LockChecked>;
  /** At the source: powers the machine off, sends its disk, and asks the destination to go on. */
  resize_instance(args: MigrationArgs): Promise<LockChecked>;
  /** At the destination: starts the machine in its new size. `disk_info` is the hypervisor's own. */
  finish_resize(args: MigrationArgs & { disk_info?: unknown }): Promise<LockChecked>;
  /** At the source: removes what is kept of the machine. */
  confirm_resize(args: MigrationArgs): Promise<LockChecked>;
  /** At the destination: removes the machine, and asks the source to take up the one it kept. */
  revert_resize(args: MigrationArgs): Promise<LockChecked>;
  /** At the source: starts the kept machine in its old size. */
  finish_revert_resize(args: MigrationArgs): Promise<LockChecked>;
  /** At the source, once the scheduler has checked everything: moves the running machine to the host `dest`. */
  live_migration(args: { instance_id: InstanceId; dest: string; block_migration?: boolean }): Promise<null>;
  /** At the destination. `disk`: what a block migration copies, in the hypervisor's own words. */
  pre_live_migration(args: { instance_id: InstanceId; block_migration?: boolean; disk?: string | null }): Promise<null>;
  post_live_migration_at_destination(args: { instance_id: InstanceId; block_migration?: boolean }): Promise<null>;
  rollback_live_migration_at_destination(args: { instance_id: InstanceId }): Promise<null>;
  /** Takes a volume's connection off this host; no instance is looked at. */
  remove_volume(args: { volume_id: number }): Promise<null>;
  /** Throws InvalidCPUInfo when a guest of a host with this CPU (compute_nodes.cpu_info) could not run here. */
  compare_cpu(args: { cpu_info: string }): Promise<null>;
  /** Makes a file in `instances_path` and answers its name; by it two hosts find out whether they share the folder. */
  create_shared_storage_test_file(args: Record<string, never>): Promise<string>;
  check_shared_storage_test_file(args: { filename: string }): Promise<boolean>;
  cleanup_shared_storage_test_file(args: { filename: string }): Promise<null>;
  attach_volume(args: { instance_id: InstanceId; volume_id: number; mountpoint: string }): Promise<LockChecked>;
  detach_volume(args: { instance_id: InstanceId; volume_id: number }): Promise<LockChecked>;
  /** The newest part of the console's output, ASCII. */
  get_console_output(args: { instance_id: InstanceId }): Promise<string>;
  /** The hypervisor's own figures, or null while the instance isn't running. */
  get_diagnostics(args: { instance_id: InstanceId }): Promise<Record<string, unknown> | null>;
  get_ajax_console(args: { instance_id: InstanceId }): Promise<ConsoleAddress>;
  get_vnc_console(args: { instance_id: InstanceId }): Promise<ConsoleAddress>;
  /** The topic of the console proxy which serves this host, `console.<host>`. Takes any arguments. */
  get_console_topic(args: Record<string, unknown>): Promise<string>;
  get_console_pool_info(args: { console_type: string }): Promise<ConsolePool>;
  /** `startup`, `shutdown` or `reboot` of the host itself; what the hypervisor answers. */
  host_power_action(args: { host?: string | null; action: string }): Promise<unknown>;
  /** Whether the host takes new instances; what the hypervisor answers. */
  set_host_enabled(args: { host?: string | null; enabled: boolean }): Promise<unknown>;
  lock_instance(args: { instance_id: InstanceId }): Promise<null>;
  unlock_instance(args: { instance_id: InstanceId }): Promise<null>;
  get_lock(args: { instance_id: InstanceId }): Promise<boolean>;
  /** A rule of a security group changed: the hosts of its members rebuild their filters. */
  refresh_security_group_rules(args: { security_group_id: number }): Promise<null>;
  /** A member of a security group came or went. */
  refresh_security_group_members(args: { security_group_id: number }): Promise<null>;
  refresh_provider_fw_rules(args: Record<string, never>): Promise<null>;
  /** Writes the host's compute_nodes row. */
  update_available_resource(args: Record<string, never>): Promise<null>;
}

export const computeMethods: MethodTable<ComputeRpc> = {
  run_instance: {
    required: ['instance_id'],
    optional: ['request_spec', 'availability_zone', 'admin_password', 'injected_files', 'requested_networks'],
    open: true,
    ack: 'claim',
  },
  start_instance: { required: ['instance_id'], ack: 'claim' },
  terminate_instance: { required: ['instance_id'], ack: 'claim' },
  stop_instance: { required: ['instance_id'], ack: 'claim' },
  reboot_instance: { required: ['instance_id'], ack: 'claim' },
  pause_instance: { required: ['instance_id'], ack: 'claim' },
  unpause_instance: { required: ['instance_id'], ack: 'claim' },
  suspend_instance: { required: ['instance_id'], ack: 'claim' },
  resume_instance: { required: ['instance_id'], ack: 'claim' },
  rescue_instance: { required: ['instance_id'], ack: 'claim' },
  unrescue_instance: { required: ['instance_id'], ack: 'claim' },
  rebuild_instance: { required: ['instance_id'], optional: ['new_pass', 'injected_files'], open: true, ack: 'claim' },
  snapshot_instance: {
    required: ['instance_id', 'image_id'],
    optional: ['image_type', 'backup_type', 'rotation'],
    ack: 'claim',
  },
  set_admin_password: { required: ['instance_id'], optional: ['new_pass'], ack: 'claim' },
  inject_file: { required: ['instance_id', 'path', 'file_contents'] },
  agent_update: { required: ['instance_id', 'url', 'md5hash'] },
  reset_network: { required: ['instance_id'] },
  inject_network_info: { required: ['instance_id'] },
  add_fixed_ip_to_instance: { required: ['instance_id', 'network_id'] },
  remove_fixed_ip_from_instance: { required: ['instance_id', 'address'] },
  prep_resize: { required: ['instance_id', 'instance_type_id'], ack: 'claim' },
  resize_instance: { required: ['instance_id', 'migration_id'], ack: 'claim' },
  finish_resize: { required: ['instance_id', 'migration_id'], optional: ['disk_info'], ack: 'claim' },
  confirm_resize: { required: ['instance_id', 'migration_id'], ack: 'claim' },
  revert_resize: { required: ['instance_id', 'migration_id'], ack: 'claim' },
  finish_revert_resize: { required: ['instance_id', 'migration_id'], ack: 'claim' },
  live_migration: { required: ['instance_id', 'dest'], optional: ['block_migration'], ack: 'claim' },
  pre_live_migration: { required: ['instance_id'], optional: ['block_migration', 'disk'] },
  post_live_migration_at_destination: { required: ['instance_id'], optional: ['block_migration'] },
  rollback_live_migration_at_destination: { required: ['instance_id'] },
  remove_volume: { required: ['volume_id'] },
  compare_cpu: { required: ['cpu_info'] },
  create_shared_storage_test_file: { required: [] },
  check_shared_storage_test_file: { required: ['filename'] },
  cleanup_shared_storage_test_file: { required: ['filename'] },
  attach_volume: { required: ['instance_id', 'volume_id', 'mountpoint'], ack: 'claim' },
  detach_volume: { required: ['instance_id', 'volume_id'], ack: 'claim' },
  get_console_output: { required: ['instance_id'] },
  get_diagnostics: { required: ['instance_id'] },
  get_ajax_console: { required: ['instance_id'] },
  get_vnc_console: { required: ['instance_id'] },
  get_console_topic: { required: [], open: true },
  get_console_pool_info: { required: ['console_type'] },
  host_power_action: { required: ['action'], optional: ['host'] },
  set_host_enabled: { required: ['enabled'], optional: ['host'] },
  lock_instance: { required: ['instance_id'] },
  unlock_instance: { required: ['instance_id'] },
  get_lock: { required: ['instance_id'] },
  refresh_security_group_rules: { required: ['security_group_id'] },
  refresh_security_group_members: { required: ['security_group_id'] },
  refresh_provider_fw_rules: { required: [] },
  update_available_resource: { required: [] },
};
