import type { Context } from '../../common/context.js';
import type { DaemonParts } from '../../common/daemon.js';
import { InvalidInput } from '../../common/errors.js';
import type { Manager } from '../../common/manager.js';
import { volumeMethods, type VolumeRpc } from '../../common/rpc/volume.js';
import type { VolumeDriver } from '../drivers/driver.js';
import { createVolume } from './createVolume.js';
import { deleteVolume } from './deleteVolume.js';
import { checkForExport } from './exports.js';
import { finishUnfinished, recover } from './recovery.js';
import { createSnapshot, deleteSnapshot } from './snapshots.js';
import { volumeWork, type VolumeWork } from './work.js';

/** The work of nova-volume: volumes and snapshots of this host, with a driver. */
export function volumeManager(
  parts: Pick<DaemonParts, 'runtime' | 'db' | 'rpc'>,
  driver: VolumeDriver,
): Manager<VolumeRpc> {
  const work = volumeWork(parts, driver);
  const publishCapabilities = capabilityPublisher(work);
  return {
    methods: volumeMethods,
    handlers: {
      async create_volume(_context, { volume_id: given }, delivery) {
        const id = integerId(given);
        await createVolume(work, id, () => delivery.accept());
        return id;
      },
      async delete_volume(_context, { volume_id: given }, delivery) {
        const id = integerId(given);
        await deleteVolume(work, id, () => delivery.accept());
        return true;
      },
      async create_snapshot(context, { snapshot_id: given }, delivery) {
        const id = integerId(given);
        await createSnapshot(work, context, id, () => delivery.accept());
        return id;
      },
      async delete_snapshot(context, { snapshot_id: given }, delivery) {
        const id = integerId(given);
        await deleteSnapshot(work, context, id, () => delivery.accept());
        return true;
      },
      async check_for_export(_context, { instance_id: given }) {
        const id = integerId(given);
        await checkForExport(work, id);
        return null;
      },
    },
    async initHost(context) {
      await driver.checkForSetupError();
      await recover(work, context);
    },
    periodicTasks: [
      { name: 'finish_unfinished', run: (context) => finishUnfinished(work, context) },
      { name: 'publish_capabilities', run: publishCapabilities },
    ],
  };
}

/** An id of a message. Throws InvalidInput for what can be none, before it gets into a statement. */
function integerId(given: unknown): number {
  if (Number.isInteger(given) && Math.abs(given as number) < 2 ** 31) return given as number;
  throw new InvalidInput(`${JSON.stringify(given)?.slice(0, 50)} is no id`);
}

/**
 * Sends the back end's figures to all schedulers when they have changed, or always (flag volume_force_update_capabilities);
 * a back end without any sends nothing.
 */
function capabilityPublisher(work: VolumeWork): (context: Context) => Promise<void> {
  let last = '';
  return async (context) => {
    const capabilities = await work.driver.stats();
    const text = JSON.stringify(capabilities);
    const { flags, host } = work.runtime;
    if (capabilities === null || text === '{}') return;
    if (text === last && !flags.volume_force_update_capabilities) return;
    await work.rpc.fanout(context, flags.scheduler_topic, 'update_service_capabilities', {
      service_name: flags.volume_topic,
      host,
      capabilities,
    });
    last = text;
  };
}
