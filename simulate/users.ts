import { dbTime } from '../common/time.js';
import type { SimulatedCloud } from './cloud.js';
import { type Ec2Answer, textsOf } from './ec2Client.js';

/** What the user knows of what it has. */
interface Belongings {
  instances: string[];
  volumes: string[];
  addresses: string[];
  keys: string[];
  groups: string[];
}

type Parameters = Record<string, string | number>;
/** One kind of request: what it sends, or undefined when the user has nothing to send it for. */
interface Wish {
  action: string;
  parameters(user: SimulatedUser): Parameters | undefined;
  learn?(has: Belongings, answer: Ec2Answer, sent: Parameters): void;
}

const wishes: readonly Wish[] = [
  {
    action: 'RunInstances',
    parameters: (user) => ({
      ImageId: 'ami-00000001',
      MinCount: 1,
      MaxCount: 1 + user.random.below(3),
      InstanceType: user.random.pick(['m1.tiny', 'm1.small']),
      ...(user.has.keys.length > 0 && { KeyName: user.random.pick(user.has.keys) }),
    }),
    learn: (has, answer) => has.instances.push(...textsOf(answer.xml, 'instanceId')),
  },
  { action: 'RunInstances', parameters: () => ({ ImageId: 'ami-0000002a', MinCount: 1, MaxCount: 1 }) },
  { action: 'RunInstances', parameters: () => ({ ImageId: 'ami-00000001', MinCount: 90, MaxCount: 99 }) },
  {
    action: 'TerminateInstances',
    parameters: (user) => user.one('instances', 'InstanceId.1'),
    learn: (has, _answer, sent) => void has.instances.splice(has.instances.indexOf(String(sent['InstanceId.1'])), 1),
  },
  { action: 'RebootInstances', parameters: (user) => user.one('instances', 'InstanceId.1') },
  { action: 'StopInstances', parameters: (user) => user.one('instances', 'InstanceId.1') },
  { action: 'StartInstances', parameters: (user) => user.one('instances', 'InstanceId.1') },
  { action: 'GetConsoleOutput', parameters: (user) => user.one('instances', 'InstanceId') },
  { action: 'DescribeInstances', parameters: () => ({}) },
  {
    action: 'CreateVolume',
    parameters: (user) => ({ Size: 1 + user.random.below(4), AvailabilityZone: 'nova' }),
    learn: (has, answer) => has.volumes.push(...textsOf(answer.xml, 'volumeId')),
  },
  {
    action: 'AttachVolume',
    parameters: (user) => {
      const [volume, instance] = [user.one('volumes', 'VolumeId'), user.one('instances', 'InstanceId')];
      return volume && instance && { ...volume, ...instance, Device: user.random.pick(['/dev/vdb', '/dev/vdc', 'x']) };
    },
  },
  { action: 'DetachVolume', parameters: (user) => user.one('volumes', 'VolumeId') },
  { action: 'DeleteVolume', parameters: (user) => user.one('volumes', 'VolumeId') },
  { action: 'DescribeVolumes', parameters: () => ({}) },
  {
    action: 'AllocateAddress',
    parameters: () => ({}),
    learn: (has, answer) => has.addresses.push(...textsOf(answer.xml, 'publicIp')),
  },
  {
    action: 'AssociateAddress',
    parameters: (user) => {
      const [address, instance] = [user.one('addresses', 'PublicIp'), user.one('instances', 'InstanceId')];
      return address && instance && { ...address, ...instance };
    },
  },
  { action: 'DisassociateAddress', parameters: (user) => user.one('addresses', 'PublicIp') },
  { action: 'ReleaseAddress', parameters: (user) => user.one('addresses', 'PublicIp') },
  { action: 'DescribeAddresses', parameters: () => ({}) },
  {
    action: 'CreateKeyPair',
    parameters: (user) => ({ KeyName: `key${user.random.below(4)}` }),
    learn: (has, answer) => has.keys.push(...textsOf(answer.xml, 'keyName')),
  },
  {
    action: 'CreateSecurityGroup',
    parameters: (user) => ({ GroupName: `group${user.random.below(3)}`, GroupDescription: 'of a simulation' }),
    learn: (has, answer) => has.groups.push(...textsOf(answer.xml, 'groupName')),
  },
  {
    action: 'AuthorizeSecurityGroupIngress',
    parameters: (user) => ({
      GroupName: user.random.pick(['default', ...user.has.groups]),
      IpProtocol: user.random.pick(['tcp', 'udp', 'bogus']),
      FromPort: user.random.below(100),
      ToPort: 22 + user.random.below(100),
      CidrIp: '0.0.0.0/0',
    }),
  },
  { action: 'DescribeNonsense', parameters: () => ({}) },
];

/** A user who asks for one thing after another, sensible or not. */
export class SimulatedUser {
  readonly has: Belongings = { instances: [], volumes: [], addresses: [], keys: [], groups: [] };
  readonly random;

  constructor(private readonly cloud: SimulatedCloud) {
    this.random = cloud.random.fork();
  }

  /** One of what the user has, as a parameter. */
  one(kind: keyof Belongings, parameter: string): Parameters | undefined {
    const list = this.has[kind];
    return list.length === 0 ? undefined : { [parameter]: this.random.pick(list) };
  }

  /** Sends one request at random, notes the outcome in the cloud's log, and waits a little. */
  async step(): Promise<Ec2Answer> {
    const [wish, parameters] = this.#choose();
    const answer = await this.cloud.ec2.call(wish.action, parameters);
    const sent = new URLSearchParams(
      Object.entries(parameters).map(([name, value]): [string, string] => [name, String(value)]),
    );
    const now = dbTime(this.cloud.world.now());
    this.cloud.log.lines.push(`${now} USER ${wish.action} ${sent.toString()}: ${answer.status} ${answer.code ?? 'ok'}`);
    if (answer.status === 200) wish.learn?.(this.has, answer, parameters);
    await new Promise<void>((resolve) => void this.cloud.world.after(this.random.below(5000), resolve));
    return answer;
  }

  #choose(): [Wish, Parameters] {
    for (;;) {
      const wish = this.random.pick(wishes);
      const parameters = wish.parameters(this);
      if (parameters !== undefined) return [wish, parameters];
    }
  }
}
