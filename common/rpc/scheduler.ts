import type { RunInstanceArgs } from './compute.js';
import type { MethodTable } from './types.js';

/**
 * Topic `scheduler`, host topic `scheduler.<host>`. Source: nova 2011.3, nova/scheduler/manager.py. Any other method
 * name whose arguments hold a `topic` is passed on to a host of that topic.
 */
export interface SchedulerRpc {
  update_service_capabilities(args: {
    service_name: string;
    host: string;
    capabilities: Record<string, unknown>;
  }): Promise<null>;
  get_host_list(args: Record<string, never>): Promise<{ service: string; host_name: string }[]>;
  get_zone_list(args: Record<string, never>): Promise<unknown[]>;
  get_zone_capabilities(args: Record<string, never>): Promise<Record<string, [unknown, unknown]>>;
  /** The hosts for a request, the best first, where the scheduler's driver weighs them. */
  select(args: {
    request_spec: unknown;
  }): Promise<{ weight: number; hostname: string; capabilities: Readonly<Record<string, unknown>> }[]>;
  show_host_resources(args: {
    host: string;
  }): Promise<{ resource: Record<string, number>; usage: Record<string, unknown> }>;
  run_instance(args: RunInstanceArgs & { topic: string }): Promise<null>;
  start_instance(args: { topic: string; instance_id: number | string }): Promise<null>;
  /** Finds another host for an instance which is to be resized or migrated. */
  prep_resize(args: { topic: string; instance_id: number | string; instance_type_id: number }): Promise<null>;
  /** Checks whether a running instance can move to the host `dest`, and asks its host to do it. Called, not cast. */
  live_migration(args: {
    topic: string;
    instance_id: number | string;
    dest: string;
    block_migration?: boolean;
  }): Promise<null>;
  create_volume(args: { topic: string; volume_id: number; snapshot_id: number | null }): Promise<null>;
  create_snapshot(args: { topic: string; volume_id: number; snapshot_id: number }): Promise<null>;
  delete_snapshot(args: { topic: string; snapshot_id: number }): Promise<null>;
}

export const schedulerMethods: MethodTable<SchedulerRpc> = {
  update_service_capabilities: { required: ['service_name', 'host', 'capabilities'] },
  get_host_list: { required: [] },
  get_zone_list: { required: [] },
  get_zone_capabilities: { required: [] },
  select: { required: ['request_spec'], open: true },
  show_host_resources: { required: ['host'] },
  run_instance: { required: ['topic'], open: true, ack: 'claim' },
  start_instance: { required: ['topic'], open: true, ack: 'claim' },
  prep_resize: { required: ['topic'], open: true, ack: 'claim' },
  live_migration: { required: ['topic', 'instance_id', 'dest'], optional: ['block_migration'] },
  create_volume: { required: ['topic'], open: true, ack: 'claim' },
  create_snapshot: { required: ['topic'], open: true, ack: 'claim' },
  delete_snapshot: { required: ['topic'], open: true, ack: 'claim' },
};
