import type { VolumeRow } from '../../common/db/rows.js';
import { hasMachine } from './instances.js';
import type { View } from './view.js';

const volumeRest: readonly (string | null)[] = ['available', 'in-use', 'error', 'error_deleting'];
const snapshotRest: readonly (string | null)[] = ['available', 'error', 'error_deleting'];

function describe(volume: VolumeRow): string {
  const { id, host, status, attach_status: attached, instance_id: instance, mountpoint } = volume;
  return `volume ${id} (host ${host}, ${status}, ${attached}, instance ${instance} at ${mountpoint})`;
}

/** Volumes and snapshots are at rest, and their states match attachments. */
export function volumeStates(view: View): string[] {
  const problems: string[] = [];
  const instances = new Map(view.live('instances').map((row) => [row.id, row]));
  for (const row of view.live('volumes')) {
    if (!volumeRest.includes(row.status)) problems.push(`${describe(row)} is not at rest`);
    const attached = row.attach_status === 'attached';
    if (attached !== (row.status === 'in-use') || attached !== (row.instance_id !== null))
      problems.push(`${describe(row)} contradicts itself`);
    if (row.instance_id === null) continue;
    const instance = instances.get(row.instance_id);
    if (instance === undefined) problems.push(`${describe(row)} is attached to an instance which is gone`);
    else if (instance.vm_state === 'stopped') problems.push(`${describe(row)} is attached to a stopped instance`);
    else if (instance.vm_state === 'active' && !isMapped(view, row)) problems.push(`${describe(row)} has no mapping`);
  }
  for (const row of view.live('snapshots')) {
    if (!snapshotRest.includes(row.status))
      problems.push(`snapshot ${row.id} of volume ${row.volume_id} is ${row.status}`);
  }
  return [...problems, ...mappings(view)];
}

/** A volume is mapped to the instance which has it, and to some which are to have it when they start again; once to each. */
function mappings(view: View): string[] {
  const problems: string[] = [];
  const instances = new Map(view.live('instances').map((row) => [row.id, row]));
  const volumes = new Map(view.live('volumes').map((row) => [row.id, row]));
  const mapped = new Set<string>();
  for (const { id, instance_id: instanceId, volume_id: volumeId } of view.live('block_device_mapping')) {
    const what = `mapping ${id} of volume ${volumeId} to instance ${instanceId}`;
    const instance = instances.get(instanceId!);
    if (instance === undefined) problems.push(`${what}, which is gone`);
    if (volumeId === null) continue;
    const volume = volumes.get(volumeId);
    const pair = `${instanceId} ${volumeId}`;
    if (mapped.has(pair)) problems.push(`${what} is there twice`);
    mapped.add(pair);
    // That of a stopped instance is anybody's to take or delete, as in 2011.3; then it does not start.
    if (!hasMachine(instance)) continue;
    if (volume === undefined) problems.push(`${what} is of a volume which is gone`);
    else if (volume.instance_id !== instanceId) problems.push(`${what} contradicts it: ${describe(volume)}`);
  }
  return problems;
}

function isMapped(view: View, volume: VolumeRow): boolean {
  return view
    .live('block_device_mapping')
    .some((row) => row.instance_id === volume.instance_id && row.volume_id === volume.id);
}

/** Machines have exactly the disks which the rows say. */
export function disksMatch(view: View): string[] {
  const problems: string[] = [];
  const volumes = view.live('volumes');
  for (const host of view.hosts) {
    for (const machine of view.machinesOf(host.name)) {
      const instance = view.live('instances').find((row) => row.id === machine.instanceId);
      if (!hasMachine(instance)) continue;
      const own = volumes.filter((row) => row.instance_id === machine.instanceId);
      const wanted = own.map((row) => `${row.mountpoint} ${row.id}`).sort();
      const found = Object.entries(machine.volumes)
        .map(([device, path]) => `${device} ${volumeOf(path)}`)
        .sort();
      if (wanted.join() !== found.join())
        problems.push(
          `${machine.name} on ${host.name} has the disks [${found.join()}] and should have [${wanted.join()}]`,
        );
    }
  }
  return problems;
}

/** The volume of a device, `…/volume-id-7` or, on the volume's own host, `…-volume--00000007`. */
function volumeOf(path: string): number {
  const [, decimal, hex] = /volume-id-(\d+)$|volume--([0-9a-f]{8})$/.exec(path) ?? [];
  return decimal === undefined ? parseInt(hex ?? '', 16) : Number(decimal);
}

/** Every volume which is ready is stored and exported under its target; nothing else is stored. */
export function exportsMatch(view: View): string[] {
  const problems: string[] = [];
  const rows = new Map(view.live('volumes').map((row) => [row.id, row]));
  const targets = view.live('iscsi_targets').filter((row) => row.volume_id !== null);
  for (const host of view.hosts) {
    const stored = new Map(view.volumesOf(host.name).map((volume) => [volume.id, volume]));
    for (const { id } of stored.values()) {
      if (rows.get(id)?.host !== host.name)
        problems.push(`${host.name} stores volume ${id}, which is not there (any more)`);
    }
    for (const row of rows.values()) {
      if (row.host !== host.name || (row.status !== 'available' && row.status !== 'in-use')) continue;
      const own = targets.filter((one) => one.volume_id === row.id);
      if (own.length > 1) problems.push(`${describe(row)} has the targets ${own.map((one) => one.target_num).join()}`);
      const target = own.find((one) => one.host === host.name)?.target_num;
      const file = stored.get(row.id);
      if (file === undefined) problems.push(`${describe(row)} is not stored on its host`);
      else if (file.target === null || file.target !== target)
        problems.push(`${describe(row)} is exported as ${file.target} and its target is ${target}`);
    }
    const snapshots = new Set(view.snapshotsOf(host.name));
    for (const row of view.live('snapshots')) {
      if (rows.get(row.volume_id)?.host !== host.name || row.status !== 'available') continue;
      if (!snapshots.has(row.id))
        problems.push(`snapshot ${row.id} of volume ${row.volume_id} is not stored on ${host.name}`);
    }
    const known = new Set(view.live('snapshots').map((row) => row.id));
    for (const id of snapshots) if (!known.has(id)) problems.push(`${host.name} stores snapshot ${id}, which is gone`);
  }
  for (const { id, volume_id: volume } of targets) {
    if (!rows.has(volume!)) problems.push(`target ${id} belongs to volume ${volume}, which is gone`);
  }
  return problems;
}
