import { expect } from 'chai';
import type { Context } from '../../../common/context.js';
import type { BlockDeviceMappingRow, InstanceRow } from '../../../common/db/rows.js';
import { anImage, rulesCloud, type Published, type RulesCloud } from '../../support/cloudRules.js';
import {
  code,
  comparable,
  instanceRow,
  one,
  recordedMessage,
  recordedRow,
  runOne,
  sent,
  varying,
} from '../../support/instanceRules.js';

function notNull(row: object): Record<string, unknown> {
  return Object.fromEntries(Object.entries(row).filter(([, value]) => value !== null));
}

describe('rules about launches', () => {
  let rules: RulesCloud;
  const admin = (): Context => rules.context({ userId: 'akey', projectId: 'proj', isAdmin: true });

  afterEach(() => rules.close());

  describe('run', () => {
    it('writes the rows and sends the message of the recording', async () => {
      rules = await rulesCloud();
      await rules.db.insert('key_pairs', { name: 'k1', user_id: 'akey', fingerprint: 'f', public_key: 'ssh-rsa AAAA' });
      const { instances, reservationId } = await rules.cloud.instances.run(admin(), { ...one, keyName: 'k1' });

      expect(reservationId).to.match(/^r-[0-9a-z]{8}$/);
      expect(instances.map((view) => view.row.id)).to.deep.equal([1]);
      const row = await instanceRow(rules, 1);
      expect(comparable(notNull(row!))).to.deep.equal(comparable(recordedRow('run_instances_1', 'instances', 2)));
      expect(row!.key_data).to.equal('ssh-rsa AAAA');
      const memberships = await rules.db.all<object>('SELECT * FROM security_group_instance_association');
      expect(memberships.map((membership) => comparable(notNull(membership)))).to.deep.equal([
        comparable(recordedRow('run_instances_1', 'security_group_instance_association', 1)),
      ]);

      expect(rules.published.map((message) => message.routingKey)).to.deep.equal(['scheduler']);
      const [{ args, context, method }] = rules.published as [Published];
      const body = recordedMessage('run_instances_1', 'scheduler');
      expect(method).to.equal('run_instance');
      expect(Object.keys(context).sort()).to.deep.equal(
        Object.keys(body)
          .filter((key) => key.startsWith('_context_'))
          .sort(),
      );
      const { request_spec: spec, ...rest } = args as { request_spec: Record<string, Record<string, unknown>> };
      const { request_spec: wanted, ...wantedRest } = body.args as typeof args & { request_spec: typeof spec };
      expect(rest).to.deep.equal(wantedRest);
      expect(comparable(spec['instance_properties']!)).to.deep.equal(comparable(wanted['instance_properties']!));
      expect(spec['instance_properties']!['launch_time']).to.match(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/);
      expect(spec['instance_type']).to.deep.equal(wanted['instance_type']);
      expect(spec['image']).to.include.keys(Object.keys(wanted['image']!));
      expect(spec['image']!['properties']).to.deep.equal(wanted['image']!['properties']);
      expect(comparable(spec, ['image', 'instance_type', 'instance_properties'])).to.deep.equal(
        comparable(wanted, ['image', 'instance_type', 'instance_properties']),
      );
    });

    it('numbers the instances of a reservation and gives each a message of its own', async () => {
      rules = await rulesCloud();
      const { instances } = await rules.cloud.instances.run(rules.context(), { ...one, minCount: 1, maxCount: 3 });
      expect(instances.map(({ row }) => [row.launch_index, row.hostname, row.vm_state, row.task_state])).to.deep.equal([
        [2, 'server-3', 'building', 'scheduling'],
        [1, 'server-2', 'building', 'scheduling'],
        [0, 'server-1', 'building', 'scheduling'],
      ]);
      expect(new Set(instances.map(({ row }) => row.uuid)).size).to.equal(3);
      expect(rules.published.map((message) => message.args['instance_id'])).to.deep.equal([1, 2, 3]);
    });

    it('writes block device mappings as recorded, and refuses the volumes of others', async () => {
      rules = await rulesCloud();
      const volume = (project: string): Promise<number> =>
        rules.db.insert('volumes', { project_id: project, size: 1, status: 'available', attach_status: 'detached' });
      const [mine, foreign] = [await volume('demo'), await volume('other')];
      const device = { deviceName: '/dev/vdc', volumeSize: 1, deleteOnTermination: true };
      await runOne(rules, { blockDevices: [{ ...device, volumeId: mine }] });
      const [mapping] = await rules.db.all<BlockDeviceMappingRow>('SELECT * FROM block_device_mapping');
      const ids = [...varying, 'id', 'instance_id'];
      expect(comparable(notNull(mapping!), ids)).to.deep.equal(
        comparable(recordedRow('run_instances_bdm', 'block_device_mapping', 1), ids),
      );
      expect(await code(runOne(rules, { blockDevices: [{ ...device, volumeId: foreign }] }))).to.equal(
        'VolumeNotFound',
      );
      expect(await code(runOne(rules, { blockDevices: [{ ...device, snapshotId: 7 }] }))).to.equal('SnapshotNotFound');
    });

    it('resolves kernel and ramdisk, of which `nokernel` means none', async () => {
      const properties = { kernel_id: '2', ramdisk_id: '3' };
      rules = await rulesCloud({
        images: [
          anImage({ id: '1', properties }),
          anImage({ id: '2', container_format: 'aki', properties: {} }),
          anImage({ id: '3', container_format: 'ari', properties: {} }),
        ],
      });
      await runOne(rules);
      await runOne(rules, { kernel: 'nokernel' });
      await runOne(rules, { kernel: 'aki-00000002', ramdisk: 'nokernel' });
      const rows = await rules.db.all<InstanceRow>('SELECT kernel_id, ramdisk_id FROM instances ORDER BY id');
      expect(rows.map((row) => [row.kernel_id, row.ramdisk_id])).to.deep.equal([
        ['2', '3'],
        ['', ''],
        ['2', ''],
      ]);
      expect(await code(runOne(rules, { ramdisk: 'ami-00000003' }))).to.equal('ImageNotFound');
    });

    it('makes nothing when something that is named does not exist', async () => {
      rules = await rulesCloud({ images: [anImage({ id: '1' }), anImage({ id: '4', status: 'saving' })] });
      const codes = await Promise.all(
        [
          { image: 'ami-0000002a' },
          { image: 'ami-00000004' },
          { instanceType: 'm1.nano' },
          { keyName: 'nokey' },
          { securityGroups: [{ name: 'nogroup' }] },
          { securityGroups: [{ id: 99 }] },
          { minCount: 3, maxCount: 2 },
          { displayName: 'x'.repeat(256) },
          { userData: '<script>' },
        ].map((wish) => code(runOne(rules, wish))),
      );
      expect(codes).to.deep.equal([
        'ImageNotFound',
        'ApiError',
        'InstanceTypeNotFoundByName',
        'KeypairNotFound',
        'SecurityGroupNotFoundForProject',
        'SecurityGroupNotFound',
        'InvalidParameterCombination',
        'InvalidParameterValue',
        'InvalidUserData.Malformed',
      ]);
      expect(await rules.db.all('SELECT id FROM instances')).to.deep.equal([]);
      expect(rules.published).to.deep.equal([]);
    });

    it('puts an instance of which the scheduler could not be told into error, with the reason', async () => {
      rules = await rulesCloud({ scheduler: false });
      const id = await runOne(rules);
      const [view] = await rules.cloud.instances.describe(rules.context(), { ids: [id] });
      expect([view!.row.vm_state, view!.row.task_state]).to.deep.equal(['error', null]);
      expect(view!.errorReason).to.match(/^The scheduler could not be told of the instance: /);
    });
  });

  describe('quota', () => {
    it('is never exceeded by racing requests', async () => {
      rules = await rulesCloud({ flags: { quota_instances: 5 } });
      const wish = { ...one, minCount: 2, maxCount: 2 };
      const codes = await Promise.all(
        Array.from({ length: 6 }, () => code(rules.cloud.instances.run(rules.context(), wish))),
      );
      expect(codes.sort()).to.deep.equal([...Array<string>(4).fill('InstanceLimitExceeded'), 'done', 'done']);
      expect(await rules.db.all('SELECT id FROM instances')).to.have.length(4);
    });

    it('gives as many as it allows between MinCount and MaxCount, by cores and memory too', async () => {
      rules = await rulesCloud({ flags: { quota_cores: 7, quota_ram: 100_000 } });
      const medium = { ...one, instanceType: 'm1.medium', minCount: 1, maxCount: 9 };
      expect((await rules.cloud.instances.run(rules.context(), medium)).instances).to.have.length(3);
      let text = '';
      await rules.cloud.instances.run(rules.context(), { ...one, minCount: 2, maxCount: 2 }).catch((error: Error) => {
        text = error.message;
      });
      expect(text).to.equal('Instance quota exceeded. You can only run 1 more instances of this type.');
    });

    it("follows a project's own rows, where NULL is no limit", async () => {
      rules = await rulesCloud({ flags: { quota_instances: 1 } });
      await rules.db.insert('quotas', { project_id: 'demo', resource: 'instances', hard_limit: null });
      expect((await rules.cloud.instances.run(rules.context(), { ...one, maxCount: 4 })).instances).to.have.length(4);
      const other = rules.context({ projectId: 'other' });
      expect(await code(rules.cloud.instances.run(other, { ...one, maxCount: 4 }))).to.equal('InstanceLimitExceeded');
    });
  });

  describe('client token', () => {
    it('makes racing and repeated requests one', async () => {
      rules = await rulesCloud();
      const wish = { ...one, clientToken: 'token-1' };
      const answers = await Promise.all([1, 2, 3].map(() => rules.cloud.instances.run(rules.context(), wish)));
      expect(new Set(answers.map((answer) => answer.reservationId)).size).to.equal(1);
      expect(answers.map((answer) => answer.instances.map((view) => view.row.id))).to.deep.equal([[1], [1], [1]]);
      expect(sent(rules, 'run_instance')).to.have.length(1);
      expect(await code(rules.cloud.instances.run(rules.context(), { ...wish, maxCount: 2 }))).to.equal(
        'IdempotentParameterMismatch',
      );
      const other = rules.context({ projectId: 'other' });
      expect((await rules.cloud.instances.run(other, wish)).instances[0]!.row.id).to.equal(2);
    });
  });
});
