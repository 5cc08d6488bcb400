import type { Cloud } from '../../common/cloud/cloud.js';
import type { Attachment, Volumes } from '../../common/cloud/volumes.js';
import type { Context } from '../../common/context.js';
import type { SnapshotRow, VolumeRow } from '../../common/db/rows.js';
import type { VolumeDetails } from '../../common/db/volumes.js';
import { ApiError } from '../../common/errors.js';
import { isoTime } from '../../common/time.js';
import { action, done, sysadmin, type Ec2Actions, type Ec2Result } from './action.js';
import { filtered, filtersParam, type FilterGetters, type FilterTag } from './filters.js';
import { ec2IdOf } from './ids.js';
import { pageOf, pageParams } from './pages.js';
import { anyText, bool, ec2Id, integer, list, required, text, type ParamsOf } from './params.js';

const volumeParam = ec2Id('vol');
const snapshotParam = ec2Id('snap');
const instanceParam = ec2Id('i');

const volumesParams = { VolumeId: list(volumeParam), Filter: filtersParam, ...pageParams };

/** Actions about volumes and their snapshots (EC2 API 2011-01-01; nova 2011.3, nova/api/ec2/cloud.py). */
export const volumeActions: Ec2Actions = {
  CreateVolume: action({
    roles: sysadmin,
    params: {
      Size: integer(0),
      SnapshotId: snapshotParam,
      AvailabilityZone: text,
      DisplayName: text,
      DisplayDescription: text,
      ClientToken: text,
    },
    async run(cloud, context, params) {
      const zone = params.AvailabilityZone;
      const volume = await cloud.volumes.create(context, {
        size: params.Size,
        snapshotId: params.SnapshotId,
        name: params.DisplayName,
        description: params.DisplayDescription,
        clientToken: params.ClientToken,
        // As in 2011.3 a zone which isn't there is no error.
        availabilityZone:
          zone !== undefined && (await cloud.zones.list()).some(({ name }) => name === zone) ? zone : undefined,
      });
      return volumeItem(context, { volume, instance: null, metadata: [] });
    },
  }),

  DeleteVolume: action({
    roles: sysadmin,
    params: { VolumeId: required(volumeParam) },
    async run(cloud, context, { VolumeId: id }) {
      await cloud.volumes.delete(context, id);
      return done;
    },
  }),

  DescribeVolumes: action({
    roles: sysadmin,
    params: volumesParams,
    async run(cloud, context, params) {
      const { shown, more } = await selectVolumes(cloud, context, params);
      return { volumeSet: shown.map((details) => volumeItem(context, details)), ...more };
    },
  }),

  UpdateVolume: action({
    roles: sysadmin,
    params: { VolumeId: required(volumeParam), DisplayName: anyText, DisplayDescription: anyText },
    async run(cloud, context, params) {
      const texts = { name: params.DisplayName, description: params.DisplayDescription };
      await cloud.volumes.update(context, params.VolumeId, texts);
      return done;
    },
  }),

  AttachVolume: action({
    roles: sysadmin,
    params: { VolumeId: required(volumeParam), InstanceId: required(instanceParam), Device: required(text) },
    async run(cloud, context, params) {
      const { VolumeId: volumeId, InstanceId: instanceId, Device: device } = params;
      return attachmentItem(await cloud.volumes.attach(context, volumeId, instanceId, device), 'attaching');
    },
  }),

  DetachVolume: action({
    roles: sysadmin,
    params: { VolumeId: required(volumeParam), InstanceId: instanceParam, Device: text, Force: bool },
    async run(cloud, context, { VolumeId: volumeId }) {
      return attachmentItem(await cloud.volumes.detach(context, volumeId), 'detaching');
    },
  }),

  CreateSnapshot: action({
    roles: sysadmin,
    params: { VolumeId: required(volumeParam), DisplayName: text, DisplayDescription: text, Description: text },
    async run(cloud, context, params) {
      const texts = { name: params.DisplayName, description: params.DisplayDescription ?? params.Description };
      return snapshotItem(await cloud.volumes.createSnapshot(context, params.VolumeId, texts));
    },
  }),

  /** `Owner` and `RestorableBy` choose nothing: a caller sees the project's snapshots and no others. */
  DescribeSnapshots: action({
    roles: 'all',
    params: {
      SnapshotId: list(snapshotParam),
      Owner: list(text),
      RestorableBy: list(text),
      Filter: filtersParam,
      ...pageParams,
    },
    async run(cloud, context, params) {
      const all = await cloud.volumes.listSnapshots(context, params.SnapshotId);
      const snapshots = filtered(cloud, params.Filter, all, snapshotFilters, snapshotTags);
      const { shown, more } = pageOf(snapshots, params, ({ id }) => id);
      return { snapshotSet: shown.map(snapshotItem), ...more };
    },
  }),

  DeleteSnapshot: action({
    roles: sysadmin,
    params: { SnapshotId: required(snapshotParam) },
    async run(cloud, context, { SnapshotId: id }) {
      await cloud.volumes.deleteSnapshot(context, id);
      return done;
    },
  }),

  DescribeVolumeStatus: action({
    roles: 'all',
    params: volumesParams,
    async run(cloud, context, params) {
      const { shown, more } = await selectVolumes(cloud, context, params);
      return { volumeStatusSet: shown.map(({ volume }) => volumeStatusItem(volume)), ...more };
    },
  }),

  /** A snapshot is its project's alone, so that nobody has a permission. */
  DescribeSnapshotAttribute: action({
    roles: 'all',
    params: { SnapshotId: required(snapshotParam), Attribute: required(text) },
    async run(cloud, context, { SnapshotId: id, Attribute: attribute }) {
      await cloud.volumes.listSnapshots(context, [id]);
      if (!snapshotAttributes.has(attribute)) throw notSupported(attribute);
      return { snapshotId: snapshotId(id), [attribute]: [] };
    },
  }),

  ResetSnapshotAttribute: action({
    roles: sysadmin,
    params: { SnapshotId: required(snapshotParam), Attribute: required(text) },
    async run(cloud, context, { SnapshotId: id, Attribute: attribute }) {
      await cloud.volumes.listSnapshots(context, [id]);
      if (attribute !== 'createVolumePermission') throw notSupported(attribute);
      return done;
    },
  }),

  DescribeVolumeAttribute: action({
    roles: 'all',
    params: { VolumeId: required(volumeParam), Attribute: required(text) },
    run: (cloud, context, { VolumeId: id, Attribute: attribute }) =>
      volumeAttribute(cloud.volumes, context, id, attribute),
  }),
};

