import { blockDeviceMappingsOf } from '../db/blockDeviceMappings.js';
import type { Db } from '../db/db.js';
import { instanceIdAtAddress, peersOfProject } from '../db/guests.js';
import { viewWholeInstances, type WholeInstanceView } from '../db/instanceViews.js';
import type { BlockDeviceMappingRow, InstanceRow } from '../db/rows.js';
import { ec2ImageId, type ImagePrefix } from './images.js';

/** What an instance is told under one name: a value, lines, a folder, or something which is looked up when asked for. */
export type MetadataNode = string | Buffer | readonly string[] | MetadataFolder | (() => Promise<MetadataFolder>);
/** Names in the order in which they are listed. */
export type MetadataFolder = Map<string, MetadataNode>;

/** Devices of an instance whose root device is not known (nova 2011.3, nova/api/ec2/cloud.py). */
const usualDevices: readonly (readonly [string, string])[] = [
  ['ami', 'sda1'],
  ['root', '/dev/sda1'],
  ['ephemeral0', 'sda2'],
  ['swap', 'sda3'],
];

/** What instances may know of themselves (nova 2011.3, nova/api/ec2/cloud.py get_metadata). */
export class GuestMetadata {
  constructor(private readonly parts: { readonly db: Db }) {}

  /**
   * The tree of the instance which has this fixed or floating address: the folder which each version shows. Null when
   * no live instance has it.
   */
  async treeAt(address: string): Promise<MetadataFolder | null> {
    const { db } = this.parts;
    const id = await instanceIdAtAddress(db, address);
    if (id === undefined) return null;
    const [view] = await viewWholeInstances(db, { ids: [id] });
    if (view === undefined) return null;
    return new Map<string, MetadataNode>([
      ['meta-data', this.#metaData(view, address)],
      ['user-data', Buffer.from(view.row.user_data ?? '', 'base64')],
    ]);
  }

  #metaData(view: WholeInstanceView, address: string): MetadataFolder {
    const { row } = view;
    const hostname = row.hostname ?? '';
    const folder: MetadataFolder = new Map<string, MetadataNode>([
      ['local-ipv4', address],
      ['reservation-id', row.reservation_id ?? ''],
      ['local-hostname', hostname],
      ['placement', new Map([['availability-zone', view.zone ?? 'unknown zone']])],
      ['ami-launch-index', String(row.launch_index ?? 0)],
    ]);
    addImageId(folder, 'ramdisk-id', row.ramdisk_id, 'ari');
    folder.set('public-hostname', hostname);
    folder.set('mpi', () => this.#peers(row));
    folder.set('hostname', hostname);
    folder.set('ami-id', ec2ImageId(row.image_ref, 'ami'));
    if (row.key_name !== null) folder.set('public-keys', publicKeys(row.key_name, row.key_data ?? ''));
    addImageId(folder, 'kernel-id', row.kernel_id, 'aki');
    folder.set('instance-action', 'none');
    folder.set('public-ipv4', view.fixedIps.flatMap((fixed) => fixed.floating)[0] ?? '');
    folder.set('block-device-mapping', async () =>
      deviceMapping(row, await blockDeviceMappingsOf(this.parts.db, row.id)),
    );
    folder.set('ami-manifest-path', 'FIXME');
    folder.set(
      'security-groups',
      view.groups.map((group) => group.name),
    );
    folder.set('instance-type', view.typeName ?? '');
    folder.set('instance-id', `i-${row.id.toString(16).padStart(8, '0')}`);
    return folder;
  }

  /** The addresses of the project's instances by key name, as MPI's machine files have them. */
  async #peers(row: InstanceRow): Promise<MetadataFolder> {
    const byKey = new Map<string, string[]>();
    for (const peer of row.project_id === null ? [] : await peersOfProject(this.parts.db, row.project_id)) {
      const key = peer.keyName ?? 'None';
      const lines = byKey.get(key) ?? [];
      lines.push(`${peer.address} slots=${peer.vcpus}`);
      byKey.set(key, lines);
    }
    return byKey;
  }
}

/** An empty column is none, as for a null one: 2011.3 showed it as `aki-00000000`. */
function addImageId(folder: MetadataFolder, name: string, id: string | null, prefix: ImagePrefix): void {
  if (id !== null && id !== '') folder.set(name, ec2ImageId(id, prefix));
}

/** The one key; its folder is listed as `0=NAME`, and found as `0`. */
function publicKeys(name: string, key: string): MetadataFolder {
  return new LabelledFolder([['0', new Map([['openssh-key', key]])]], new Map([['0', name]]));
}

/** A folder some of whose entries are listed as `name=label`. */
export class LabelledFolder extends Map<string, MetadataNode> {
  constructor(
    entries: readonly (readonly [string, MetadataNode])[],
    readonly labels: ReadonlyMap<string, string>,
  ) {
    super(entries);
  }
}

/** Names of block devices, as guests look for them (nova 2011.3, nova/api/ec2/cloud.py _format_instance_mapping). */
function deviceMapping(row: InstanceRow, mappings: readonly BlockDeviceMappingRow[]): MetadataFolder {
  const root = row.root_device_name;
  if (root === null) return new Map(usualDevices);
  const devices = new Map<string, string>([
    ['ami', root.replace(/^\/dev\//, '')],
    ['root', root],
  ]);
  if (row.default_local_device) devices.set('ephemeral0', row.default_local_device);
  if (row.default_swap_device) devices.set('swap', row.default_swap_device);
  const used = mappings.filter((mapping) => mapping.no_device !== true && mapping.device_name !== null);
  const isVolume = (mapping: BlockDeviceMappingRow): boolean =>
    mapping.volume_id !== null || mapping.snapshot_id !== null;
  for (const mapping of used) {
    if (!isVolume(mapping) && /^(swap|ephemeral\d+)$/.test(mapping.virtual_name ?? '')) {
      devices.set(mapping.virtual_name!, mapping.device_name!);
    }
  }
  const volumes = used.filter(isVolume).map((mapping) => mapping.device_name!);
  for (const [index, device] of volumes.sort().entries()) devices.set(`ebs${index}`, device);
  return devices;
}
