import { findInstance } from '../../common/db/instances.js';
import { getVolume, requestVolumeDelete } from '../../common/db/volumes.js';
import { InvalidEc2Id, VolumeNotFound } from '../../common/errors.js';
import { type Argument, type Category, type Command, CommandError } from '../command.js';
import { operator } from '../cloud.js';

const volumeArgument: Argument = {
  name: 'volume',
  option: '--volume',
  required: true,
  help: 'Volume id, e.g. vol-0000000a, volume-0000000a or 10',
};

/** `vol-0000000a`, `volume-0000000a` or a decimal id. */
function volumeIdOf(text: string): number {
  const hex = /^vol(?:ume)?-([0-9a-f]{1,8})$/i.exec(text);
  const id = hex ? parseInt(hex[1]!, 16) : /^\d{1,10}$/.test(text) ? Number(text) : NaN;
  if (!(id <= 2 ** 31 - 1)) throw new InvalidEc2Id(text);
  return id;
}

const remove: Command = {
  summary: 'Delete a volume which is not attached',
  arguments: [volumeArgument],
  async run(environment, values) {
    const db = await environment.database();
    const volume = await getVolume(db, volumeIdOf(values['volume']!));
    if (volume.status === 'in-use' || volume.attach_status === 'attached') {
      environment.print('Volume is in-use.');
      environment.print('Detach volume from instance and then try again.');
      return 1;
    }
    // One which is being deleted is asked for once more: its host may never have heard of it.
    const isRepeated = volume.status === 'deleting' && volume.host !== null;
    const request = isRepeated ? { taken: true as const, host: volume.host } : await requestVolumeDelete(db, volume.id);
    if (!request.taken) throw new CommandError(`Volume is ${request.volume.status}; it cannot be deleted now.`);
    if (request.host === null) {
      environment.print('Volume not yet assigned to host.');
      environment.print('Deleting volume from database and skipping rpc.');
      return 0;
    }
    const rpc = await environment.rpc();
    await rpc.volumeOn(request.host!).cast.delete_volume(operator(environment), { volume_id: volume.id });
    return 0;
  },
};

const reattach: Command = {
  summary: 'Re-attach a volume that has previously been attached to an instance, e.g. after its host was rebooted',
  arguments: [volumeArgument],
  async run(environment, values) {
    const db = await environment.database();
    const volume = await getVolume(db, volumeIdOf(values['volume']!));
    const { instance_id: instanceId, mountpoint } = volume;
    if (instanceId === null || mountpoint === null) throw new CommandError('volume is not attached to an instance');
    const instance = await findInstance(db, instanceId);
    if (instance === undefined || instance.host === null) throw new VolumeNotFound(volume.id);
    const rpc = await environment.rpc();
    const args = { instance_id: instanceId, volume_id: volume.id, mountpoint };
    await rpc.computeOn(instance.host).cast.attach_volume(operator(environment), args);
    return 0;
  },
};

/** `nova-manage volume` (nova 2011.3, bin/nova-manage VolumeCommands). */
export const volume: Category = { commands: { delete: remove, reattach } };
