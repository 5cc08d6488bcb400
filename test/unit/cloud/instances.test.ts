import { readFileSync } from 'node:fs';
import { expect } from 'chai';
import type { LaunchWish } from '../../../common/cloud/launch.js';
import type { Context } from '../../../common/context.js';
import { changeInstance, findInstance } from '../../../common/db/instances.js';
import type { BlockDeviceMappingRow, InstanceRow } from '../../../common/db/rows.js';
import { anImage, rulesCloud, type Published, type RulesCloud } from '../../support/cloudRules.js';
import { recordings } from '../../support/recordings.js';

interface Write {
  op: string;
  table: string;
  set: Record<string, unknown>;
}
interface Recorded {
  routing_key: string;
  body: Record<string, unknown> & { args: Record<string, unknown> };
}

function recording<T>(path: string): T {
  return JSON.parse(readFileSync(new URL(path, recordings), 'utf8')) as T;
}
/** The first message of a recorded flow with this routing key. */
function recordedMessage(flow: string, routingKey: string): Recorded['body'] {
  return recording<Recorded[]>(`amqp/flows/${flow}.json`).find((message) => message.routing_key === routingKey)!.body;
}
/** What nova-api of the original wrote of one table: the writes before the first one of another daemon. */
function recordedRow(flow: string, table: string, writes: number): Record<string, unknown> {
  const rows = recording<Write[]>(`db/writes/${flow}.json`)
    .filter((write) => write.table === table)
    .slice(0, writes);
  return Object.assign({}, ...rows.map((write) => write.set)) as Record<string, unknown>;
}

const one: LaunchWish = { image: 'ami-00000001', instanceType: 'm1.tiny', securityGroups: [], blockDevices: [] };
/** Columns which differ from run to run. */
const varying = ['created_at', 'updated_at', 'deleted_at', 'reservation_id', 'uuid', 'key_data', 'launch_time'];
function comparable(object: object, without: readonly string[] = varying): Record<string, unknown> {
  return Object.fromEntries(Object.entries(object).filter(([key]) => !without.includes(key)));
}
function notNull(row: object): Record<string, unknown> {
  return Object.fromEntries(Object.entries(row).filter(([, value]) => value !== null));
}
/** What nova-api of the original would have answered to. */
async function code(work: Promise<unknown>): Promise<string> {
  try {
    await work;
    return 'done';
  } catch (error) {
    return (error as { code?: string }).code ?? (error as Error).name;
  }
}

