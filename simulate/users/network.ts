import { textsOf } from '../ec2Client.js';
import { both, forget, type Chooser, type Parameters, type Wish } from './wish.js';

/** One of few rules, so that the same one is asked for again, and one in five makes no sense. */
function rule({ random, has }: Chooser): Parameters {
  const group = { GroupName: random.pick(['default', ...has.groups]) };
  const ports: readonly Parameters[] = [
    { IpProtocol: 'tcp', FromPort: 22, ToPort: 22 },
    { IpProtocol: 'tcp', FromPort: 80, ToPort: 88 },
    { IpProtocol: 'udp', FromPort: 53, ToPort: 53 },
    { IpProtocol: 'icmp', FromPort: -1, ToPort: -1 },
    { IpProtocol: random.pick(['bogus', 'tcp']), FromPort: 70, ToPort: 7 },
  ];
  if (random.below(3) === 0) {
    const source = random.pick(['default', ...has.groups]);
    return { ...group, SourceSecurityGroupName: source, SourceSecurityGroupOwnerId: random.pick(['red', 'blue']) };
  }
  return { ...group, ...random.pick(ports), CidrIp: random.pick(['0.0.0.0/0', '10.1.0.0/16']) };
}

/** Floating addresses. */
export const addressWishes: readonly Wish[] = [
  {
    action: 'AllocateAddress',
    weight: 3,
    parameters: () => ({}),
    learn: (has, answer) => has.addresses.push(...textsOf(answer.xml, 'publicIp')),
  },
  {
    action: 'AssociateAddress',
    weight: 6,
    parameters: (chooser) =>
      both(chooser.one('addresses', 'PublicIp'), chooser.one('instances', 'InstanceId', chooser.known.running)),
  },
  {
    action: 'DisassociateAddress',
    weight: 2,
    parameters: (chooser) => chooser.one('addresses', 'PublicIp', chooser.known.associated),
  },
  {
    action: 'ReleaseAddress',
    weight: 2,
    parameters: (chooser) => chooser.one('addresses', 'PublicIp'),
    learn: (has, _answer, sent) => forget(has.addresses, sent['PublicIp']),
  },
  { action: 'DescribeAddresses', parameters: () => ({}) },
];

/** Security groups and their rules. */
export const groupWishes: readonly Wish[] = [
  {
    action: 'CreateSecurityGroup',
    weight: 2,
    parameters: ({ random }) => ({ GroupName: `group${random.below(3)}`, GroupDescription: 'of a simulation' }),
    learn: (has, _answer, sent) => has.groups.push(String(sent['GroupName'])),
  },
  {
    action: 'DeleteSecurityGroup',
    parameters: (chooser) => chooser.one('groups', 'GroupName'),
    learn: (has, _answer, sent) => forget(has.groups, sent['GroupName']),
  },
  { action: 'AuthorizeSecurityGroupIngress', weight: 4, parameters: rule },
  { action: 'RevokeSecurityGroupIngress', weight: 3, parameters: rule },
  { action: 'DescribeSecurityGroups', parameters: () => ({}) },
];

/** Key pairs, tags, and what belongs to nobody. */
export const otherWishes: readonly Wish[] = [
  {
    action: 'CreateKeyPair',
    parameters: ({ random }) => ({ KeyName: `key${random.below(3)}` }),
    learn: (has, _answer, sent) => has.keys.push(String(sent['KeyName'])),
  },
  {
    action: 'DeleteKeyPair',
    parameters: (chooser) => chooser.one('keys', 'KeyName'),
    learn: (has, _answer, sent) => forget(has.keys, sent['KeyName']),
  },
  {
    action: 'CreateTags',
    parameters: (chooser) =>
      both(chooser.one('instances', 'ResourceId.1'), {
        'Tag.1.Key': `k${chooser.random.below(3)}`,
        'Tag.1.Value': 'v',
      }),
  },
  {
    action: 'DeleteTags',
    parameters: (chooser) =>
      both(chooser.one('instances', 'ResourceId.1'), { 'Tag.1.Key': `k${chooser.random.below(3)}` }),
  },
  { action: 'DescribeTags', parameters: () => ({}) },
  { action: 'DescribeAvailabilityZones', parameters: () => ({}) },
  { action: 'DescribeNonsense', parameters: () => ({}) },
];
