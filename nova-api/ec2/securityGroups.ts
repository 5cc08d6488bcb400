import type {
  DescribedGroup,
  DescribedRule,
  GroupRef,
  PermissionWish,
  SourceGroupRef,
} from '../../common/cloud/securityGroups.js';
import { ApiError } from '../../common/errors.js';
import { action, done, netadmin, type Ec2Actions, type Ec2Result } from './action.js';
import { filtered, filtersParam, type FilterGetters } from './filters.js';
import { ec2IdOf } from './ids.js';
import { pageOf, pageParams } from './pages.js';
import { anyText, group, integer, list, required, text, type ParamsOf } from './params.js';

const groupParams = { GroupName: text, GroupId: text };
const ruleParams = {
  ...groupParams,
  IpProtocol: text,
  FromPort: integer(),
  ToPort: integer(),
  CidrIp: text,
  SourceSecurityGroupName: text,
  SourceSecurityGroupOwnerId: text,
  IpPermissions: list(
    group({
      IpProtocol: text,
      FromPort: integer(),
      ToPort: integer(),
      IpRanges: list(group({ CidrIp: text })),
      Ipv6Ranges: list(group({ CidrIpv6: text })),
      Groups: list(group({ GroupName: text, GroupId: text, UserId: text })),
    }),
  ),
};
type RuleParams = ParamsOf<typeof ruleParams>;

/** Actions about security groups (EC2 API 2011-01-01; nova 2011.3, nova/api/ec2/cloud.py). */
export const securityGroupActions: Ec2Actions = {
  DescribeSecurityGroups: action({
    roles: 'all',
    params: { GroupName: list(text), GroupId: list(text), Filter: filtersParam, ...pageParams },
    async run(cloud, context, params) {
      const { GroupName: names, GroupId: ids, Filter: filters } = params;
      const refs = [...names.map((name): GroupRef => ({ name })), ...ids.map(refOf)];
      const groups = await cloud.securityGroups.describe(context, refs);
      const wanted = filtered(cloud, filters, groups, groupFilters);
      const { shown, more } = pageOf(wanted, params, ({ id }) => id);
      return { securityGroupInfo: shown.map(groupItem), ...more };
    },
  }),

  CreateSecurityGroup: action({
    roles: netadmin,
    params: { GroupName: required(anyText), GroupDescription: required(anyText) },
    async run(cloud, context, { GroupName: name, GroupDescription: description }) {
      const created = await cloud.securityGroups.create(context, name, description);
      return { securityGroupSet: [groupItem(created)], return: true, groupId: ec2IdOf('sg', created.id) };
    },
  }),

  DeleteSecurityGroup: action({
    roles: netadmin,
    params: groupParams,
    async run(cloud, context, params) {
      await cloud.securityGroups.delete(context, groupOf(params));
      return done;
    },
  }),

  AuthorizeSecurityGroupIngress: action({
    roles: netadmin,
    params: ruleParams,
    async run(cloud, context, params) {
      await cloud.securityGroups.authorize(context, groupOf(params), permissionsOf(params));
      return done;
    },
  }),

  RevokeSecurityGroupIngress: action({
    roles: netadmin,
    params: ruleParams,
    async run(cloud, context, params) {
      await cloud.securityGroups.revoke(context, groupOf(params), permissionsOf(params));
      return done;
    },
  }),
};

/** `sg-%08x`, the plain integer which 2011.3 took, or else a name. */
export function refOf(value: string): GroupRef {
  const number = /^sg-[0-9a-f]{1,8}$/i.test(value)
    ? parseInt(value.slice(3), 16)
    : /^\d{1,10}$/.test(value)
      ? Number(value)
      : NaN;
  return number <= 2 ** 31 - 1 ? { id: number } : { name: value };
}

function groupOf(params: ParamsOf<typeof groupParams>): GroupRef {
  if (params.GroupId !== undefined) return refOf(params.GroupId);
  if (params.GroupName !== undefined) return { name: params.GroupName };
  throw new ApiError('Not enough parameters, need group_name or group_id');
}