/** A volume as answers show it. Clients accept an attachment set with one empty item; awscli shows it, so there is none. */
function volumeItem(context: Context, details: VolumeDetails): Ec2Result {
  const { volume } = details;
  return {
    volumeId: volumeId(volume.id),
    size: volume.size,
    status: context.isAdmin ? adminStatus(details) : volume.status,
    availabilityZone: volume.availability_zone,
    createTime: timeOrNothing(volume.created_at),
    attachmentSet: attachments(details),
    snapshotId: volume.snapshot_id === null ? null : snapshotId(volume.snapshot_id),
    displayName: volume.display_name,
    displayDescription: volume.display_description,
    tagSet: tagsOf(details).map(({ key, value }) => ({ key, value })),
  };
}

/** `in-use (proj, cloud1, i-00000006[cloud1], /dev/vdc)`: what 2011.3 shows to administrators. */
function adminStatus({ volume, instance }: VolumeDetails): string {
  const python = (value: string | null): string => value ?? 'None';
  const attached =
    volume.attach_status === 'attached' && volume.instance_id !== null
      ? `${instanceId(volume.instance_id)}[${python(instance?.host ?? null)}], ${python(volume.mountpoint)}`
      : 'None, None';
  return `${volume.status} (${python(volume.project_id)}, ${python(volume.host)}, ${attached})`;
}

function attachments({ volume }: VolumeDetails): Ec2Result[] {
  if (volume.attach_status !== 'attached' || volume.instance_id === null) return [];
  return [
    {
      volumeId: volumeId(volume.id),
      instanceId: instanceId(volume.instance_id),
      device: volume.mountpoint,
      status: 'attached',
      attachTime: attachTime(volume),
      deleteOnTermination: false,
    },
  ];
}

/** When it was attached; a row which a daemon of 2011.3 wrote doesn't tell, but nothing has changed it since. */
function attachTime(volume: VolumeRow): string | undefined {
  return volume.attach_time ?? timeOrNothing(volume.updated_at);
}

function attachmentItem(attachment: Attachment, status: string): Ec2Result {
  return {
    volumeId: volumeId(attachment.volume.id),
    instanceId: instanceId(attachment.instanceId),
    device: attachment.device,
    status,
    attachTime: attachment.attachTime ?? timeOrNothing(attachment.volume.updated_at),
  };
}

