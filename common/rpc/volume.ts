import type { MethodTable } from './types.js';

/** Topic `volume`, host topic `volume.<host>`. Source: nova 2011.3, nova/volume/manager.py. */
export interface VolumeRpc {
  /** Makes and exports the volume. Answers its id. */
  create_volume(args: { volume_id: number; snapshot_id?: number | null }): Promise<number>;
  delete_volume(args: { volume_id: number }): Promise<true>;
  create_snapshot(args: { volume_id: number; snapshot_id: number }): Promise<number>;
  delete_snapshot(args: { snapshot_id: number }): Promise<true>;
  /** Throws when a volume of the instance is not exported. */
  check_for_export(args: { instance_id: number }): Promise<null>;
}

export const volumeMethods: MethodTable<VolumeRpc> = {
  create_volume: { required: ['volume_id'], optional: ['snapshot_id'], ack: 'claim' },
  delete_volume: { required: ['volume_id'], ack: 'claim' },
  create_snapshot: { required: ['volume_id', 'snapshot_id'], ack: 'claim' },
  delete_snapshot: { required: ['snapshot_id'], ack: 'claim' },
  check_for_export: { required: ['instance_id'] },
};