/** The permissions of both forms: flat parameters (2011 and before) and nested ones. */
function permissionsOf(params: RuleParams): PermissionWish[] {
  const nested = params.IpPermissions.map((permission): PermissionWish => ({
    protocol: permission.IpProtocol ?? null,
    fromPort: permission.FromPort ?? null,
    toPort: permission.ToPort ?? null,
    cidrs: [
      ...permission.IpRanges.flatMap((range) => cidrOf(range.CidrIp)),
      ...permission.Ipv6Ranges.flatMap((range) => cidrOf(range.CidrIpv6)),
    ],
    groups: permission.Groups.flatMap((one) => sourceOf(one.GroupName, one.GroupId, one.UserId)),
  }));
  const flat: PermissionWish = {
    protocol: params.IpProtocol ?? null,
    fromPort: params.FromPort ?? null,
    toPort: params.ToPort ?? null,
    cidrs: cidrOf(params.CidrIp),
    groups: sourceOf(params.SourceSecurityGroupName, undefined, params.SourceSecurityGroupOwnerId),
  };
  const isFlat =
    flat.protocol !== null ||
    flat.fromPort !== null ||
    flat.toPort !== null ||
    flat.cidrs.length + flat.groups.length > 0;
  if (!isFlat) return nested;
  // beside a group old clients send a CIDR which they don't mean
  return [flat.groups.length > 0 ? { ...flat, cidrs: [] } : flat, ...nested];
}

/** Some clients of 2011 escape a CIDR twice. */
function cidrOf(value: string | undefined): string[] {
  if (value === undefined) return [];
  return [value.replace(/%2f/gi, '/').replace(/%3a/gi, ':')];
}

/** The owner is `project` or `user:project`. */
function sourceOf(name: string | undefined, id: string | undefined, owner: string | undefined): SourceGroupRef[] {
  const project = owner === undefined ? {} : { project: owner.split(':').at(-1)! };
  if (id !== undefined) return [{ ...refOf(id), ...project }];
  return name === undefined ? [] : [{ name, ...project }];
}

function groupItem(one: DescribedGroup): Ec2Result {
  return {
    ownerId: one.project_id,
    groupId: ec2IdOf('sg', one.id),
    groupName: one.name,
    groupDescription: one.description,
    ipPermissions: one.rules.flatMap(permissionItems),
    ipPermissionsEgress: [],
    tagSet: [],
  };
}

/** A rule for a group without protocol stands for all three. */
function permissionItems(rule: DescribedRule): Ec2Result[] {
  const item = (protocol: string | null, from: number | null, to: number | null): Ec2Result => ({
    ipProtocol: protocol,
    fromPort: from,
    toPort: to,
    groups:
      rule.source === null
        ? []
        : [{ groupId: ec2IdOf('sg', rule.source.id), groupName: rule.source.name, userId: rule.source.project_id }],
    ipRanges: rule.cidr === null ? [] : [{ cidrIp: rule.cidr }],
  });
  if (rule.source !== null && !rule.protocol) {
    return [item('icmp', -1, -1), item('tcp', 1, 65535), item('udp', 1, 65535)];
  }
  return [item(rule.protocol, rule.from_port, rule.to_port)];
}

function groupFilters(one: DescribedGroup): FilterGetters {
  return {
    'group-name': () => one.name,
    'group-id': () => ec2IdOf('sg', one.id),
    'owner-id': () => one.project_id,
    description: () => one.description,
    'ip-permission.protocol': () => one.rules.map((rule) => rule.protocol),
    'ip-permission.from-port': () => one.rules.map((rule) => rule.from_port),
    'ip-permission.to-port': () => one.rules.map((rule) => rule.to_port),
    'ip-permission.cidr': () => one.rules.map((rule) => rule.cidr),
    'ip-permission.group-name': () => one.rules.map((rule) => rule.source?.name),
    'ip-permission.group-id': () => one.rules.map((rule) => rule.source && ec2IdOf('sg', rule.source.id)),
    'ip-permission.user-id': () => one.rules.map((rule) => rule.source?.project_id),
  };
}
