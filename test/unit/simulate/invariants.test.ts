import { expect } from 'chai';
import type { FakeMachine } from '../../../nova-compute/virt/fake/machineFile.js';
import { SimulatedCloud } from '../../../simulate/cloud.js';
import type { SimulatedHost } from '../../../simulate/host.js';
import { problemsOf } from '../../../simulate/invariants/index.js';
import { planOf } from '../../../simulate/plan.js';
import { SimulatedUsers } from '../../../simulate/users/users.js';

/** A change of rows, or of what hosts hold. */
type Change = string | ((host: SimulatedHost) => unknown);

const machineFile = '/nova/fake/cloud1/instance-00000001.json';
let keptFile = '';

/** Changes what the hypervisor knows of the machine. */
function inMachine(values: Partial<FakeMachine>): Change {
  return async ({ files }) => {
    keptFile = await files.read(machineFile);
    await files.writeAtomic(machineFile, JSON.stringify({ ...(JSON.parse(keptFile) as FakeMachine), ...values }));
  };
}

const machineVanishes: Change = async ({ files }) => {
  keptFile = await files.read(machineFile);
  await files.remove(machineFile);
};
const machineBack: Change = ({ files }) => files.writeAtomic(machineFile, keptFile);

let keptFilter = '';
const filterVanishes: Change = ({ filters }) => {
  keptFilter = filters.get('instance-00000001')!;
  filters.delete('instance-00000001');
};
const filterBack: Change = ({ filters }) => filters.set('instance-00000001', keptFilter);

const inVmState = (state: string): Change => `UPDATE instances SET vm_state = '${state}' WHERE id = 1`;
const action = (error: string): Change =>
  `INSERT INTO instance_actions (deleted, instance_id, action, error) VALUES (0, 1, 'damage', ${error})`;
const actionsGone = "DELETE FROM instance_actions WHERE action = 'damage'";
const mapping = (instance: number, volume: number): Change =>
  `INSERT INTO block_device_mapping (deleted, instance_id, volume_id, device_name) VALUES (0, ${instance}, ${volume}, 'damage')`;
const mappingsGone = "DELETE FROM block_device_mapping WHERE device_name = 'damage'";

/** What is done to a cloud which is well, how it is taken back, and what must be noticed. */
const damages: readonly (readonly [change: Change | Change[], back: Change | Change[], noticed: RegExp])[] = [
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
    inMachine({ addresses: [] }),
    machineBack,
    /^fixed addresses: instance-00000001 has the addresses \[\] and should have \[10\.0\.0\.\d+\]$/,
  ],
  [
    [inVmState('rescued'), inMachine({ addresses: ['10.0.0.99'] })],
    [inVmState('active'), machineBack],
    /^fixed addresses: instance-00000001 has the addresses \[10\.0\.0\.99\] and should have/,
  ],
  [
    [inVmState('rescued'), filterVanishes],
    [inVmState('active'), filterBack],
    /^packet filters: instance-00000001 on cloud1 lets in \[anything\]/,
  ],
  [
    ({ filters }) => filters.set('instance-00000009', ''),
    ({ filters }) => filters.delete('instance-00000009'),
    /^packet filters: cloud1 has a filter for instance-00000009, which is not there$/,
  ],
  [
    [action("'once'"), action('NULL'), inVmState('error')],
    [actionsGone, inVmState('active')],
    /^instances at rest: instance 1 .* is in error without a reason$/,
  ],
  [
    [action("'it failed'"), inVmState('error'), machineVanishes],
    [actionsGone, inVmState('active'), machineBack],
    /^machines as the database says: instance 1 .*error.* has lost its machine$/,
  ],
  [
    [action("'it failed'"), 'UPDATE instances SET power_state = 0 WHERE id = 1', inVmState('error')],
    [actionsGone, 'UPDATE instances SET power_state = 1 WHERE id = 1', inVmState('active')],
    /^machines as the database says: instance 1 .*error.* has a machine still$/,
  ],
  [mapping(1, 2), mappingsGone, /^volume states: mapping \d+ of volume 2 to instance 1 contradicts it: volume 2/],
  [mapping(4711, 2), mappingsGone, /^volume states: mapping \d+ of volume 2 to instance 4711, which is gone$/],
  [mapping(1, 4711), mappingsGone, /^volume states: mapping \d+ of volume 4711 .* is of a volume which is gone$/],
  [mapping(1, 1), mappingsGone, /^volume states: mapping \d+ of volume 1 .* is there twice$/],
  [
    'UPDATE iscsi_targets SET volume_id = 1 WHERE target_num = 3',
    'UPDATE iscsi_targets SET volume_id = NULL WHERE target_num = 3',
    /^exports: volume 1 .* has the targets 1,3$/,
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
      await ask('CreateVolume', { Size: 1, AvailabilityZone: 'nova' });
      await ask('AllocateAddress');
      await ask('AssociateAddress', { PublicIp: '4.4.4.1', InstanceId: 'i-00000001' });
      expect(await problemsOf(cloud, users, false)).to.deep.equal([]);
      expect((await problemsOf(cloud, users, true)).join('\n')).to.match(/^nothing left: instance 1 is left/);
      const make = async (changes: Change | Change[]): Promise<void> => {
        for (const change of [changes].flat())
          await (typeof change === 'string' ? cloud.db.run(change) : change(cloud.hosts.get('cloud1')!));
      };
      for (const [change, back, noticed] of damages) {
        await make(change);
        const problems = await problemsOf(cloud, users, false);
        expect(
          problems.some((problem) => noticed.test(problem)),
          `${noticed}\n${problems.join('\n')}`,
        ).to.equal(true);
        await make(back);
        expect(await problemsOf(cloud, users, false), `taken back: ${noticed}`).to.deep.equal([]);
      }
    };
    try {
      await cloud.world.run(life());
    } finally {
      await cloud.close();
    }
  });
});
