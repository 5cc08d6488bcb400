import type { Cloud } from '../../common/cloud/cloud.js';
import { imageEc2Id } from '../../common/cloud/images.js';
import type { Context } from '../../common/context.js';
import { ApiError } from '../../common/errors.js';
import { isoTimeOf } from '../../common/time.js';
import { action, done, sysadmin, type Ec2Action, type Ec2Actions } from './action.js';
import { ec2IdOf } from './ids.js';
import { anyText, bool, ec2Id, list, required, someOf, text, type Param } from './params.js';
import { refOf as groupRefOf } from './securityGroups.js';

/** `Name.Value`, or just `Name`: clients send either. */
const valueParam: Param<string | undefined> = {
  shape: { members: { Value: { kind: 'text' } } },
  read: (node) => node?.children?.get('Value')?.value ?? node?.value,
};

/** Attributes of which a request may change one, by the names of today's clients. */
const attributeParams = {
  InstanceType: valueParam,
  UserData: valueParam,
  Kernel: valueParam,
  Ramdisk: valueParam,
  DisableApiTermination: valueParam,
  InstanceInitiatedShutdownBehavior: valueParam,
  SourceDestCheck: valueParam,
  EbsOptimized: valueParam,
};

const instanceId = { InstanceId: required(ec2Id('i')) };
const firstInstanceId = { InstanceId: someOf(ec2Id('i')) };

/** What is done with one instance beside running, stopping and ending it (nova 2011.3, nova/api/ec2/cloud.py). */
export const instanceOperationActions: Ec2Actions = {
  RescueInstance: action({
    roles: [],
    params: instanceId,
    async run(cloud, context, { InstanceId: id }) {
      await cloud.power.rescue(context, id);
      return done;
    },
  }),

  UnrescueInstance: action({
    roles: [],
    params: instanceId,
    async run(cloud, context, { InstanceId: id }) {
      await cloud.power.unrescue(context, id);
      return done;
    },
  }),

  GetVncConsole: action({
    roles: [],
    params: firstInstanceId,
    run: async (cloud, context, { InstanceId: [id] }) => ({ ...(await cloud.guests.vncConsole(context, id!)) }),
  }),

  GetAjaxConsole: action({
    roles: [],
    params: firstInstanceId,
    run: async (cloud, context, { InstanceId: [id] }) => ({ ...(await cloud.guests.ajaxConsole(context, id!)) }),
  }),

  UpdateInstance: action({
    roles: sysadmin,
    params: { ...instanceId, DisplayName: anyText, DisplayDescription: anyText },
    async run(cloud, context, { InstanceId: id, DisplayName: name, DisplayDescription: description }) {
      await cloud.instanceAttributes.setTexts(context, id, {
        ...(name === undefined ? {} : { name }),
        ...(description === undefined ? {} : { description }),
      });
      return done;
    },
  }),

  CreateImage: action({
    roles: sysadmin,
    params: { ...instanceId, Name: text, Description: text, NoReboot: bool },
    async run(cloud, context, { InstanceId: id, Name: name, Description: description }) {
      const image = await cloud.instanceImages.createImage(context, id, {
        name: name ?? `image of ${ec2IdOf('i', id)}`,
        ...(description === undefined ? {} : { properties: { description } }),
      });
      return { imageId: imageEc2Id(image) };
    },
  }),

  ModifyInstanceAttribute: action({
    roles: sysadmin,
    params: {
      ...instanceId,
      Attribute: text,
      Value: anyText,
      ...attributeParams,
      GroupId: list(text),
    },
    async run(cloud, context, params) {
      const named = params.Attribute;
      const changes: (readonly [string, string])[] = Object.keys(attributeParams).flatMap((name) => {
        const value = params[name as keyof typeof attributeParams];
        return value === undefined ? [] : [[lowerFirst(name), value] as const];
      });
      if (named !== undefined) changes.push([named, params.Value ?? '']);
      const groups = params.GroupId.map(groupRefOf);
      if (groups.length + changes.length === 0)
        throw new ApiError('The request names no attribute', 'MissingParameter');
      if (groups.length > 0) await cloud.instanceAttributes.setGroups(context, params.InstanceId, groups);
      for (const [name, value] of changes) await modify(cloud, context, params.InstanceId, name, value);
      return done;
    },
  }),

  ResetInstanceAttribute: action({
    roles: sysadmin,
    params: { ...instanceId, Attribute: required(text) },
    async run(cloud, context, { InstanceId: id, Attribute: attribute }) {
      await cloud.instances.get(context, id);
      if (!['kernel', 'ramdisk', 'sourceDestCheck'].includes(attribute)) throw unsupported(attribute);
      return done;
    },
  }),

  MonitorInstances: monitoring(),
  UnmonitorInstances: monitoring(),

  GetPasswordData: action({
    roles: sysadmin,
    params: instanceId,
    async run(cloud, context, { InstanceId: id }) {
      await cloud.instances.get(context, id);
      const timestamp = isoTimeOf(cloud.parts.runtime.clock.now());
      return { instanceId: ec2IdOf('i', id), timestamp, passwordData: '' };
    },
  }),
};

/** There is no monitoring: it stays disabled, whatever is asked. */
function monitoring(): Ec2Action {
  return action({
    roles: sysadmin,
    params: firstInstanceId,
    async run(cloud, context, { InstanceId: ids }) {
      await cloud.instances.requireAll(context, ids);
      return {
        instancesSet: [...new Set(ids)].map((id) => ({
          instanceId: ec2IdOf('i', id),
          monitoring: { state: 'disabled' },
        })),
      };
    },
  });
}

/** Changes one attribute, or finds that it is so already. Throws ApiError (UnsupportedOperation) for what can't be. */
async function modify(cloud: Cloud, context: Context, id: number, attribute: string, value: string): Promise<void> {
  const attributes = cloud.instanceAttributes;
  const onlyAlready = async (already: string): Promise<void> => {
    await cloud.instances.get(context, id);
    if (value.toLowerCase() !== already) throw unsupported(`${attribute}=${value.slice(0, 100)}`);
  };
  switch (attribute) {
    case 'instanceType':
      return attributes.setType(context, id, value);
    case 'userData':
      return attributes.setUserData(context, id, value);
    case 'kernel':
    case 'ramdisk':
      return attributes.setBootImage(context, id, attribute, value);
    case 'disableApiTermination':
    case 'ebsOptimized':
      return onlyAlready('false');
    case 'sourceDestCheck':
      return onlyAlready('true');
    case 'instanceInitiatedShutdownBehavior':
      return onlyAlready('stop');
    default:
      throw unsupported(attribute);
  }
}

function unsupported(what: string): ApiError {
  return new ApiError(`${what} cannot be changed in this cloud`, 'UnsupportedOperation');
}

function lowerFirst(name: string): string {
  return name.charAt(0).toLowerCase() + name.slice(1);
}
