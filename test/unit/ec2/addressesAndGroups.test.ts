import { expect } from 'chai';
import { Addresses } from '../../../common/cloud/addresses.js';
import type { Cloud } from '../../../common/cloud/cloud.js';
import { SecurityGroups } from '../../../common/cloud/securityGroups.js';
import { createFloatingIps } from '../../../common/db/floatingIps.js';
import type { Ec2Actions, Ec2Result } from '../../../nova-api/ec2/action.js';
import { addressActions } from '../../../nova-api/ec2/addresses.js';
import { readParams } from '../../../nova-api/ec2/params.js';
import { securityGroupActions } from '../../../nova-api/ec2/securityGroups.js';
import { caller, failure, NetworkFixture } from '../network/fixture.js';

const actions: Ec2Actions = { ...addressActions, ...securityGroupActions };

describe('EC2: addresses and security groups', () => {
  let fixture: NetworkFixture;
  let cloud: Cloud;
  beforeEach(async () => {
    fixture = await NetworkFixture.start();
    const { parts } = fixture;
    // the actions of these two files use nothing else of the cloud
    cloud = { addresses: new Addresses(parts), securityGroups: new SecurityGroups(parts) } as Partial<Cloud> as Cloud;
  });
  afterEach(() => fixture.stop());

  async function ask(name: string, params: Record<string, string> = {}, context = caller()): Promise<Ec2Result> {
    const action = actions[name]!;
    return action.run(cloud, context, readParams(action.params, new Map(Object.entries(params))));
  }
  const authorize = (params: Record<string, string>): Promise<Ec2Result> =>
    ask('AuthorizeSecurityGroupIngress', { GroupName: 'default', ...params });
  const permissions = async (): Promise<unknown> => {
    const { securityGroupInfo } = await ask('DescribeSecurityGroups');
    return (securityGroupInfo as { ipPermissions: unknown }[])[0]!.ipPermissions;
  };

  it('answers the address actions as 2011.3 did, and what newer clients read', async () => {
    await fixture.network();
    await createFloatingIps(fixture.db, ['1.2.3.1', '1.2.3.2']);
    await fixture.serve();
    const id = await fixture.instance();
    await fixture.parts.rpc.network.call.allocate_for_instance(caller(), {
      instance_id: id,
      project_id: 'demo',
      host: 'cloud1',
      instance_type_id: 2,
      vpn: false,
    });
    expect(await ask('DescribeAddresses')).to.deep.equal({ addressesSet: [] });
    expect(await ask('AllocateAddress')).to.deep.equal({ publicIp: '1.2.3.1', domain: 'standard' });
    await ask('AllocateAddress');
    const InstanceId = 'i-00000001';
    expect(await ask('AssociateAddress', { InstanceId, PublicIp: '1.2.3.2' })).to.deep.equal({
      associateResponse: ['Address associated.'],
      return: true,
    });
    await fixture.settled();
    const free = { publicIp: '1.2.3.1', domain: 'standard', instanceId: null };
    const used = { publicIp: '1.2.3.2', domain: 'standard', instanceId: InstanceId };
    expect(await ask('DescribeAddresses')).to.deep.equal({ addressesSet: [free, used] });
    expect(await ask('DescribeAddresses', {}, caller({ isAdmin: true }))).to.deep.equal({
      addressesSet: [
        { ...free, instanceId: 'None (demo)' },
        { ...used, instanceId: 'i-00000001 (demo)' },
      ],
    });
    expect(await ask('DescribeAddresses', { 'PublicIp.1': '1.2.3.1' })).to.deep.equal({ addressesSet: [free] });
    for (const [filter, value] of [
      ['public-ip', '1.2.3.2'],
      ['instance-id', 'i-*'],
      ['private-ip-address', '10.0.0.2'],
    ]) {
      const filtered = await ask('DescribeAddresses', { 'Filter.1.Name': filter!, 'Filter.1.Value.1': value! });
      expect(filtered).to.deep.equal({ addressesSet: [used] });
    }
    expect(await ask('DisassociateAddress', { PublicIp: '1.2.3.2' })).to.include({ return: true });
    expect(await ask('ReleaseAddress', { PublicIp: '1.2.3.2' })).to.deep.equal({
      releaseResponse: ['Address released.'],
      return: true,
    });
    expect((await failure(ask('ReleaseAddress')))['code']).to.equal('MissingParameter');
  });

  it('creates and shows a group', async () => {
    const item = {
      ownerId: 'demo',
      groupId: 'sg-00000002',
      groupName: 'web',
      groupDescription: '<&>"',
      ipPermissions: [],
      ipPermissionsEgress: [],
      tagSet: [],
    };
    expect(await ask('CreateSecurityGroup', { GroupName: 'web', GroupDescription: '<&>"' })).to.deep.equal({
      securityGroupSet: [item],
      return: true,
      groupId: 'sg-00000002',
    });
    const ways: Record<string, string>[] = [
      { 'GroupName.1': 'web' },
      { 'GroupId.1': 'sg-00000002' },
      { 'GroupId.1': '2' },
      { 'GroupId.1': 'web' },
      { 'Filter.1.Name': 'group-name', 'Filter.1.Value.1': 'w?b' },
    ];
    for (const params of ways) {
      expect(await ask('DescribeSecurityGroups', params)).to.deep.equal({ securityGroupInfo: [item] });
    }
    expect(await ask('DeleteSecurityGroup', { GroupId: 'sg-00000002' })).to.deep.equal({ return: true });
    expect((await failure(ask('DeleteSecurityGroup', { GroupName: 'web' }))).name).to.equal(
      'SecurityGroupNotFoundForProject',
    );
    expect((await failure(ask('DescribeSecurityGroups', { 'GroupName.1': 'none' }))).name).to.equal(
      'SecurityGroupNotFoundForProject',
    );
    expect((await failure(ask('DeleteSecurityGroup'))).message).to.equal(
      'Not enough parameters, need group_name or group_id',
    );
    expect((await failure(ask('CreateSecurityGroup', { GroupName: '', GroupDescription: 'x' }))).name).to.equal(
      'InvalidParameterValue',
    );
  });

  it('takes the rule forms of all clients', async () => {
    await ask('CreateSecurityGroup', { GroupName: 'web', GroupDescription: 'x' });
    const group = { groupId: 'sg-00000002', groupName: 'web', userId: 'demo' };
    // euca2ools 2.1 sends a CIDR and a protocol beside a group, and doubly escaped CIDRs
    await authorize({ IpProtocol: 'tcp', FromPort: '22', ToPort: '22', CidrIp: '10.0.0.0%2F8' });
    await authorize({
      SourceSecurityGroupName: 'web',
      SourceSecurityGroupOwnerId: 'demo:demo',
      CidrIp: '0.0.0.0/0',
      IpProtocol: 'tcp',
    });
    await authorize({ SourceSecurityGroupName: 'web', SourceSecurityGroupOwnerId: 'demo' });
    await authorize({
      'IpPermissions.1.IpProtocol': 'tcp',
      'IpPermissions.1.FromPort': '80',
      'IpPermissions.1.ToPort': '81',
      'IpPermissions.1.Groups.1.GroupId': 'sg-00000002',
      'IpPermissions.1.IpRanges.1.CidrIp': '0.0.0.0/0',
      'IpPermissions.2.IpProtocol': 'udp',
      'IpPermissions.2.FromPort': '53',
      'IpPermissions.2.ToPort': '53',
      'IpPermissions.2.IpRanges.1.CidrIp': '10.1.0.0/16',
      'IpPermissions.2.Ipv6Ranges.1.CidrIpv6': '::/0',
    });
    await authorize({ IpProtocol: 'icmp', FromPort: '-1', ToPort: '-1' });
    const item = (ipProtocol: string, fromPort: number, toPort: number, groups: object[], cidrs: string[]): object => ({
      ipProtocol,
      fromPort,
      toPort,
      groups,
      ipRanges: cidrs.map((cidrIp) => ({ cidrIp })),
    });
    expect(await permissions()).to.deep.equal([
      item('tcp', 22, 22, [], ['10.0.0.0/8']),
      item('tcp', 1, 65535, [group], []),
      item('icmp', -1, -1, [group], []),
      item('tcp', 1, 65535, [group], []),
      item('udp', 1, 65535, [group], []),
      item('tcp', 80, 81, [group], []),
      item('udp', 53, 53, [], ['10.1.0.0/16']),
      item('udp', 53, 53, [], ['::/0']),
      item('icmp', -1, -1, [], ['0.0.0.0/0']),
    ]);
    await ask('RevokeSecurityGroupIngress', { GroupId: '1', SourceSecurityGroupName: 'web' });
    await ask('RevokeSecurityGroupIngress', {
      GroupName: 'default',
      IpProtocol: 'tcp',
      FromPort: '22',
      ToPort: '22',
      CidrIp: '10.0.0.0/8',
    });
    expect(await permissions()).to.have.length(5);
    expect((await failure(authorize({}))).message).to.equal('[] Not enough parameters to build a valid rule');
    expect((await failure(authorize({ IpProtocol: 'tcp', FromPort: 'x', ToPort: '1' })))['code']).to.equal(
      'InvalidParameterValue',
    );
    expect((await failure(authorize({ IpProtocol: 'tcp', FromPort: '1', ToPort: '70000' }))).name).to.equal(
      'InvalidPortRange',
    );
  });
});
