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
  show_host_resources(args: {
    host: string;
  }): Promise<{ resource: Record<string, number>; usage: Record<string, unknown> }>;
  run_instance(args: RunInstanceArgs & { topic: string }): Promise<null>;
  start_instance(args: { topic: string; instance_id: number | string }): Promise<null>;
  create_volume(args: { topic: string; volume_id: number; snapshot_id: number | null }): Promise<null>;
  create_snapshot(args: { topic: string; volume_id: number; snapshot_id: number }): Promise<null>;
  delete_snapshot(args: { topic: string; snapshot_id: number }): Promise<null>;
}

export const schedulerMethods: MethodTable<SchedulerRpc> = {
  update_service_capabilities: { required: ['service_name', 'host', 'capabilities'] },
  get_host_list: { required: [] },
  get_zone_list: { required: [] },
  get_zone_capabilities: { required: [] },
  show_host_resources: { required: ['host'] },
  run_instance: { required: ['topic'], open: true, ack: 'claim' },
  start_instance: { required: ['topic'], open: true, ack: 'claim' },
  create_volume: { required: ['topic'], open: true, ack: 'claim' },
  create_snapshot: { required: ['topic'], open: true, ack: 'claim' },
  delete_snapshot: { required: ['topic'], open: true, ack: 'claim' },
};
