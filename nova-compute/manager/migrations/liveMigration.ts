import type { Context } from '../../../common/context.js';
import { findInstance } from '../../../common/db/instances.js';
import {
  finishLiveMigration,
  recordDestination,
  recordedDestination,
  rollBackLiveMigration,
} from '../../../common/db/liveMigrations.js';
import type { InstanceRow, VolumeRow } from '../../../common/db/rows.js';
import { listVolumesOfInstance } from '../../../common/db/volumes.js';
import { InstanceNotFound, errorText } from '../../../common/errors.js';
import type { InstanceId } from '../../../common/rpc/compute.js';
import type { Delivery } from '../../../common/rpc/types.js';
import { disconnectVolume } from '../../../common/volumes/connector.js';
import { powerState } from '../../virt/driver.js';
import { recordFailure, withClaim } from '../claimedWork.js';
import { reasonOfCutOff, type CutOff } from '../cutOff.js';
import { reasonOf } from '../failures.js';
import { inLane } from '../locks.js';
import { networkInfoOf } from '../building/machineSpec.js';
import { machineName, powerStateOf, type ComputeParts } from '../parts.js';

/** A machine on its way out, without its guest noticing. */
interface Moving {
  readonly parts: ComputeParts;
  readonly context: Context;
  readonly instance: InstanceRow;
  readonly name: string;
  readonly volumes: readonly VolumeRow[];
  readonly destination: string;
  readonly block: boolean;
}

/**
 * At the source: moves a running machine to another host (nova 2011.3, live_migration). The scheduler has checked that it
 * can be, and written `migrating`, which is the claim. A failure before the machine has gone leaves it here, active, with
 * the reason, and is thrown. Throws InstanceNotFound.
 */
export async function liveMigration(
  parts: ComputeParts,
  caller: Context,
  args: { instance_id: InstanceId; dest: string; block_migration?: boolean },
  delivery: Delivery,
): Promise<null> {
  const found = await inLane(parts, args.instance_id, async (id) => {
    const instance = await findInstance(parts.db, id);
    if (instance === undefined) return false;
    const moving: Moving = {
      parts,
      context: caller.elevated(),
      instance,
      name: machineName(parts, instance),
      volumes: await listVolumesOfInstance(parts.db, id),
      destination: String(args.dest),
      block: args.block_migration === true,
    };
    parts.moving.add(id);
    try {
      await move(moving, delivery);
    } finally {
      parts.moving.delete(id);
    }
    return true;
  });
  if (found !== true) throw new InstanceNotFound(args.instance_id);
  return null;
}

async function move(moving: Moving, delivery: Delivery): Promise<void> {
  const { parts, instance, destination } = moving;
  const done = await withClaim(parts, instance, {
    method: 'live_migration',
    delivery,
    doing: `moving to ${destination}`,
    claim: async () => {
      if (instance.host !== parts.runtime.host || instance.vm_state !== 'migrating') return false;
      await recordDestination(parts.db, instance.id, destination);
      return true;
    },
    run: () => sendMachine(moving),
    fail: (error) => rollBack(moving, reasonOf(error, `The instance could not be moved to ${destination}`)),
  });
  if (done) await complete(moving);
}

async function sendMachine({ parts, context, instance, name, volumes, destination, block }: Moving): Promise<void> {
  // each host knows its own volumes alone; 2011.3 asks any of them
  const volumeHosts = new Set(volumes.flatMap(({ host }) => host ?? []));
  await Promise.all(
    [...volumeHosts].map((host) =>
      parts.rpc.volumeOn(host).call.check_for_export(context, { instance_id: instance.id }),
    ),
  );
  const disk = block ? await parts.driver.diskInfo(name) : null;
  await parts.rpc.computeOn(destination).call.pre_live_migration(context, {
    instance_id: instance.id,
    block_migration: block,
    disk,
  });
  await parts.driver.migrateLive(name, destination, { block }, new AbortController().signal);
}

/** The machine is at the destination: the rest follows, whatever of it fails. May be repeated. */
async function complete(moving: Moving): Promise<void> {
  const { parts, context, instance, name, volumes, destination, block } = moving;
  const quietly = async (what: string, work: () => Promise<unknown>): Promise<void> => {
    try {
      await work();
    } catch (error) {
      parts.logger.warn(`${name} is on ${destination} now, but ${what}: ${errorText(error)}`);
    }
  };
  for (const volume of volumes) {
    await quietly(`volume ${volume.id} stays connected here`, () => disconnectVolume(parts, volume));
  }
  await quietly('its network is not known', () => networkInfoOf(parts, context, instance));
  await quietly(`${destination} has not taken it up yet`, () =>
    parts.rpc.computeOn(destination).call.post_live_migration_at_destination(context, {
      instance_id: instance.id,
      block_migration: block,
    }),
  );
  const power = instance.power_state === powerState.running ? {} : { power_state: powerState.running };
  await finishLiveMigration(parts.db, instance.id, parts.runtime.host, destination, power);
}

/** The machine stays here, and nothing of it at the destination. May be repeated. */
async function rollBack(moving: Moving, reason: string): Promise<void> {
  const { parts, context, instance, name, volumes, destination } = moving;
  await recordFailure(parts, instance, reason, async () => {
    const power = await powerStateOf(parts, name);
    const vmState = power.power_state === powerState.running ? 'active' : 'error';
    await rollBackLiveMigration(parts.db, instance.id, parts.runtime.host, reason, { ...power, vm_state: vmState });
  });
  const there = parts.rpc.computeOn(destination);
  const untold = (error: unknown): void =>
    parts.logger.warn(`${destination} was not told that ${name} stays here: ${errorText(error)}`);
  for (const volume of volumes) await there.call.remove_volume(context, { volume_id: volume.id }).catch(untold);
  // 2011.3 tells it of block migrations only; here the destination has made a machine ready in any case.
  await there.cast.rollback_live_migration_at_destination(context, { instance_id: instance.id }).catch(untold);
}

/** A move which was cut off: the hypervisor knows whether the machine has gone. */
export async function recoverLiveMigration(
  parts: ComputeParts,
  context: Context,
  instance: InstanceRow,
  cutOff: CutOff,
): Promise<void> {
  const name = machineName(parts, instance);
  const destination = await recordedDestination(parts.db, instance.id);
  const volumes = await listVolumesOfInstance(parts.db, instance.id);
  const moving: Moving = { parts, context, instance, name, volumes, destination: destination ?? '', block: false };
  if (destination !== undefined && (await parts.driver.info(name)) === undefined) return complete(moving);
  await rollBack(moving, reasonOfCutOff(parts.runtime.host, cutOff, 'the instance was being moved'));
}
