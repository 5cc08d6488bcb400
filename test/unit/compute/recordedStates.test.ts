import { expect } from 'chai';
import { readFileSync } from 'node:fs';
import type { RunInstanceArgs } from '../../../common/rpc/compute.js';
import { ComputeWorld, userContext, type SentMessage, type TestCompute } from '../../support/computeWorld.js';
import { delivery } from '../../support/fakeRpc.js';
import { recordings } from '../../support/recordings.js';

type State = { vm_state: string; task_state: string | null; power_state: number; host: string | null };
const read = (path: string): unknown => JSON.parse(readFileSync(new URL(path, recordings), 'utf8'));
const sequences = read('db/state-sequences.json') as Record<string, { instances: Record<string, State[]> }>;

/** The states which nova-compute writes in a recorded flow: after those of the API, which are `before` in number. */
function recorded(flow: string, before: number): unknown[][] {
  const [states] = Object.values(sequences[flow]!.instances);
  return states!.slice(before).map((state) => [state.vm_state, state.task_state, state.power_state, state.host]);
}

/** The messages which nova-compute sends in a recorded flow, as kind, routing key, method, argument names. */
function recordedMessages(flow: string, method: string): unknown[] {
  type Message = { exchange: string; routing_key: string; body: Record<string, unknown> };
  const all = read(`amqp/flows/${flow}.json`) as Message[];
  const start = all.findIndex(
    (message) => message.routing_key === 'compute.cloud1' && message.body['method'] === method,
  );
  return all
    .slice(start + 1)
    .filter((message) => message.exchange === 'nova' && message.body['method'] !== 'set_network_host')
    .map((message) => [
      '_msg_id' in message.body ? 'call' : message.routing_key.startsWith('notif') ? 'notify' : 'cast',
      message.routing_key,
      message.body['method'] ?? message.body['event_type'],
      Object.keys((message.body['args'] ?? message.body['payload']) as object).sort(),
    ]);
}

function shapes(messages: readonly SentMessage[]): unknown[] {
  return messages.map(({ kind, routingKey, method, args }) => [
    kind,
    routingKey,
    method,
    Object.keys(kind === 'notify' ? (args['payload'] as object) : args).sort(),
  ]);
}
const withoutNotifications = (messages: readonly SentMessage[]): SentMessage[] =>
  messages.filter((message) => message.kind !== 'notify');

