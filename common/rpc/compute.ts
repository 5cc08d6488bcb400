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
  attach_volume(args: { instance_id: InstanceId; volume_id: number; mountpoint: string }): Promise<LockChecked>;
  detach_volume(args: { instance_id: InstanceId; volume_id: number }): Promise<LockChecked>;
  /** The newest part of the console's output, ASCII. */
  get_console_output(args: { instance_id: InstanceId }): Promise<string>;
  /** The hypervisor's own figures, or null while the instance isn't running. */
  get_diagnostics(args: { instance_id: InstanceId }): Promise<Record<string, unknown> | null>;
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
  attach_volume: { required: ['instance_id', 'volume_id', 'mountpoint'], ack: 'claim' },
  detach_volume: { required: ['instance_id', 'volume_id'], ack: 'claim' },
  get_console_output: { required: ['instance_id'] },
  get_diagnostics: { required: ['instance_id'] },
  lock_instance: { required: ['instance_id'] },
  unlock_instance: { required: ['instance_id'] },
  get_lock: { required: ['instance_id'] },
  refresh_security_group_rules: { required: ['security_group_id'] },
  refresh_security_group_members: { required: ['security_group_id'] },
  refresh_provider_fw_rules: { required: [] },
  update_available_resource: { required: [] },
};
