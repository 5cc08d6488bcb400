import { devicesOfImage, rootDeviceName as statedRootDevice } from '../../common/cloud/blockDevices.js';
import { imageEc2Id, ec2ImageId, imagePrefix, imageState } from '../../common/cloud/images.js';
import { ApiError } from '../../common/errors.js';
import type { Context } from '../../common/context.js';
import type { Image } from '../../common/images/imageService.js';
import { action, done, type Ec2Actions, type Ec2Value, sysadmin } from './action.js';
import { filtered, filtersParam } from './filters.js';
import { ec2IdOf } from './ids.js';
import { pageOf, pageParams } from './pages.js';
import { group, list, required, text } from './params.js';

/** What an image's EC2 kind is called. */
const imageTypes = { ami: 'machine', aki: 'kernel', ari: 'ramdisk' } as const;

/** Launch permissions which a request adds or removes, in the form of today's clients. */
const permissions = list(group({ Group: text, UserId: text }));

/** Actions about images (ec2.md of EC2 API 2011-01-01; nova 2011.3, nova/api/ec2/cloud.py). */
export const imageActions: Ec2Actions = {
  DescribeImages: action({
    roles: 'all',
    params: { ImageId: list(text), Owner: list(text), ExecutableBy: list(text), Filter: filtersParam, ...pageParams },
    async run(cloud, context, params) {
      const wished = params.ImageId;
      const images =
        wished.length === 1
          ? [await cloud.images.byEc2Id(context, wished[0]!)]
          : selectImages(await cloud.images.list(context), wished);
      const known = images.filter((image) => isWanted(context, image, params));
      const wanted = filtered(cloud, params.Filter, known, filterValues);
      const { shown, more } = pageOf(wanted, params, ({ id }) => Number(id));
      return { imagesSet: shown.map(imageItem), ...more };
    },
  }),

  DescribeImageAttribute: action({
    roles: 'all',
    params: { ImageId: required(text), Attribute: required(text) },
    async run(cloud, context, { ImageId: id, Attribute: attribute }) {
      const image = await cloud.images.byEc2Id(context, id);
      return { imageId: imageEc2Id(image), ...attributeOf(image, attribute) };
    },
  }),

  ModifyImageAttribute: action({
    roles: sysadmin,
    params: {
      ImageId: required(text),
      Attribute: text,
      OperationType: text,
      UserGroup: list(text),
      UserId: list(text),
      LaunchPermission: group({ Add: permissions, Remove: permissions }),
    },
    async run(cloud, context, params) {
      const { Add: added = [], Remove: removed = [] } = params.LaunchPermission ?? {};
      if (params.LaunchPermission === undefined) {
        if (params.Attribute !== 'launchPermission') throw unsupported(params.Attribute ?? '');
        if (params.OperationType !== 'add' && params.OperationType !== 'remove') {
          throw new ApiError('operation_type must be add or remove');
        }
        const target = params.UserGroup.map((Group) => ({ Group, UserId: undefined }));
        target.push(...params.UserId.map((UserId) => ({ Group: undefined, UserId }) as never));
        (params.OperationType === 'add' ? added : removed).push(...target);
      }
      const named = [...added, ...removed];
      if (named.length === 0) throw new ApiError('user or group not specified');
      if (named.some((permission) => permission.Group !== 'all' || permission.UserId !== undefined)) {
        throw new ApiError('only group "all" is supported');
      }
      await cloud.images.setPublic(context, params.ImageId, added.length > 0);
      return done;
    },
  }),

  ResetImageAttribute: action({
    roles: sysadmin,
    params: { ImageId: required(text), Attribute: required(text) },
    async run(cloud, context, { ImageId: id, Attribute: attribute }) {
      if (attribute !== 'launchPermission') throw unsupported(attribute);
      await cloud.images.setPublic(context, id, false);
      return done;
    },
  }),

  DeregisterImage: action({
    roles: sysadmin,
    params: { ImageId: required(text) },
    async run(cloud, context, { ImageId: id }) {
      await cloud.images.deregister(context, id);
      return { imageId: id, return: true };
    },
  }),
};

/** The images whose ids are asked for; all when none is. */
function selectImages(images: readonly Image[], ids: readonly string[]): Image[] {
  if (ids.length === 0) return [...images];
  const byId = new Map(images.map((image) => [imageEc2Id(image), image]));
  return ids.map((id) => {
    const image = byId.get(id);
    if (image === undefined) throw new ApiError(`Image ${id} could not be found.`, 'ImageNotFound');
    return image;
  });
}

/**
 * Whether Owner and ExecutableBy let the image through. Together they are a union, as the oldest clients send both in
 * one request; `self` is the caller's project, and everything that is seen is executable.
 */
function isWanted(context: Context, image: Image, wish: { Owner: string[]; ExecutableBy: string[] }): boolean {
  if (wish.Owner.length === 0 && wish.ExecutableBy.length === 0) return true;
  if (wish.ExecutableBy.some((who) => who === 'self' || who === 'all' || who === context.projectId)) return true;
  const owner = ownerOf(image);
  return wish.Owner.some((who) => who === owner || (who === 'self' && owner === context.projectId));
}