function snapshotItem(snapshot: SnapshotRow): Ec2Result {
  return {
    snapshotId: snapshotId(snapshot.id),
    volumeId: volumeId(snapshot.volume_id),
    status: snapshot.status,
    startTime: timeOrNothing(snapshot.created_at),
    progress: snapshot.progress,
    ownerId: snapshot.project_id,
    volumeSize: snapshot.volume_size,
    description: snapshot.display_description,
    displayName: snapshot.display_name,
    displayDescription: snapshot.display_description,
    tagSet: snapshotTags(snapshot).map(({ key, value }) => ({ key, value })),
  };
}

function snapshotTags({ display_name: name }: SnapshotRow): FilterTag[] {
  return name === null ? [] : [{ key: 'Name', value: name }];
}

function volumeStatusItem(volume: VolumeRow): Ec2Result {
  const failed = volume.status === 'error' || volume.status === 'error_deleting';
  return {
    volumeId: volumeId(volume.id),
    availabilityZone: volume.availability_zone,
    volumeStatus: {
      status: failed ? 'impaired' : 'ok',
      details: [{ name: 'io-enabled', status: failed ? 'failed' : 'passed' }],
    },
    eventsSet: [],
    actionsSet: [],
  };
}

const snapshotAttributes = new Set(['createVolumePermission', 'productCodes']);
const notSupported = (attribute: string): ApiError =>
  new ApiError(`attribute not supported: ${attribute.slice(0, 100)}`);

async function volumeAttribute(volumes: Volumes, context: Context, id: number, attribute: string): Promise<Ec2Result> {
  await volumes.get(context, id);
  switch (attribute) {
    case 'autoEnableIO':
      return { volumeId: volumeId(id), autoEnableIO: { value: false } };
    case 'productCodes':
      return { volumeId: volumeId(id), productCodes: [] };
    default:
      throw notSupported(attribute);
  }
}

/** The page which is asked for of the volumes which a description is about. */
async function selectVolumes(
  cloud: Cloud,
  context: Context,
  params: ParamsOf<typeof volumesParams>,
): Promise<ReturnType<typeof pageOf<VolumeDetails>>> {
  const all = await cloud.volumes.list(context, params.VolumeId);
  const volumes = filtered(cloud, params.Filter, all, volumeFilters, tagsOf);
  return pageOf(volumes, params, ({ volume }) => volume.id);
}

function volumeFilters(details: VolumeDetails): FilterGetters {
  const { volume } = details;
  const attached = volume.attach_status === 'attached';
  return {
    'volume-id': () => volumeId(volume.id),
    status: () => volume.status,
    size: () => volume.size,
    'availability-zone': () => volume.availability_zone,
    'snapshot-id': () => (volume.snapshot_id === null ? null : snapshotId(volume.snapshot_id)),
    'create-time': () => timeOrNothing(volume.created_at),
    'attachment.instance-id': () => (attached && volume.instance_id !== null ? instanceId(volume.instance_id) : null),
    'attachment.device': () => (attached ? volume.mountpoint : null),
    'attachment.status': () => (attached ? 'attached' : null),
    'attachment.attach-time': () => (attached ? attachTime(volume) : null),
    'attachment.delete-on-termination': () => (attached ? false : null),
    'display-name': () => volume.display_name,
  };
}

function snapshotFilters(snapshot: SnapshotRow): FilterGetters {
  return {
    'snapshot-id': () => snapshotId(snapshot.id),
    'volume-id': () => volumeId(snapshot.volume_id),
    status: () => snapshot.status,
    'start-time': () => timeOrNothing(snapshot.created_at),
    progress: () => snapshot.progress,
    'owner-id': () => snapshot.project_id,
    'volume-size': () => snapshot.volume_size,
    description: () => snapshot.display_description,
    'display-name': () => snapshot.display_name,
  };
}

function tagsOf({ volume, metadata }: VolumeDetails): FilterTag[] {
  const tags = metadata.flatMap(({ key, value }) => (key === null ? [] : [{ key, value: value ?? '' }]));
  const named = tags.some((tag) => tag.key === 'Name');
  return named || volume.display_name === null ? tags : [...tags, { key: 'Name', value: volume.display_name }];
}

/** Undefined leaves the element out: an empty timestamp kills awscli and fog. */
function timeOrNothing(time: string | null): string | undefined {
  return time === null ? undefined : isoTime(time);
}

const volumeId = (id: number): string => ec2IdOf('vol', id);
const snapshotId = (id: number): string => ec2IdOf('snap', id);
const instanceId = (id: number): string => ec2IdOf('i', id);