describe('nova-compute beside the recordings of 2011.3', () => {
  let world: ComputeWorld;
  let compute: TestCompute;
  const context = userContext();
  const wish = (id: number): RunInstanceArgs => ({
    instance_id: id,
    requested_networks: null,
    availability_zone: null,
    admin_password: null,
    injected_files: null,
  });

  before(async () => {
    world = await ComputeWorld.create();
    compute = await world.compute('cloud1');
  });

  async function running(): Promise<number> {
    const id = await world.instance();
    await compute.manager.handlers.run_instance(context, wish(id), delivery());
    await world.db.run('DELETE FROM test_states');
    world.sent.length = 0;
    return id;
  }

  it('runs an instance through the recorded states, messages and payload', async () => {
    const id = await world.instance();
    const receipt = delivery();
    await compute.manager.handlers.run_instance(context, wish(id), receipt);
    expect(receipt.accepted).to.equal(true);
    expect(await world.states(id)).to.deep.equal(recorded('run_instances_1', 2));
    expect(shapes(world.sent)).to.deep.equal(recordedMessages('run_instances_non_admin', 'run_instance'));
    expect(world.sent[0]!.args).to.deep.equal({
      instance_id: id,
      project_id: 'acme',
      host: 'cloud1',
      instance_type_id: 2,
      vpn: false,
      requested_networks: null,
    });
    expect(world.sent[1]!.args['payload']).to.include({ instance_id: id, instance_type: 'm1.tiny', launched_at: '' });
    const row = await world.row(id);
    expect(row).to.include({ launched_on: 'cloud1', power_state: 1 });
    expect(row.launched_at).to.be.a('string');
  });

  it('terminates', async () => {
    const id = await running();
    await world.api(id, { task_state: 'deleting' });
    await compute.manager.handlers.terminate_instance(context, { instance_id: id }, delivery());
    expect(await world.states(id)).to.deep.equal(recorded('terminate', 1));
    expect(shapes(world.sent)).to.deep.equal(recordedMessages('terminate_non_admin', 'terminate_instance'));
    expect(await world.row(id)).to.include({ deleted: true, power_state: 1 });
    expect((await world.row(id)).terminated_at).to.be.a('string');
    const groups = await world.db.all<{ deleted: boolean }>(
      'SELECT deleted FROM security_group_instance_association WHERE instance_id = ?',
      [id],
    );
    expect(groups).to.deep.equal([{ deleted: true }]);
    expect(await compute.driver.info(`instance-${id.toString(16).padStart(8, '0')}`)).to.equal(undefined);
    expect(world.network.addresses.has(id)).to.equal(false);
  });

  /** A nova-network of 2011.3 stops half-way when the row is gone, and one that is late takes a start's addresses away. */
  it('is neither stopped nor gone before nova-network has freed its interfaces', async () => {
    for (const [method, task] of [
      ['stop_instance', 'stopping'],
      ['terminate_instance', 'deleting'],
    ] as const) {
      const id = await running();
      const address = `02:16:3e:00:00:${id.toString(16).padStart(2, '0')}`;
      const vif = await world.db.insert('virtual_interfaces', { address, instance_id: id });
      await world.api(id, { task_state: task });
      const name = `instance-${id.toString(16).padStart(8, '0')}`;
      const work = compute.manager.handlers[method](context, { instance_id: id }, delivery());
      while ((await compute.driver.info(name)) !== undefined) await compute.runtime.sleep(1);
      await compute.runtime.sleep(20);
      expect(await world.row(id)).to.include({ task_state: task, deleted: false });
      await world.db.run('DELETE FROM virtual_interfaces WHERE id = ?', [vif]);
      await work;
      expect(await world.row(id)).to.not.include({ task_state: task });
    }
  });

  it('stops, and starts again', async () => {
    const id = await running();
    await world.api(id, { task_state: 'stopping' });
    await compute.manager.handlers.stop_instance(context, { instance_id: id }, delivery());
    expect(await world.states(id)).to.deep.equal(recorded('stop_instances', 1));
    expect(shapes(withoutNotifications(world.sent))).to.deep.equal(recordedMessages('stop_instances', 'stop_instance'));

    world.sent.length = 0;
    await world.db.run('DELETE FROM test_states');
    await world.api(id, { task_state: 'starting' });
    await compute.manager.handlers.start_instance(context, { instance_id: id }, delivery());
    expect(await world.states(id)).to.deep.equal(recorded('start_instances', 1));
    expect(shapes(withoutNotifications(world.sent))).to.deep.equal(
      recordedMessages('start_instances', 'start_instance'),
    );
  });

  it('reboots, and shows the second boot on the console', async () => {
    const id = await running();
    await world.api(id, { task_state: 'rebooting' });
    await compute.manager.handlers.reboot_instance(context, { instance_id: id }, delivery());
    expect(await world.states(id)).to.deep.equal(recorded('reboot', 1));
    expect(shapes(world.sent)).to.deep.equal(recordedMessages('reboot', 'reboot_instance'));
    const output = await compute.manager.handlers.get_console_output(context, { instance_id: id }, delivery());
    expect(output)
      .to.match(/^FAKE CONSOLE\?OUTPUT\n/)
      .and.to.contain('boot 2');
  });

  it('attaches and detaches a volume, writing the recorded columns', async () => {
    const id = await running();
    const volumeId = await world.volume();
    const args = { instance_id: id, volume_id: volumeId, mountpoint: '/dev/vdb' };
    await compute.manager.handlers.attach_volume(context, args, delivery());
    expect(await world.volumeRow(volumeId)).to.include({
      status: 'in-use',
      attach_status: 'attached',
      mountpoint: '/dev/vdb',
      instance_id: id,
    });
    expect(await world.mappings(id)).to.deep.equal([
      { device_name: '/dev/vdb', volume_id: volumeId, delete_on_termination: false },
    ]);
    expect(world.sent).to.deep.equal([]);

    const receipt = delivery();
    await compute.manager.handlers.detach_volume(context, args, receipt);
    expect(receipt.accepted).to.equal(true);
    expect(await world.volumeRow(volumeId)).to.include({
      status: 'available',
      attach_status: 'detached',
      mountpoint: null,
      instance_id: null,
    });
    expect(await world.mappings(id)).to.deep.equal([]);
    expect(world.sent).to.deep.equal([]);
  });

  it('attaches mapped volumes at run, and deletes those which go with the instance', async () => {
    const id = await world.instance();
    const volumeId = await world.volume({ host: 'cloud1' });
    await world.db.insert('block_device_mapping', {
      instance_id: id,
      device_name: '/dev/vdc',
      delete_on_termination: true,
      volume_id: volumeId,
    });
    await world.db.run('DELETE FROM test_states');
    world.sent.length = 0;
    await compute.manager.handlers.run_instance(context, wish(id), delivery());
    expect(await world.volumeRow(volumeId)).to.include({ status: 'in-use', mountpoint: '/dev/vdc', instance_id: id });
    await world.api(id, { task_state: 'deleting' });
    await compute.manager.handlers.terminate_instance(context, { instance_id: id }, delivery());
    expect(await world.states(id)).to.deep.equal(recorded('run_instances_bdm', 2));
    const messages = withoutNotifications(world.sent).map(({ kind, routingKey, method }) => [kind, routingKey, method]);
    const recordedOnes = recordedMessages('run_instances_bdm', 'run_instance') as unknown[][];
    expect(messages).to.deep.equal(
      recordedOnes.filter((message) => message[2] !== 'terminate_instance').map((message) => message.slice(0, 3)),
    );
    expect(await world.volumeRow(volumeId)).to.include({ status: 'deleting', attach_status: 'detached' });
    expect(await world.mappings(id)).to.deep.equal([]);
  });

  it('announces its host when it starts', async () => {
    const starting = world.newCompute('cloud1');
    world.sent.length = 0;
    await starting.manager.updateAvailableResource(context);
    const [message] = read('amqp/flows/periodic.json') as [{ body: Record<string, unknown> }];
    expect(world.sent).to.deep.equal([
      { kind: 'fanout', routingKey: 'scheduler_fanout', method: message.body['method'], args: message.body['args'] },
    ]);
  });

  it('publishes capabilities from the second tick on, after reading them in the first', async () => {
    world.sent.length = 0;
    const tick = async (): Promise<void> => {
      for (const task of compute.manager.periodicTasks) await task.run(context);
    };
    await tick();
    expect(world.sent).to.deep.equal([]);
    await tick();
    const [message] = read('amqp/flows/periodic.json') as [{ exchange: string; body: Record<string, unknown> }];
    expect(world.sent).to.deep.equal([
      { kind: 'fanout', routingKey: message.exchange, method: message.body['method'], args: message.body['args'] },
    ]);
  });
});
