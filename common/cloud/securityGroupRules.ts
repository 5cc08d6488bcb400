import type { RuleWish } from '../db/securityGroups.js';
import { ApiError, InvalidCidr, InvalidInput, InvalidIpProtocol, InvalidPortRange } from '../errors.js';
import { parseAddress, parseCidr } from '../ipAddress.js';

/** A permission as a door reads it; the source groups are resolved already. Absent ports and protocol are null. */
export interface Permission {
  /** tcp, udp, icmp in any case; 6, 17, 1; -1 or all. */
  protocol: string | null;
  fromPort: number | null;
  toPort: number | null;
  cidrs: readonly string[];
  /** Ids of groups whose members are let in. When there is one, `0.0.0.0/0` among the CIDRs is ignored. */
  groupIds: readonly number[];
}

const everyone = '0.0.0.0/0';
const protocolNumbers: Readonly<Record<string, string>> = { '1': 'icmp', '6': 'tcp', '17': 'udp' };

/** A protocol with its ports (ICMP: type and code), or all protocols: null. */
type Range = Pick<RuleWish, 'protocol' | 'from_port' | 'to_port'>;

/** Each protocol with all its ports: what a CIDR is let in for when all protocols are meant. */
const allProtocols: readonly Range[] = [
  { protocol: 'icmp', from_port: -1, to_port: -1 },
  { protocol: 'tcp', from_port: 1, to_port: 65535 },
  { protocol: 'udp', from_port: 1, to_port: 65535 },
];
const everything: Range = { protocol: null, from_port: null, to_port: null };

/**
 * The rules which permissions stand for, each once. Port ranges as 2011.3.1 checks them (nova/api/ec2/cloud.py), but
 * port 0 and ICMP type 0 are accepted. Throws ApiError, InvalidIpProtocol, InvalidPortRange, InvalidCidr.
 */
export function rulesOf(permissions: readonly Permission[]): RuleWish[] {
  const rules = permissions.flatMap(rulesOfPermission);
  if (rules.length === 0) throw incomplete();
  return [...new Map(rules.map((rule) => [JSON.stringify(rule), rule])).values()];
}

/** A CIDR, or an address, which stands for itself alone: 2011.3 took one and kept it as it was sent. */
function isRange(text: string): boolean {
  return parseAddress(text) !== null || parseCidr(text) !== null;
}

function incomplete(): ApiError {
  return new ApiError('[] Not enough parameters to build a valid rule');
}

function rulesOfPermission(permission: Permission): RuleWish[] {
  const { groupIds } = permission;
  const named = permission.cidrs.length === 0 && groupIds.length === 0 ? [everyone] : permission.cidrs;
  // old clients send it beside a group, and mean the group
  const cidrs = groupIds.length > 0 ? named.filter((cidr) => cidr !== everyone) : named;
  for (const cidr of cidrs) if (!isRange(cidr)) throw new InvalidCidr(cidr.slice(0, 100));
  const all = isAll(permission.protocol);
  const range = all ? null : rangeOf(permission);
  if (range === null && !all && cidrs.length > 0) throw incomplete();
  const ofGroups = range ?? (all ? everything : wholeOf(permission));
  return [
    ...groupIds.map((groupId): RuleWish => ({ ...ofGroups, cidr: null, group_id: groupId })),
    ...cidrs.flatMap((cidr): RuleWish[] =>
      (range === null ? allProtocols : [range]).map((one) => ({ ...one, cidr, group_id: null })),
    ),
  ];
}

/**
 * What a group is let in for without ports: all of the protocol which was named (2011.3 let it in for everything), and
 * everything only when none was. Throws ApiError when one of two ports is missing.
 */
function wholeOf({ protocol, fromPort, toPort }: Permission): Range {
  if (protocol === null) return everything;
  if (fromPort !== null || toPort !== null) throw incomplete();
  return allProtocols.find((range) => range.protocol === protocolOf(protocol))!;
}

function isAll(protocol: string | null): boolean {
  return protocol !== null && /^(-1|all)$/i.test(protocol);
}

/**
 * The protocol's name in lower case: firewalls know no other, and a rule for `TCP` would be one without ports. Throws
 * InvalidIpProtocol.
 */
function protocolOf(name: string): string {
  const protocol = Object.hasOwn(protocolNumbers, name) ? protocolNumbers[name]! : name.toLowerCase();
  if (!/^(tcp|udp|icmp)$/.test(protocol)) throw new InvalidIpProtocol(name.slice(0, 100));
  return protocol;
}

/** Protocol and ports, checked; null unless all three are there. */
function rangeOf(permission: Permission): Range | null {
  const { fromPort, toPort } = permission;
  const protocol = permission.protocol === null ? null : protocolOf(permission.protocol);
  if (protocol === null || fromPort === null || toPort === null) return null;
  if (!Number.isInteger(fromPort) || !Number.isInteger(toPort)) throw new InvalidInput('ports are integers');
  const fits =
    protocol === 'icmp'
      ? within(fromPort, -1, 255) && within(toPort, -1, 255)
      : within(fromPort, 0, 65535) && within(toPort, 0, 65535) && fromPort <= toPort;
  if (!fits) throw new InvalidPortRange(fromPort, toPort);
  return { protocol, from_port: fromPort, to_port: toPort };
}

function within(value: number, low: number, high: number): boolean {
  return value >= low && value <= high;
}

/** A rule as 2011.3 prints it in its errors: a Python dictionary. */
export function pythonRule(rule: RuleWish, parentGroupId: number): string {
  const range = rule.protocol === null ? null : { to: rule.to_port, from: rule.from_port, protocol: rule.protocol };
  const parts = [
    range && `'to_port': ${range.to}`,
    rule.cidr !== null && `'cidr': u'${rule.cidr}'`,
    range && `'from_port': ${range.from}`,
    range && `'protocol': '${range.protocol}'`,
    rule.group_id !== null && `'group_id': ${rule.group_id}`,
    `'parent_group_id': ${parentGroupId}`,
  ];
  return `{${parts.filter((part) => typeof part === 'string').join(', ')}}`;
}