describe('rules about instances', () => {
  let rules: RulesCloud;
  const admin = (): Context => rules.context({ userId: 'akey', projectId: 'proj', isAdmin: true });
  const instance = (id: number): Promise<InstanceRow | undefined> => findInstance(rules.db, id, { deleted: 'any' });
  const casts = (method: string): Published[] => rules.published.filter((message) => message.method === method);
  /** As nova-compute leaves an instance which runs. */
  async function running(id: number, host = 'cloud1'): Promise<void> {
    await changeInstance(rules.db, id, {
      vm_state: 'active',
      task_state: null,
      host,
      launched_on: host,
      power_state: 1,
    });
  }
  async function runOne(wish: Partial<LaunchWish> = {}): Promise<number> {
    const { instances } = await rules.cloud.instances.run(rules.context(), { ...one, ...wish });
    return instances[0]!.row.id;
  }

  afterEach(() => rules.close());

  describe('run', () => {
    it('writes the rows and sends the message of the recording', async () => {
      rules = await rulesCloud();
      await rules.db.insert('key_pairs', { name: 'k1', user_id: 'akey', fingerprint: 'f', public_key: 'ssh-rsa AAAA' });
      const { instances, reservationId } = await rules.cloud.instances.run(admin(), { ...one, keyName: 'k1' });

      expect(reservationId).to.match(/^r-[0-9a-z]{8}$/);
      expect(instances.map((view) => view.row.id)).to.deep.equal([1]);
      const row = await instance(1);
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
      await runOne({ blockDevices: [{ ...device, volumeId: mine }] });
      const [mapping] = await rules.db.all<BlockDeviceMappingRow>('SELECT * FROM block_device_mapping');
      const ids = [...varying, 'id', 'instance_id'];
      expect(comparable(notNull(mapping!), ids)).to.deep.equal(
        comparable(recordedRow('run_instances_bdm', 'block_device_mapping', 1), ids),
      );
      expect(await code(runOne({ blockDevices: [{ ...device, volumeId: foreign }] }))).to.equal('VolumeNotFound');
      expect(await code(runOne({ blockDevices: [{ ...device, snapshotId: 7 }] }))).to.equal('SnapshotNotFound');
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
      await runOne();
      await runOne({ kernel: 'nokernel' });
      await runOne({ kernel: 'aki-00000002', ramdisk: 'nokernel' });
      const rows = await rules.db.all<InstanceRow>('SELECT kernel_id, ramdisk_id FROM instances ORDER BY id');
      expect(rows.map((row) => [row.kernel_id, row.ramdisk_id])).to.deep.equal([
        ['2', '3'],
        ['', ''],
        ['2', ''],
      ]);
      expect(await code(runOne({ ramdisk: 'ami-00000003' }))).to.equal('ImageNotFound');
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
        ].map((wish) => code(runOne(wish))),
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
      const id = await runOne();
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
      expect(casts('run_instance')).to.have.length(1);
      expect(await code(rules.cloud.instances.run(rules.context(), { ...wish, maxCount: 2 }))).to.equal(
        'IdempotentParameterMismatch',
      );
      const other = rules.context({ projectId: 'other' });
      expect((await rules.cloud.instances.run(other, wish)).instances[0]!.row.id).to.equal(2);
    });
  });

  describe('terminate', () => {
    it('tells the host of an instance, again when it is asked again', async () => {
      rules = await rulesCloud();
      const id = await runOne();
      await running(id);
      rules.published.length = 0;
      const change = (await rules.cloud.instances.terminate(rules.context(), [id]))[0]!;
      expect([change.before.task_state, change.after.task_state]).to.deep.equal([null, 'deleting']);
      await rules.cloud.instances.terminate(rules.context(), [id]);
      const recorded = recordedMessage('terminate', 'compute.cloud1');
      expect(
        rules.published.map(({ routingKey, method, args }) => [routingKey, method, Object.keys(args)]),
      ).to.deep.equal(Array(2).fill(['compute.cloud1', recorded['method'], Object.keys(recorded.args)]));
      const row = (await instance(id))!;
      expect([row.vm_state, row.task_state, row.deleted]).to.deep.equal(['active', 'deleting', false]);
    });

    it('tells the host whatever state the instance is in', async () => {
      rules = await rulesCloud();
      const states = [
        'active',
        'paused',
        'suspended',
        'rescued',
        'stopped',
        'error',
        'building',
        'resizing',
        'migrating',
      ];
      for (const vmState of states) {
        const id = await runOne();
        await running(id);
        await changeInstance(rules.db, id, { vm_state: vmState, task_state: 'rebooting' });
        rules.published.length = 0;
        await rules.cloud.instances.terminate(rules.context(), [id]);
        expect(casts('terminate_instance'), vmState).to.have.length(1);
        expect((await instance(id))!.task_state, vmState).to.equal('deleting');
      }
    });

    it('deletes at once what is on no host, and its volumes, and then shows it as terminated for a while', async () => {
      rules = await rulesCloud();
      const fields = { project_id: 'demo', size: 1, attach_status: 'detached', host: 'cloud1', status: 'available' };
      const volumeId = await rules.db.insert('volumes', fields);
      const id = await runOne({ blockDevices: [{ deviceName: '/dev/vdc', volumeId }] });
      rules.published.length = 0;
      await rules.cloud.instances.terminate(rules.context(), [id]);
      expect(casts('terminate_instance')).to.deep.equal([]);
      const row = (await instance(id))!;
      expect([row.deleted, row.vm_state, row.task_state, row.terminated_at]).to.deep.equal([
        true,
        'building',
        'deleting',
        null,
      ]);
      const left = await rules.db.all(
        'SELECT id FROM security_group_instance_association WHERE deleted = ? UNION ALL SELECT id FROM block_device_mapping WHERE deleted = ?',
        [false, false],
      );
      expect(left).to.deep.equal([]);
      const volume = await rules.db.first<{ status: string }>('SELECT status FROM volumes WHERE id = ?', [volumeId]);
      expect(volume).to.deep.equal({ status: 'deleting' });

      expect(await rules.cloud.instances.describe(rules.context())).to.deep.equal([]);
      expect(await rules.cloud.instances.describe(rules.context(), { ids: [id] })).to.have.length(1);
      expect((await rules.cloud.instances.terminate(rules.context(), [id]))[0]!.after.deleted).to.equal(true);
      await rules.db.update('instances', { deleted_at: '2011-01-01 00:00:00' }, 'id = ?', [id]);
      expect(await rules.cloud.instances.describe(rules.context(), { ids: [id] })).to.deep.equal([]);
      expect(await code(rules.cloud.instances.terminate(rules.context(), [id]))).to.equal('InstanceNotFound');
    });

    it("leaves other projects' instances alone, and locked ones to administrators", async () => {
      rules = await rulesCloud();
      const id = await runOne();
      await running(id);
      const { instances } = rules.cloud;
      expect(await code(instances.terminate(rules.context({ projectId: 'other' }), [id]))).to.equal('InstanceNotFound');
      await changeInstance(rules.db, id, { locked: true });
      expect(await code(instances.terminate(rules.context(), [id]))).to.equal('OperationNotPermitted');
      expect((await instance(id))!.task_state).to.equal(null);
      expect(await code(instances.terminate(admin(), [id]))).to.equal('done');
    });
  });

  describe('stop, start, reboot', () => {
    it('write the recorded state and send the recorded message', async () => {
      rules = await rulesCloud();
      const id = await runOne();
      for (const [flow, state, operation] of [
        ['stop_instances', 'active', 'stop'],
        ['start_instances', 'stopped', 'start'],
        ['reboot', 'active', 'reboot'],
      ] as const) {
        await running(id);
        await changeInstance(rules.db, id, { vm_state: state });
        rules.published.length = 0;
        await rules.cloud.instances[operation](rules.context(), [id]);
        await rules.cloud.instances[operation](rules.context(), [id]);
        const [recorded] = recording<Recorded[]>(`amqp/flows/${flow}.json`);
        const wanted = [recorded!.routing_key, recorded!.body['method'], { ...recorded!.body.args, instance_id: id }];
        expect(rules.published.map(({ routingKey, method, args }) => [routingKey, method, args])).to.deep.equal([
          wanted,
          wanted,
        ]);
        const row = (await instance(id))!;
        const set = recordedRow(flow, 'instances', 1);
        expect([row.vm_state, row.task_state, row.terminated_at !== null]).to.deep.equal([
          state,
          set['task_state'],
          'terminated_at' in set || flow !== 'stop_instances',
        ]);
      }
    });

    it('leave an instance in error which is to be rebooted, until it runs', async () => {
      rules = await rulesCloud();
      const id = await runOne();
      await running(id);
      await changeInstance(rules.db, id, { vm_state: 'error' });
      await rules.cloud.instances.reboot(rules.context(), [id]);
      const row = (await instance(id))!;
      expect([row.vm_state, row.task_state]).to.deep.equal(['error', 'rebooting']);
      expect(await code(rules.cloud.instances.stop(rules.context(), [id]))).to.equal('IncorrectInstanceState');
    });

    it('take the change back when the host cannot be told', async () => {
      rules = await rulesCloud();
      const id = await runOne();
      await running(id, 'gone');
      for (const operation of ['stop', 'reboot'] as const) {
        expect(await code(rules.cloud.instances[operation](rules.context(), [id]))).to.equal('MessageNotDelivered');
        const row = (await instance(id))!;
        expect([row.vm_state, row.task_state, row.terminated_at]).to.deep.equal(['active', null, null]);
      }
    });

    it('change several at once: none when one is not there, and those before the first in the wrong state', async () => {
      rules = await rulesCloud();
      const ids = [await runOne(), await runOne(), await runOne(), await runOne()];
      for (const id of ids) await running(id);
      await changeInstance(rules.db, ids[2]!, { vm_state: 'paused' });
      rules.published.length = 0;
      const { instances } = rules.cloud;
      const tasks = async (): Promise<unknown> => Promise.all(ids.map(async (id) => (await instance(id))!.task_state));
      expect(await code(instances.stop(rules.context(), [ids[0]!, 4711]))).to.equal('InstanceNotFound');
      expect(await code(instances.terminate(rules.context(), [ids[0]!, 4711]))).to.equal('InstanceNotFound');
      expect(await tasks()).to.deep.equal([null, null, null, null]);
      expect(rules.published).to.deep.equal([]);
      expect(await code(instances.stop(rules.context(), ids))).to.equal('IncorrectInstanceState');
      expect(await tasks()).to.deep.equal(['stopping', 'stopping', null, null]);
      expect(casts('stop_instance').map(({ args }) => args['instance_id'])).to.deep.equal(ids.slice(0, 2));
      const changes = await instances.terminate(rules.context(), ids);
      expect(changes.map(({ after }) => [after.id, after.task_state])).to.deep.equal(ids.map((id) => [id, 'deleting']));
      expect(casts('terminate_instance').map(({ args }) => args['instance_id'])).to.deep.equal(ids);
    });

    it('refuse what the state does not allow, and change nothing', async () => {
      rules = await rulesCloud();
      const id = await runOne();
      rules.published.length = 0;
      const { instances } = rules.cloud;
      expect(await code(instances.stop(rules.context(), [id]))).to.equal('IncorrectInstanceState');
      expect(await code(instances.start(rules.context(), [id]))).to.equal('IncorrectInstanceState');
      expect(await code(instances.reboot(rules.context(), [id]))).to.equal('IncorrectInstanceState');
      expect(await code(instances.consoleOutput(rules.context(), id))).to.equal('InstanceNotRunning');
      await running(id);
      expect(await code(instances.start(rules.context(), [id]))).to.equal('done');
      expect(rules.published).to.deep.equal([]);
      expect((await instance(id))!.task_state).to.equal(null);
    });
  });

  it('describe shows addresses, groups, volumes, tags and zone of the own project only', async () => {
    rules = await rulesCloud();
    const id = await runOne({ metadata: { role: 'web' } });
    await running(id);
    const { db } = rules;
    await db.insert('services', {
      host: 'cloud1',
      binary: 'nova-compute',
      topic: 'compute',
      availability_zone: 'az1',
      report_count: 0,
    });
    const fixed = await db.insert('fixed_ips', { address: '10.0.0.2', instance_id: id, allocated: true });
    await db.insert('floating_ips', {
      address: '1.2.3.4',
      fixed_ip_id: fixed,
      project_id: 'demo',
      auto_assigned: false,
    });
    const volumeId = await db.insert('volumes', { project_id: 'demo', size: 1, status: 'in-use', instance_id: id });
    await db.insert('block_device_mapping', { instance_id: id, device_name: '/dev/vdb', volume_id: volumeId });
    await rules.cloud.instances.run(rules.context({ projectId: 'other' }), one);

    const [view, ...rest] = await rules.cloud.instances.describe(rules.context());
    expect(rest).to.deep.equal([]);
    expect(view).to.deep.include({
      typeName: 'm1.tiny',
      fixedIps: [{ address: '10.0.0.2', floating: ['1.2.3.4'] }],
      groups: [{ id: 1, name: 'default' }],
      metadata: [{ key: 'role', value: 'web' }],
      zone: 'az1',
      errorReason: null,
    });
    expect(view!.volumes).to.deep.equal([
      { deviceName: '/dev/vdb', volumeId, deleteOnTermination: false, status: 'in-use', attachTime: null },
    ]);
    expect(await rules.cloud.instances.describe(admin())).to.have.length(2);
    expect(await rules.cloud.instances.describe(rules.context(), { ids: [2, 999] })).to.deep.equal([]);
  });

  it('tags: sets, replaces, lists and removes those of the own project', async () => {
    rules = await rulesCloud({ flags: { quota_metadata_items: 2 } });
    const target = { kind: 'instance', id: await runOne() } as const;
    const { tags } = rules.cloud;
    await tags.set(rules.context(), [target], { a: '1', b: '2' });
    await tags.set(rules.context(), [target], { a: '3' });
    expect(await code(tags.set(rules.context(), [target], { c: '1' }))).to.equal('MetadataLimitExceeded');
    expect(await code(tags.set(rules.context({ projectId: 'other' }), [target], { a: '9' }))).to.equal(
      'InstanceNotFound',
    );
    await tags.remove(rules.context(), [target], [{ key: 'a', value: 'other' }, { key: 'b' }]);
    expect(await tags.list(rules.context())).to.deep.equal([{ ...target, key: 'a', value: '3' }]);
    expect(await tags.list(rules.context({ projectId: 'other' }))).to.deep.equal([]);
  });
});
