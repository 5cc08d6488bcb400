import { expect } from 'chai';
import { SimulatedCloud } from '../../../simulate/cloud.js';
import { problemsOf } from '../../../simulate/invariants/index.js';
import { planOf } from '../../../simulate/plan.js';
import { SimulatedUsers } from '../../../simulate/users/users.js';

/** What is done to the rows of a cloud which is well, how it is taken back, and what must be noticed. */
const damages: readonly (readonly [change: string, back: string, noticed: RegExp])[] = [
  [
    "UPDATE instances SET task_state = 'spawning' WHERE id = 1",
    'UPDATE instances SET task_state = NULL WHERE id = 1',
    /^instances at rest: instance 1 .*active\/spawning.* is not at rest$/,
  ],
  [
    "UPDATE instances SET vm_state = 'error' WHERE id = 1",
    "UPDATE instances SET vm_state = 'active' WHERE id = 1",
    /^instances at rest: instance 1 .* is in error without a reason$/,
  ],
  [
    "UPDATE instances SET host = 'cloud9' WHERE id = 1",
    "UPDATE instances SET host = 'cloud1' WHERE id = 1",
    /^machines as the database says: machine instance-00000001 on cloud1 .* is not where its row says/,
  ],
  [
    'UPDATE instances SET power_state = 4 WHERE id = 1',
    'UPDATE instances SET power_state = 1 WHERE id = 1',
    /has another power state than its machine$/,
  ],
  [
    'UPDATE fixed_ips SET instance_id = 4711 WHERE instance_id = 1',
    'UPDATE fixed_ips SET instance_id = 1 WHERE instance_id = 4711',
    /^fixed addresses: fixed address 10\.0\.0\.\d+ .* belongs to an instance which is gone$/,
  ],
  [
    'UPDATE floating_ips SET fixed_ip_id = NULL WHERE id = 1',
    'UPDATE floating_ips SET fixed_ip_id = (SELECT id FROM fixed_ips WHERE instance_id = 1) WHERE id = 1',
    /^floating addresses: cloud1 forwards 4\.4\.4\.1 to 10\.0\.0\.\d+, which should be nowhere$/,
  ],
  [
    "UPDATE volumes SET status = 'available' WHERE id = 1",
    "UPDATE volumes SET status = 'in-use' WHERE id = 1",
    /^volume states: volume 1 .* contradicts itself$/,
  ],
  [
    "UPDATE volumes SET mountpoint = '/dev/vdx' WHERE id = 1",
    "UPDATE volumes SET mountpoint = '/dev/vdb' WHERE id = 1",
    /^disks: instance-00000001 on cloud1 has the disks \[\/dev\/vdb 1\] and should have \[\/dev\/vdx 1\]$/,
  ],
  [
    'UPDATE iscsi_targets SET volume_id = NULL WHERE volume_id = 1',
    'UPDATE iscsi_targets SET volume_id = 1 WHERE target_num = 1',
    /^exports: volume 1 .* is exported as 1 and its target is undefined$/,
  ],
  [
    'UPDATE instances SET vcpus = 90 WHERE id = 1',
    'UPDATE instances SET vcpus = 1 WHERE id = 1',
    /^quotas: project red has 90 cores, and may have 8$/,
  ],
  [
    "UPDATE security_group_rules SET cidr = '10.9.0.0/16'",
    "UPDATE security_group_rules SET cidr = '0.0.0.0/0'",
    /^packet filters: instance-00000001 on cloud1 lets in \[tcp 22-22 from 0\.0\.0\.0\/0\] and should/,
  ],
];

describe('the invariants of the simulation', () => {
  it('hold of a cloud which is well, and notice each kind of damage', async () => {
    const setting = { ...planOf(1, 1).setting, computeHosts: 1, volumeHosts: 1, networkHosts: 1 };
    const cloud = new SimulatedCloud({
      seed: 1,
      setting: { ...setting, networkManager: 'FlatManager', networkSize: 16, spawnMs: 1 },
    });
    const life = async (): Promise<void> => {
      await cloud.start();
      const users = new SimulatedUsers(cloud);
      const ask = async (action: string, parameters: Record<string, string | number> = {}): Promise<void> => {
        expect((await users.call(0, action, parameters))?.code, action).to.equal(undefined);
        await cloud.world.sleep(3000);
      };
      const rule = { GroupName: 'default', IpProtocol: 'tcp', FromPort: 22, ToPort: 22, CidrIp: '0.0.0.0/0' };
      await ask('AuthorizeSecurityGroupIngress', rule);
      await ask('RunInstances', { ImageId: 'ami-00000001', MinCount: 1, MaxCount: 1, InstanceType: 'm1.tiny' });
      await ask('CreateVolume', { Size: 1, AvailabilityZone: 'nova' });
      await ask('AttachVolume', { VolumeId: 'vol-00000001', InstanceId: 'i-00000001', Device: '/dev/vdb' });
      await ask('AllocateAddress');
      await ask('AssociateAddress', { PublicIp: '4.4.4.1', InstanceId: 'i-00000001' });
      expect(await problemsOf(cloud, users, false)).to.deep.equal([]);
      expect((await problemsOf(cloud, users, true)).join('\n')).to.match(/^nothing left: instance 1 is left/);
      for (const [change, back, noticed] of damages) {
        await cloud.db.run(change);
        const problems = await problemsOf(cloud, users, false);
        expect(
          problems.some((problem) => noticed.test(problem)),
          `${change}\n${problems.join('\n')}`,
        ).to.equal(true);
        await cloud.db.run(back);
      }
      expect(await problemsOf(cloud, users, false)).to.deep.equal([]);
    };
    try {
      await cloud.world.run(life());
    } finally {
      await cloud.close();
    }
  });
});
