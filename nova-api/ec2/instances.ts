import type { Cloud } from '../../common/cloud/cloud.js';
import type { LaunchWish } from '../../common/cloud/launch.js';
import type { StateChange } from '../../common/cloud/instances.js';
import type { GroupRef } from '../../common/cloud/securityGroups.js';
import type { Context } from '../../common/context.js';
import type { InstanceView } from '../../common/db/instanceViews.js';
import { InstanceNotFound } from '../../common/errors.js';
import { isoTimeOf } from '../../common/time.js';
import { accountActions } from './account.js';
import { action, done, sysadmin, type Ec2Action, type Ec2Actions, type Ec2Result } from './action.js';
import { blockDevice, blockDeviceOf, withoutUndefined } from './blockDevices.js';
import { filtered, filtersParam, type Ec2Filter } from './filters.js';
import { ec2IdOf } from './ids.js';
import { attributeOf } from './instanceAttributes.js';
import {
  instanceFilterGetters,
  reservationItem,
  reservationItems,
  stateChangeItem,
  stateOf,
  zoneOf,
} from './instanceItems.js';
import { pageOf, pageParams } from './pages.js';
import {
  bool,
  ec2Id,
  group,
  integer,
  list,
  parseEc2Id,
  required,
  someOf,
  text,
  type Param,
  type ParamsOf,
} from './params.js';
import { refOf } from './securityGroups.js';
import { tagActions } from './tags.js';

/** How many instances: a whole number; what follows a decimal point is cut, as in 2011.3. */
const count: Param<number | undefined> = {
  shape: { kind: 'integer' },
  read(node, path) {
    const cut = node?.value === undefined ? undefined : { value: node.value.replace(/^(\s*\+?\d+)\.\d*\s*$/, '$1') };
    return integer(0).read(cut, path);
  },
};

const launchParams = {
  ImageId: required(text),
  MinCount: count,
  MaxCount: count,
  InstanceType: text,
  KeyName: text,
  UserData: text,
  SecurityGroup: list(text),
  SecurityGroupId: list(text),
  NetworkInterface: list(group({ SecurityGroupId: list(text) })),
  KernelId: text,
  RamdiskId: text,
  Placement: group({ AvailabilityZone: text }),
  BlockDeviceMapping: list(blockDevice, 64),
  DisplayName: text,
  DisplayDescription: text,
  ClientToken: text,
  TagSpecification: list(group({ ResourceType: text, Tag: list(group({ Key: required(text), Value: text })) })),
};

const instanceIds = { InstanceId: someOf(ec2Id('i')) };

/** `version` 6 shows the IPv6 address of each instance as well. */
const describeInstances = (version: 4 | 6): Ec2Action =>
  action({
    roles: 'all',
    params: { InstanceId: list(ec2Id('i')), Filter: filtersParam, ...pageParams },
    async run(cloud, context, params) {
      const { shown, more } = pageOf(await selectInstances(cloud, context, params), params, ({ row }) => row.id);
      const six = version === 6 ? await cloud.instances.addressesV6(shown.map(({ row }) => row.id)) : undefined;
      return { reservationSet: reservationItems(context, shown, six), ...more };
    },
  });

/** Actions about instances (EC2 API 2011-01-01; nova 2011.3, nova/api/ec2/cloud.py). */
export const instanceActions: Ec2Actions = {
  RunInstances: action({
    roles: sysadmin,
    params: launchParams,
    async run(cloud, context, params) {
      const { reservationId, instances } = await cloud.instances.run(context, launchWish(params));
      return reservationItem(context, reservationId, instances);
    },
  }),

  DescribeInstances: describeInstances(4),
  DescribeInstancesV6: describeInstances(6),

  TerminateInstances: stateChange((cloud, context, ids) => cloud.instances.terminate(context, ids)),
  StopInstances: stateChange((cloud, context, ids) => cloud.instances.stop(context, ids)),
  StartInstances: stateChange((cloud, context, ids) => cloud.instances.start(context, ids)),

  RebootInstances: action({
    roles: sysadmin,
    params: instanceIds,
    async run(cloud, context, { InstanceId: ids }) {
      await cloud.instances.reboot(context, [...new Set(ids)]);
      return done;
    },
  }),

  GetConsoleOutput: action({
    roles: sysadmin,
    params: instanceIds,
    async run(cloud, context, { InstanceId: [id] }) {
      const output = await cloud.instances.consoleOutput(context, id!);
      return {
        instanceId: ec2IdOf('i', id!),
        timestamp: isoTimeOf(cloud.parts.runtime.clock.now()),
        output: Buffer.from(output, 'utf8').toString('base64'),
      };
    },
  }),

  DescribeInstanceStatus: action({
    roles: 'all',
    params: { InstanceId: list(ec2Id('i')), IncludeAllInstances: bool, Filter: filtersParam, ...pageParams },
    async run(cloud, context, params) {
      const views = await selectInstances(cloud, context, params);
      const running = (view: InstanceView): boolean => stateOf(view.row).name === 'running';
      const all = params.IncludeAllInstances === true ? views : views.filter(running);
      const { shown, more } = pageOf(all, params, ({ row }) => row.id);
      return { instanceStatusSet: shown.map(statusItem), ...more };
    },
  }),

  DescribeInstanceAttribute: action({
    roles: 'all',
    params: { InstanceId: required(ec2Id('i')), Attribute: required(text) },
    async run(cloud, context, { InstanceId: id, Attribute: attribute }) {
      return { instanceId: ec2IdOf('i', id), ...attributeOf(await cloud.instances.get(context, id), attribute) };
    },
  }),

  ...accountActions,
  ...tagActions,
};

