import type { VolumeRow } from '../db/rows.js';
import { registered, type Choice } from '../registry.js';
import type { Runtime } from '../runtime/runtime.js';
import { localVolumePath } from './names.js';

/** How a compute host reaches volumes of another host; the counterpart of a driver of nova-volume. */
interface Initiator {
  /** Makes the volume a block device of this host and answers its path. A repeated call answers the same. */
  discover(volume: VolumeRow): Promise<string>;
  /** The undo. A volume which isn't connected is no error. */
  undiscover(volume: VolumeRow): Promise<void>;
}

/** By our name of the flag volume_driver: as in 2011.3, compute hosts have the same flag as volume hosts. */
const initiators: { readonly [driver in Choice<'volume_driver'>]: Initiator } = {
  // nova 2011.3, nova/volume/driver.py FakeISCSIDriver: nothing is logged in to, the path is made up.
  fake: {
    discover: async (volume) => `/dev/disk/by-path/volume-id-${volume.id}`,
    undiscover: async () => undefined,
  },
};

/**
 * Makes a volume reachable on this host and answers the path of its device: the local path when the volume is of this
 * host and the flag use_local_volumes is set, else that of the initiator. Idempotent. Throws StartupError when the flag
 * volume_driver names no driver, and what the initiator's commands throw.
 */
export async function connectVolume(parts: { readonly runtime: Runtime }, volume: VolumeRow): Promise<string> {
  if (isLocal(parts.runtime, volume)) return localVolumePath(parts.runtime.flags, volume);
  return initiatorOf(parts.runtime).discover(volume);
}

/** The undo of {@link connectVolume}. Idempotent. */
export async function disconnectVolume(parts: { readonly runtime: Runtime }, volume: VolumeRow): Promise<void> {
  if (!isLocal(parts.runtime, volume)) await initiatorOf(parts.runtime).undiscover(volume);
}

function isLocal(runtime: Runtime, volume: VolumeRow): boolean {
  return volume.host === runtime.host && runtime.flags.use_local_volumes;
}

function initiatorOf(runtime: Runtime): Initiator {
  return initiators[registered('volume_driver', runtime.flags.volume_driver)];
}