function ownerOf(image: Image): string | null {
  return image.properties['owner_id'] ?? image.properties['project_id'] ?? null;
}

function imageItem(image: Image): Ec2Value {
  const { properties } = image;
  const location = properties['image_location'] ?? null;
  const hasKernel = (id: string | null | undefined): id is string => id != null && /^\d+$/.test(id);
  return {
    imageId: imageEc2Id(image),
    imageLocation: image.name === null ? location : `${location ?? 'None'} (${image.name})`,
    imageOwnerId: ownerOf(image),
    imageState: imageState(image),
    imageType: imageTypes[imagePrefix(image)],
    isPublic: image.is_public,
    architecture: properties['architecture'] ?? null,
    kernelId: hasKernel(properties['kernel_id']) ? ec2ImageId(properties['kernel_id'], 'aki') : undefined,
    ramdiskId: hasKernel(properties['ramdisk_id']) ? ec2ImageId(properties['ramdisk_id'], 'ari') : undefined,
    name: image.name,
    displayName: image.name,
    description: properties['description'] ?? null,
    rootDeviceName: rootDeviceName(image),
    rootDeviceType: rootDeviceType(image),
    blockDeviceMapping: deviceItems(image),
    stateReason: stateReason(image),
    virtualizationType: 'hvm',
    hypervisor: 'kvm',
    creationDate:
      image.created_at === null ? undefined : `${image.created_at.slice(0, 10)}T${image.created_at.slice(11, 19)}Z`,
  };
}

function rootDeviceName(image: Image): string {
  return statedRootDevice(image) ?? '/dev/sda1';
}

/** `ebs` when the root device is a volume. */
function rootDeviceType(image: Image): string {
  const root = devicesOfImage(image).find((device) => device.deviceName === rootDeviceName(image));
  return root?.snapshotId !== undefined || root?.volumeId !== undefined ? 'ebs' : 'instance-store';
}

/** Left out when there are none. */
function deviceItems(image: Image): Ec2Value {
  const items = devicesOfImage(image).map((device) => {
    const { deviceName, virtualName, snapshotId, volumeId, volumeSize, deleteOnTermination } = device;
    // As in a request: a volume which is attached itself stands where a snapshot does.
    const source =
      snapshotId !== undefined
        ? ec2IdOf('snap', snapshotId)
        : volumeId !== undefined
          ? ec2IdOf('vol', volumeId)
          : undefined;
    const ebs = source === undefined ? undefined : { snapshotId: source, volumeSize, deleteOnTermination };
    return { deviceName, virtualName, ebs };
  });
  return items.length === 0 ? undefined : items;
}

/** Why an image could not be registered. */
function stateReason(image: Image): Ec2Value {
  const reason = image.properties['image_state_reason'];
  return reason == null ? undefined : { code: imageState(image), message: reason };
}

function filterValues(image: Image): Record<string, () => string | null> {
  return {
    architecture: () => image.properties['architecture'] ?? null,
    description: () => image.properties['description'] ?? null,
    'image-id': () => imageEc2Id(image),
    'image-type': () => imageTypes[imagePrefix(image)],
    'is-public': () => String(image.is_public),
    'kernel-id': () =>
      image.properties['kernel_id'] == null ? null : ec2ImageId(image.properties['kernel_id'], 'aki'),
    'manifest-location': () => image.properties['image_location'] ?? null,
    name: () => image.name,
    'owner-id': () => ownerOf(image),
    'root-device-name': () => rootDeviceName(image),
    'root-device-type': () => rootDeviceType(image),
    state: () => imageState(image),
    'virtualization-type': () => 'hvm',
  };
}

function attributeOf(image: Image, attribute: string): { [element: string]: Ec2Value } {
  const kernel = (key: string, prefix: 'aki' | 'ari'): Ec2Value => {
    const id = image.properties[key];
    return id != null && /^\d+$/.test(id) ? { value: ec2ImageId(id, prefix) } : null;
  };
  switch (attribute) {
    case 'launchPermission':
      return { launchPermission: image.is_public ? [{ group: 'all' }] : [] };
    case 'rootDeviceName':
      return { rootDeviceName: rootDeviceName(image) };
    case 'blockDeviceMapping':
      return { blockDeviceMapping: deviceItems(image) ?? [] };
    case 'kernel':
      return { kernel: kernel('kernel_id', 'aki') };
    case 'ramdisk':
      return { ramdisk: kernel('ramdisk_id', 'ari') };
    case 'description':
      return { description: { value: image.properties['description'] ?? '' } };
    case 'productCodes':
      return { productCodes: [] };
    default:
      throw unsupported(attribute);
  }
}

function unsupported(attribute: string): ApiError {
  return new ApiError(`attribute not supported: ${attribute}`);
}