/**
 * An action which changes the state of instances. When one is not there, or not the caller's, none changes; one which is
 * in the wrong state stops the others after it.
 */
function stateChange(
  change: (cloud: Cloud, context: Context, ids: readonly number[]) => Promise<StateChange[]>,
): Ec2Action {
  return action({
    roles: sysadmin,
    params: instanceIds,
    async run(cloud, context, { InstanceId: ids }) {
      const changes = await change(cloud, context, [...new Set(ids)]);
      return { instancesSet: changes.map(stateChangeItem), ...done };
    },
  });
}

/**
 * The instances which a description is about. Unknown ids are left out, as in 2011.3; AWS's dialect (flag
 * ec2_error_codes) refuses them.
 */
async function selectInstances(
  cloud: Cloud,
  context: Context,
  params: { InstanceId: readonly number[]; Filter: readonly Ec2Filter[] },
): Promise<InstanceView[]> {
  const named = params.InstanceId.length > 0;
  const ids = named ? params.InstanceId : idsOfFilters(params.Filter);
  const views = await cloud.instances.describe(context, ids === null ? {} : { ids });
  const { flags } = cloud.parts.runtime;
  if (named && flags.ec2_error_codes === 'aws') {
    const missing = params.InstanceId.find((id) => !views.some((view) => view.row.id === id));
    if (missing !== undefined) throw new InstanceNotFound(missing);
  }
  return filtered(cloud, params.Filter, views, instanceFilterGetters, ({ metadata }) => metadata);
}

/** The ids in filters `instance-id`, when all are whole: the database then reads only these. */
function idsOfFilters(filters: readonly Ec2Filter[]): number[] | null {
  const filter = filters.find(({ name }) => name === 'instance-id');
  if (filter === undefined || !filter.values.every((value) => /^i-[0-7][0-9a-f]{7}$/.test(value))) return null;
  return filter.values.map((value) => parseEc2Id(value, ['i']));
}

function launchWish(params: ParamsOf<typeof launchParams>): LaunchWish {
  const groupIds = [...params.SecurityGroupId, ...params.NetworkInterface.flatMap((each) => each.SecurityGroupId)];
  const groups = [...params.SecurityGroup.map((name): GroupRef => ({ name })), ...groupIds.map(refOf)];
  const tags = params.TagSpecification.filter((each) => each.ResourceType === 'instance').flatMap((each) => each.Tag);
  const wish = {
    image: params.ImageId,
    kernel: params.KernelId,
    ramdisk: params.RamdiskId,
    minCount: params.MinCount,
    maxCount: params.MaxCount,
    instanceType: params.InstanceType,
    keyName: params.KeyName,
    userData: params.UserData,
    securityGroups: groups,
    availabilityZone: params.Placement?.AvailabilityZone,
    blockDevices: params.BlockDeviceMapping.map(blockDeviceOf),
    displayName: params.DisplayName,
    displayDescription: params.DisplayDescription,
    clientToken: params.ClientToken,
    metadata: tags.length === 0 ? undefined : Object.fromEntries(tags.map((tag) => [tag.Key, tag.Value ?? ''])),
  };
  return withoutUndefined(wish);
}

function statusItem(view: InstanceView): Ec2Result {
  const state = stateOf(view.row);
  const status =
    state.name === 'running'
      ? { status: 'ok', details: [{ name: 'reachability', status: 'passed' }] }
      : { status: 'not-applicable' };
  return {
    instanceId: ec2IdOf('i', view.row.id),
    availabilityZone: zoneOf(view),
    instanceState: { ...state },
    systemStatus: status,
    instanceStatus: status,
  };
}
