import { expect } from 'chai';
import type { Context } from '../../../common/context.js';
import { changeInstance } from '../../../common/db/instances.js';
import { rulesCloud, type RulesCloud } from '../../support/cloudRules.js';
import {
  code,
  instanceRow,
  one,
  recordedMessage,
  recordedMessages,
  recordedRow,
  runOne,
  sent,
} from '../../support/instanceRules.js';

describe('rules about instances', () => {
  let rules: RulesCloud;
  const admin = (): Context => rules.context({ userId: 'akey', projectId: 'proj', isAdmin: true });
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

  afterEach(() => rules.close());

  describe('terminate', () => {
    it('tells the host of an instance, again when it is asked again', async () => {
      rules = await rulesCloud();
      const id = await runOne(rules);
      await running(id);
      rules.published.length = 0;
      const change = (await rules.cloud.instances.terminate(rules.context(), [id]))[0]!;
      expect([change.before.task_state, change.after.task_state]).to.deep.equal([null, 'deleting']);
      await rules.cloud.instances.terminate(rules.context(), [id]);
      const recorded = recordedMessage('terminate', 'compute.cloud1');
      expect(
        rules.published.map(({ routingKey, method, args }) => [routingKey, method, Object.keys(args)]),
      ).to.deep.equal(Array(2).fill(['compute.cloud1', recorded['method'], Object.keys(recorded.args)]));
      const row = (await instanceRow(rules, id))!;
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
        const id = await runOne(rules);
        await running(id);
        await changeInstance(rules.db, id, { vm_state: vmState, task_state: 'rebooting' });
        rules.published.length = 0;
        await rules.cloud.instances.terminate(rules.context(), [id]);
        expect(sent(rules, 'terminate_instance'), vmState).to.have.length(1);
        expect((await instanceRow(rules, id))!.task_state, vmState).to.equal('deleting');
      }
    });

    it('deletes at once what is on no host, and its volumes, and then shows it as terminated for a while', async () => {
      rules = await rulesCloud();
      const fields = { project_id: 'demo', size: 1, attach_status: 'detached', host: 'cloud1', status: 'available' };
      const volumeId = await rules.db.insert('volumes', fields);
      const id = await runOne(rules, { blockDevices: [{ deviceName: '/dev/vdc', volumeId }] });
      rules.published.length = 0;
      await rules.cloud.instances.terminate(rules.context(), [id]);
      expect(sent(rules, 'terminate_instance')).to.deep.equal([]);
      const row = (await instanceRow(rules, id))!;
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
      const id = await runOne(rules);
      await running(id);
      const { instances } = rules.cloud;
      expect(await code(instances.terminate(rules.context({ projectId: 'other' }), [id]))).to.equal('InstanceNotFound');
      await changeInstance(rules.db, id, { locked: true });
      expect(await code(instances.terminate(rules.context(), [id]))).to.equal('OperationNotPermitted');
      expect((await instanceRow(rules, id))!.task_state).to.equal(null);
      expect(await code(instances.terminate(admin(), [id]))).to.equal('done');
    });
  });

  describe('stop, start, reboot', () => {
    it('write the recorded state and send the recorded message', async () => {
      rules = await rulesCloud();
      const id = await runOne(rules);
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
        const [recorded] = recordedMessages(flow);
        const wanted = [recorded!.routing_key, recorded!.body['method'], { ...recorded!.body.args, instance_id: id }];
        expect(rules.published.map(({ routingKey, method, args }) => [routingKey, method, args])).to.deep.equal([
          wanted,
          wanted,
        ]);
        const row = (await instanceRow(rules, id))!;
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
      const id = await runOne(rules);
      await running(id);
      await changeInstance(rules.db, id, { vm_state: 'error' });
      await rules.cloud.instances.reboot(rules.context(), [id]);
      const row = (await instanceRow(rules, id))!;
      expect([row.vm_state, row.task_state]).to.deep.equal(['error', 'rebooting']);
      expect(await code(rules.cloud.instances.stop(rules.context(), [id]))).to.equal('IncorrectInstanceState');
    });

    it('take the change back when the host cannot be told', async () => {
      rules = await rulesCloud();
      const id = await runOne(rules);
      await running(id, 'gone');
      for (const operation of ['stop', 'reboot'] as const) {
        expect(await code(rules.cloud.instances[operation](rules.context(), [id]))).to.equal('MessageNotDelivered');
        const row = (await instanceRow(rules, id))!;
        expect([row.vm_state, row.task_state, row.terminated_at]).to.deep.equal(['active', null, null]);
      }
    });

    it('change several at once: none when one is not there, and those before the first in the wrong state', async () => {
      rules = await rulesCloud();
      const ids = [await runOne(rules), await runOne(rules), await runOne(rules), await runOne(rules)];
      for (const id of ids) await running(id);
      await changeInstance(rules.db, ids[2]!, { vm_state: 'paused' });
      rules.published.length = 0;
      const { instances } = rules.cloud;
      const tasks = async (): Promise<unknown> =>
        Promise.all(ids.map(async (id) => (await instanceRow(rules, id))!.task_state));
      expect(await code(instances.stop(rules.context(), [ids[0]!, 4711]))).to.equal('InstanceNotFound');
      expect(await code(instances.terminate(rules.context(), [ids[0]!, 4711]))).to.equal('InstanceNotFound');
      expect(await tasks()).to.deep.equal([null, null, null, null]);
      expect(rules.published).to.deep.equal([]);
      expect(await code(instances.stop(rules.context(), ids))).to.equal('IncorrectInstanceState');
      expect(await tasks()).to.deep.equal(['stopping', 'stopping', null, null]);
      expect(sent(rules, 'stop_instance').map(({ args }) => args['instance_id'])).to.deep.equal(ids.slice(0, 2));
      const changes = await instances.terminate(rules.context(), ids);
      expect(changes.map(({ after }) => [after.id, after.task_state])).to.deep.equal(ids.map((id) => [id, 'deleting']));
      expect(sent(rules, 'terminate_instance').map(({ args }) => args['instance_id'])).to.deep.equal(ids);
    });

    it('refuse what the state does not allow, and change nothing', async () => {
      rules = await rulesCloud();
      const id = await runOne(rules);
      rules.published.length = 0;
      const { instances } = rules.cloud;
      expect(await code(instances.stop(rules.context(), [id]))).to.equal('IncorrectInstanceState');
      expect(await code(instances.start(rules.context(), [id]))).to.equal('IncorrectInstanceState');
      expect(await code(instances.reboot(rules.context(), [id]))).to.equal('IncorrectInstanceState');
      expect(await code(instances.consoleOutput(rules.context(), id))).to.equal('InstanceNotRunning');
      await running(id);
      expect(await code(instances.start(rules.context(), [id]))).to.equal('done');
      expect(rules.published).to.deep.equal([]);
      expect((await instanceRow(rules, id))!.task_state).to.equal(null);
    });
  });

  it('describe shows addresses, groups, volumes, tags and zone of the own project only', async () => {
    rules = await rulesCloud();
    const id = await runOne(rules, { metadata: { role: 'web' } });
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
    const target = { kind: 'instance', id: await runOne(rules) } as const;
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
