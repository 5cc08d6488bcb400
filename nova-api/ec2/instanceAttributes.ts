import type { WholeInstanceView } from '../../common/db/instanceViews.js';
import { ApiError } from '../../common/errors.js';
import type { Ec2Result } from './action.js';
import { kernelIdOf, mappingItems, rootDeviceNameOf, rootDeviceTypeOf } from './instanceItems.js';

/**
 * One attribute of an instance, with its value in an element `value`, which all clients read (2011.3 puts it into the
 * attribute's element itself, where only the oldest look). Throws ApiError for an attribute which there isn't.
 */
export function attributeOf(view: WholeInstanceView, attribute: string): Ec2Result {
  const { row } = view;
  switch (attribute) {
    case 'kernel':
      return { kernel: valueOf(kernelIdOf(row.kernel_id, 'aki')) };
    case 'ramdisk':
      return { ramdisk: valueOf(kernelIdOf(row.ramdisk_id, 'ari')) };
    case 'instanceType':
      return { instanceType: valueOf(view.typeName) };
    case 'rootDeviceName':
      return { rootDeviceName: valueOf(rootDeviceNameOf(view)) };
    case 'userData':
      return { userData: valueOf(row.user_data) };
    case 'instanceInitiatedShutdownBehavior':
      return { instanceInitiatedShutdownBehavior: { value: 'stop' } };
    case 'disableApiTermination':
      return { disableApiTermination: { value: false } };
    case 'groupSet':
      return { groupSet: view.groups.map(({ name }) => ({ groupId: name, groupName: name })) };
    case 'blockDeviceMapping':
      return { rootDeviceType: rootDeviceTypeOf(view), blockDeviceMapping: mappingItems(view.volumes) };
    default:
      throw new ApiError(`attribute not supported: ${attribute}`);
  }
}

function valueOf(value: string | null | undefined): Ec2Result | null {
  return value == null || value === '' ? null : { value };
}
