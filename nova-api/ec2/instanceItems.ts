import { ec2ImageId } from '../../common/cloud/images.js';
import type { InstanceState } from '../../common/cloud/instances.js';
import type { Context } from '../../common/context.js';
import type { InstanceView, MappedVolume } from '../../common/db/instanceViews.js';
import { isoTime } from '../../common/time.js';
import type { Ec2Value } from './action.js';
import type { FilterGetters } from './filters.js';
import { ec2IdOf } from './ids.js';

/** An instance's state in EC2's words. */
export interface Ec2State {
  readonly code: number;
  readonly name: string;
}

/** EC2's name and code for a vm_state; those which EC2 doesn't know keep the name which nova 2011.3 shows. */
const states: Readonly<Record<string, Ec2State>> = {
  building: { code: 0, name: 'pending' },
  rebuilding: { code: 0, name: 'pending' },
  active: { code: 16, name: 'running' },
  migrating: { code: 16, name: 'migrate' },
  resizing: { code: 16, name: 'resize' },
  rescued: { code: 16, name: 'rescue' },
  deleted: { code: 48, name: 'terminated' },
  stopped: { code: 80, name: 'stopped' },
  paused: { code: 80, name: 'pause' },
  suspended: { code: 80, name: 'suspend' },
};

/** The state which EC2 clients are shown. */
export function stateOf(row: Pick<InstanceState, 'vm_state' | 'task_state' | 'deleted'>): Ec2State {
  if (row.deleted || row.vm_state === 'deleted') return states['deleted']!;
  switch (row.task_state) {
    case 'deleting':
      return { code: 32, name: 'shutting-down' };
    case 'stopping':
      return { code: 64, name: 'stopping' };
    case 'starting':
      return states['building']!;
  }
  if (row.vm_state === null) return states['building']!;
  return states[row.vm_state] ?? { code: 0, name: row.vm_state };
}

/** What Stop, Start and Terminate answer of one instance. */
export function stateChangeItem(change: { before: InstanceState; after: InstanceState }): Ec2Value {
  return {
    instanceId: ec2IdOf('i', change.before.id),
    currentState: { ...stateOf(change.after) },
    previousState: { ...stateOf(change.before) },
  };
}

/** Instances by reservation, in the order of the instances; groups are those of a reservation's first instance. */
export function reservationItems(
  context: Context,
  views: readonly InstanceView[],
  addressesV6?: ReadonlyMap<number, string>,
): Ec2Value[] {
  const reservations = new Map<string, InstanceView[]>();
  for (const view of views) {
    const id = view.row.reservation_id ?? '';
    const list = reservations.get(id);
    if (list === undefined) reservations.set(id, [view]);
    else list.push(view);
  }
  return [...reservations].map(([id, list]) => reservationItem(context, id, list, addressesV6));
}

/** A reservation; `views` are its instances, `addressesV6` what DescribeInstancesV6 shows of them by their ids. */
export function reservationItem(
  context: Context,
  reservationId: string,
  views: readonly InstanceView[],
  addressesV6?: ReadonlyMap<number, string>,
): { [element: string]: Ec2Value } {
  const first = views[0];
  return {
    ownerId: first?.row.project_id ?? context.projectId,
    // The oldest clients print groupId and expect the name.
    groupSet: (first?.groups ?? []).map(({ name }) => ({ groupId: name, groupName: name })),
    reservationId,
    instancesSet: views.map((view) => instanceItem(context, view, addressesV6?.get(view.row.id))),
  };
}

/** The addresses of an instance: its first fixed one, and the first floating one of that. */
export function addressesOf(view: InstanceView): { fixed: string | null; floating: string | null } {
  const [first] = view.fixedIps;
  return { fixed: first?.address ?? null, floating: first?.floating[0] ?? null };
}

/** Where an instance is; the words are 2011.3's. */
export function zoneOf(view: InstanceView): string {
  return view.zone ?? 'unknown zone';
}

export function rootDeviceNameOf(view: InstanceView): string {
  return view.row.root_device_name ?? '/dev/sda1';
}

export function rootDeviceTypeOf(view: InstanceView): 'ebs' | 'instance-store' {
  const root = rootDeviceNameOf(view);
  return view.volumes.some((volume) => volume.deviceName === root) ? 'ebs' : 'instance-store';
}

/** An image id with its prefix; undefined where a row has none. */
export function kernelIdOf(id: string | null, prefix: 'aki' | 'ari'): string | undefined {
  return id === null || id === '' ? undefined : ec2ImageId(id, prefix);
}

