import { expect } from 'chai';
import type { Role } from '../../../nova-api/ec2/action.js';
import { ActionTable, cloudActions, mergeActions, underscored } from '../../../nova-api/ec2/index.js';

const everybody = 'all';
const netadmin = ['netadmin'];
const sysadmin = ['projectmanager', 'sysadmin'];
/** Who may call what in 2011.3 (nova/api/ec2/__init__.py Authorizer), and what is ours beyond it. */
const expected: Readonly<Record<string, readonly string[]>> = {
  [everybody]: [
    'DescribeAvailabilityZones',
    'DescribeRegions',
    'DescribeSnapshots',
    'DescribeKeyPairs',
    'CreateKeyPair',
    'DeleteKeyPair',
    'DescribeSecurityGroups',
    'ImportPublicKey',
    'ImportKeyPair',
    'DescribeInstances',
    'DescribeAddresses',
    'DescribeImages',
    'DescribeImageAttribute',
    'DescribeVpcs',
    'DescribeSubnets',
    'DescribeInstanceStatus',
    'DescribeTags',
  ],
  netadmin: [
    'AuthorizeSecurityGroupIngress',
    'RevokeSecurityGroupIngress',
    'CreateSecurityGroup',
    'DeleteSecurityGroup',
    'AllocateAddress',
    'ReleaseAddress',
    'AssociateAddress',
    'DisassociateAddress',
  ],
  sysadmin: [
    'GetConsoleOutput',
    'CreateVolume',
    'DeleteVolume',
    'AttachVolume',
    'DetachVolume',
    'RunInstances',
    'TerminateInstances',
    'RebootInstances',
    'StartInstances',
    'StopInstances',
    'DeregisterImage',
    'ModifyImageAttribute',
  ],
};

describe('EC2 actions', () => {
  const actions = cloudActions();
  const rolesOf = (name: string): readonly Role[] | 'all' | undefined => actions.get(name)?.roles;

  it('are for the roles of 2011.3', () => {
    for (const name of expected[everybody]!) expect(rolesOf(name), name).to.equal('all');
    for (const name of expected['netadmin']!) expect(rolesOf(name), name).to.deep.equal(netadmin);
    for (const name of expected['sysadmin']!) {
      expect([...(rolesOf(name) as readonly string[])].sort(), name).to.deep.equal(sysadmin);
    }
    expect([...(rolesOf('DescribeVolumes') as readonly string[])].sort()).to.deep.equal(sysadmin);
  });

  it('have names which are XML names', () => {
    expect(actions.size).to.be.above(60);
    for (const name of actions.keys()) expect(name).to.match(/^[A-Z][A-Za-z0-9]+$/);
  });

  it('are declared once', () => {
    const table = { DescribeKeyPairs: actions.get('DescribeKeyPairs')! };
    expect(() => mergeActions([table, table])).to.throw('DescribeKeyPairs is declared twice');
  });

  it('are named as Python names their methods', () => {
    const names: Readonly<Record<string, string>> = {
      InstanceId: 'instance_id',
      DescribeInstancesV6: 'describe_instances_v6',
      GenerateX509ForUser: 'generate_x509_for_user',
      CidrIp: 'cidr_ip',
      DescribeVpns: 'describe_vpns',
      DescribeVPNs: 'describe_vp_ns',
      describe_instances: 'describe_instances',
    };
    for (const [name, method] of Object.entries(names)) expect(underscored(name)).to.equal(method);
    const table = new ActionTable(actions);
    expect(table.find('describe_key_pairs')?.roles).to.deep.equal([]);
    expect(table.find('describekeypairs')).to.equal(undefined);
  });
});
