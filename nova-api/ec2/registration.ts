import { imageEc2Id } from '../../common/cloud/images.js';
import type { Cloud } from '../../common/cloud/cloud.js';
import type { Context } from '../../common/context.js';
import { ApiError } from '../../common/errors.js';
import { action, sysadmin, type Ec2Actions, type Ec2Value } from './action.js';
import { blockDevice, blockDeviceOf, withoutUndefined } from './blockDevices.js';
import { anyText, bool, list, required, text } from './params.js';

/** Actions which make and describe images (EC2 API 2011-01-01; nova 2011.3, nova/api/ec2/cloud.py). */
export const registrationActions: Ec2Actions = {
  RegisterImage: action({
    roles: sysadmin,
    params: {
      ImageLocation: text,
      Name: text,
      Description: text,
      Architecture: text,
      KernelId: text,
      RamdiskId: text,
      RootDeviceName: text,
      BlockDeviceMapping: list(blockDevice, 64),
    },
    async run(cloud, context, params) {
      const blockDevices = params.BlockDeviceMapping.map(blockDeviceOf);
      const isOfVolumes = blockDevices.some(
        (device) => device.snapshotId !== undefined || device.volumeId !== undefined,
      );
      const location = params.ImageLocation ?? (isOfVolumes ? undefined : params.Name);
      const wish = withoutUndefined({
        location,
        name: params.Name,
        description: params.Description,
        architecture: params.Architecture,
        kernelId: await registryId(cloud, context, params.KernelId),
        ramdiskId: await registryId(cloud, context, params.RamdiskId),
        rootDeviceName: params.RootDeviceName,
        blockDevices,
      });
      if (location === undefined && !isOfVolumes) {
        throw new ApiError('The request must contain the parameter ImageLocation', 'MissingParameter');
      }
      return { imageId: imageEc2Id(await cloud.bundles.register(context, wish)) };
    },
  }),

  UpdateImage: action({
    roles: sysadmin,
    params: {
      ImageId: required(text),
      Name: anyText,
      Description: anyText,
      Architecture: text,
      KernelId: text,
      RamdiskId: text,
      IsPublic: bool,
    },
    async run(cloud, context, params) {
      const image = await cloud.images.describe(
        context,
        params.ImageId,
        withoutUndefined({
          name: params.Name,
          isPublic: params.IsPublic,
          description: params.Description,
          architecture: params.Architecture,
          kernelId: await registryId(cloud, context, params.KernelId),
          ramdiskId: await registryId(cloud, context, params.RamdiskId),
        }),
      );
      const properties: Record<string, Ec2Value> = { ...image.properties };
      return {
        imageId: imageEc2Id(image),
        id: image.id,
        name: image.name,
        isPublic: image.is_public,
        status: image.status,
        containerFormat: image.container_format,
        diskFormat: image.disk_format,
        properties: Object.fromEntries(Object.entries(properties).map(([name, value]) => [camelCase(name), value])),
      };
    },
  }),
};

/** The registry's id of a kernel or ramdisk which the caller sees. Throws ImageNotFound. */
async function registryId(cloud: Cloud, context: Context, ec2Id: string | undefined): Promise<string | undefined> {
  return ec2Id === undefined ? undefined : (await cloud.images.byEc2Id(context, ec2Id)).id;
}

/** A property's name as an element's: properties are free text, elements are not. */
function camelCase(name: string): string {
  const plain = name
    .replace(/[^A-Za-z0-9_]/g, '_')
    .replace(/_+([A-Za-z0-9])/g, (_, next: string) => next.toUpperCase());
  return /^[A-Za-z]/.test(plain) ? plain : `property${plain}`;
}