/** Attached volumes as EC2 shows them; a time which can't be read is left out, since clients stop at an empty one. */
export function mappingItems(volumes: readonly MappedVolume[]): Ec2Value[] {
  return volumes.map((volume) => ({
    deviceName: volume.deviceName,
    ebs: {
      status: volume.status,
      deleteOnTermination: volume.deleteOnTermination,
      volumeId: ec2IdOf('vol', volume.volumeId),
      attachTime: attachTimeOf(volume),
    },
  }));
}

function attachTimeOf(volume: MappedVolume): string | undefined {
  const match = /^\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d/.exec(volume.attachTime ?? '');
  return match === null ? undefined : isoTime(match[0]);
}

function instanceItem(context: Context, view: InstanceView, dnsNameV6?: string): Ec2Value {
  const { row } = view;
  const { fixed, floating } = addressesOf(view);
  return {
    instanceId: ec2IdOf('i', row.id),
    imageId: ec2ImageId(row.image_ref, 'ami'),
    kernelId: kernelIdOf(row.kernel_id, 'aki'),
    ramdiskId: kernelIdOf(row.ramdisk_id, 'ari'),
    instanceState: { ...stateOf(row) },
    privateDnsName: fixed,
    privateIpAddress: fixed,
    publicDnsName: floating,
    // After publicDnsName: boto keeps the last of the two.
    dnsName: floating ?? fixed,
    dnsNameV6,
    ipAddress: floating ?? fixed,
    reason: view.errorReason,
    stateReason: view.errorReason === null ? undefined : { code: 'Server.InternalError', message: view.errorReason },
    // What administrators of 2011.3 see.
    keyName: context.isAdmin ? `${row.key_name ?? 'None'} (${row.project_id}, ${row.host ?? 'None'})` : row.key_name,
    productCodesSet: [],
    instanceType: view.typeName,
    launchTime: row.created_at === null ? undefined : isoTime(row.created_at),
    amiLaunchIndex: row.launch_index,
    displayName: row.display_name,
    displayDescription: row.display_description,
    rootDeviceName: rootDeviceNameOf(view),
    rootDeviceType: rootDeviceTypeOf(view),
    blockDeviceMapping: view.volumes.length === 0 ? undefined : mappingItems(view.volumes),
    placement: { availabilityZone: zoneOf(view) },
    architecture: row.architecture ?? undefined,
    monitoring: { state: 'disabled' },
    virtualizationType: 'hvm',
    groupSet: view.groups.map((group) => ({ groupId: ec2IdOf('sg', group.id), groupName: group.name })),
    tagSet: view.metadata.map(({ key, value }) => ({ key, value })),
  };
}

/** What filters of DescribeInstances look at. */
export function instanceFilterGetters(view: InstanceView): FilterGetters {
  const { row } = view;
  const { fixed, floating } = addressesOf(view);
  const groupIds = (): string[] => view.groups.map((group) => ec2IdOf('sg', group.id));
  const groupNames = (): string[] => view.groups.map((group) => group.name);
  return {
    architecture: () => row.architecture,
    'availability-zone': () => zoneOf(view),
    'block-device-mapping.attach-time': () => view.volumes.map(attachTimeOf),
    'block-device-mapping.delete-on-termination': () => view.volumes.map((volume) => volume.deleteOnTermination),
    'block-device-mapping.device-name': () => view.volumes.map((volume) => volume.deviceName),
    'block-device-mapping.status': () => view.volumes.map((volume) => volume.status),
    'block-device-mapping.volume-id': () => view.volumes.map((volume) => ec2IdOf('vol', volume.volumeId)),
    'dns-name': () => floating ?? fixed,
    'group-id': () => [...groupIds(), ...groupNames()],
    'group-name': groupNames,
    'image-id': () => ec2ImageId(row.image_ref, 'ami'),
    'instance-id': () => ec2IdOf('i', row.id),
    'instance-state-code': () => stateOf(row).code,
    'instance-state-name': () => stateOf(row).name,
    'instance-type': () => view.typeName,
    'instance.group-id': groupIds,
    'instance.group-name': groupNames,
    'ip-address': () => floating ?? fixed,
    'kernel-id': () => kernelIdOf(row.kernel_id, 'aki'),
    'key-name': () => row.key_name,
    'launch-index': () => row.launch_index,
    'launch-time': () => (row.created_at === null ? null : isoTime(row.created_at)),
    'monitoring-state': () => 'disabled',
    'owner-id': () => row.project_id,
    'private-dns-name': () => fixed,
    'private-ip-address': () => view.fixedIps.map((ip) => ip.address),
    'ramdisk-id': () => kernelIdOf(row.ramdisk_id, 'ari'),
    reason: () => view.errorReason,
    'reservation-id': () => row.reservation_id,
    'root-device-name': () => rootDeviceNameOf(view),
    'root-device-type': () => rootDeviceTypeOf(view),
    'state-reason-message': () => view.errorReason,
    'virtualization-type': () => 'hvm',
  };
}
