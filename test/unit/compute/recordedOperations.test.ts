import { expect } from 'chai';
import { readFileSync } from 'node:fs';
import type { Values } from '../../../common/db/db.js';
import type { ComputeRpc } from '../../../common/rpc/compute.js';
import { powerState } from '../../../nova-compute/virt/driver.js';
import { ComputeWorld, userContext, type TestCompute } from '../../support/computeWorld.js';
import { delivery } from '../../support/fakeRpc.js';
import { recordings } from '../../support/recordings.js';

type State = { vm_state: string; task_state: string | null; host: string };
type Body = { method?: string; args?: Record<string, unknown>; _msg_id?: string };
type Message = { exchange: string; routing_key: string; body: Body };
const read = (path: string): unknown => JSON.parse(readFileSync(new URL(path, recordings), 'utf8'));
const sequences = read('db/state-sequences.json') as Record<string, { instances: Record<string, State[]> }>;
const messagesOf = (flow: string): Message[] =>
  (read(`amqp/flows/${flow}.json`) as Message[]).filter(({ body }) => typeof body.method === 'string');

const context = userContext({ isAdmin: true });
const nameOf = (id: number): string => `instance-${id.toString(16).padStart(8, '0')}`;

describe('operations of nova-compute beside the recordings of 2011.3', () => {
  let world: ComputeWorld;
  let compute: TestCompute;

  before(async () => {
    world = await ComputeWorld.create();
    compute = await world.compute('cloud1');
  });
  afterEach(() => {
    world.images.failure = null;
  });

  async function running(values: Values<'instances'> = {}): Promise<number> {
    const id = await world.instance({ uuid: `00000000-0000-4000-8000-${String(Math.trunc(counter()))}`, ...values });
    await compute.manager.handlers.run_instance(context, { instance_id: id }, delivery());
    await world.db.run('DELETE FROM test_states');
    world.forgetMessages();
    return id;
  }
  let count = 100_000_000_000;
  const counter = (): number => (count += 1);

  /** What the recorded flow says to the compute, said of another instance. */
  async function replay(flow: string, id: number, change: Record<string, unknown> = {}): Promise<unknown> {
    const { body } = messagesOf(flow).find((message) => message.routing_key === 'compute.cloud1')!;
    const handler = compute.manager.handlers[body.method as keyof ComputeRpc] as (...args: unknown[]) => unknown;
    const receipt = delivery();
    const result = await handler(context, { ...body.args, instance_id: String(id), ...change }, receipt);
    return result;
  }

  /** The states which a flow goes through; the power state is the hypervisor's, which really pauses. */
  const recordedStates = (flow: string): unknown[][] =>
    Object.values(sequences[flow]!.instances)[0]!
      .slice(1)
      .map(({ vm_state, task_state, host }) => [vm_state, task_state, host]);
  const states = async (id: number): Promise<unknown[][]> =>
    (await world.states(id)).map(([vm, task, , host]) => [vm, task, host]);

  /** What the compute sends in the recorded flow, after the message which it got. */
  const recordedMessages = (flow: string): unknown[] => {
    const all = messagesOf(flow).filter(({ exchange }) => exchange === 'nova');
    const start = all.findIndex((message) => message.routing_key === 'compute.cloud1');
    return all
      .slice(start + 1)
      .map(({ routing_key, body }) => [body._msg_id ? 'call' : 'cast', routing_key, body.method, keysOf(body.args)]);
  };
  const keysOf = (args: object = {}): string[] => Object.keys(args).sort();
  const sent = (): unknown[] =>
    world.sent
      .filter(({ kind }) => kind !== 'notify')
      .map(({ kind, routingKey, method, args }) => [kind, routingKey, method, keysOf(args)]);

  const flows: readonly [flow: string, before: Values<'instances'>, power: number][] = [
    ['osapi_pause', { task_state: 'pausing' }, powerState.paused],
    ['osapi_unpause', { vm_state: 'paused', task_state: 'unpausing' }, powerState.running],
    ['osapi_suspend', { task_state: 'suspending' }, powerState.suspended],
    ['osapi_resume', { vm_state: 'suspended', task_state: 'resuming' }, powerState.running],
    ['osapi_rescue', { task_state: 'rescuing' }, powerState.running],
    ['osapi_unrescue', { vm_state: 'rescued', task_state: 'unrescuing' }, powerState.running],
    ['osapi_rebuild', { task_state: 'rebuilding' }, powerState.running],
  ];
  for (const [flow, before, power] of flows) {
    it(`goes through the states of ${flow} and sends its messages`, async () => {
      const id = await running();
      const name = nameOf(id);
      if (flow === 'osapi_unpause') await compute.driver.pause(name);
      if (flow === 'osapi_resume') await compute.driver.suspend(name);
      await world.api(id, before);
      expect(await replay(flow, id)).to.equal(null);
      expect(await states(id)).to.deep.equal(recordedStates(flow));
      expect(sent()).to.deep.equal(recordedMessages(flow));
      expect(await world.row(id)).to.include({ power_state: power });
      expect((await compute.driver.info(name))?.state).to.equal(power);
    });
  }

  it('rebuilds with the new image, password and files, and says so to the listeners', async () => {
    const id = await running();
    const volumeId = await world.volume();
    const args = { instance_id: id, volume_id: volumeId, mountpoint: '/dev/vdb' };
    await compute.manager.handlers.attach_volume(context, args, delivery());
    await world.api(id, { task_state: 'rebuilding', image_ref: '77' });
    await replay('osapi_rebuild', id);
    const file = await compute.runtime.files.read(`${world.statePath}/fake/cloud1/${nameOf(id)}.json`);
    expect(JSON.parse(file)).to.deep.include({ imageRef: '77', injectedFiles: ['/etc/x'] });
    expect(file).to.not.contain('KAtemhksGRKLeB7i');
    expect(await compute.driver.volumeDisks(nameOf(id))).to.have.nested.property('[0].mountpoint', '/dev/vdb');
    expect(await world.volumeRow(volumeId)).to.include({ status: 'in-use', instance_id: id });
    const told = world.sent.filter(({ kind }) => kind === 'notify').map(({ method }) => method);
    expect(told).to.deep.equal(['compute.instance.rebuild']);
    expect(JSON.stringify([world.sent, compute.log.lines])).to.not.contain('KAtemhksGRKLeB7i');
  });

  const anImage = async (id: number, fields: Record<string, string>, createdAt?: string): Promise<string> =>
    world.images.add(
      { properties: { instance_uuid: (await world.row(id)).uuid, image_state: 'creating', ...fields } },
      createdAt,
    ).id;

  it('fills the image of a snapshot', async () => {
    const id = await running();
    const imageId = await anImage(id, { image_type: 'snapshot', user_id: 'joe' });
    await replay('osapi_create_image', id, { image_id: imageId });
    expect(await states(id)).to.deep.equal(recordedStates('osapi_create_image'));
    expect(sent()).to.deep.equal([]);
    const image = world.images.get(imageId)!;
    expect(image).to.include({ status: 'active', is_public: false, disk_format: 'ami', container_format: 'ami' });
    expect(image.properties).to.include({
      image_state: 'available',
      image_location: 'snapshot',
      image_type: 'snapshot',
      owner_id: 'acme',
      project_id: 'acme',
      user_id: 'joe',
    });
    expect(world.images.bytes.get(imageId)).to.equal(256 * 1024);
  });

  it('keeps as many backups of a type as the rotation says', async () => {
    const id = await running();
    const backup = { image_type: 'backup', backup_type: 'daily' };
    const old = [await anImage(id, backup, '2011-09-01 00:00:00'), await anImage(id, backup, '2011-09-02 00:00:00')];
    const weekly = await anImage(id, { ...backup, backup_type: 'weekly' }, '2011-08-01 00:00:00');
    const newest = await anImage(id, backup, '2011-09-03 00:00:00');
    await replay('osapi_create_backup', id, { image_id: newest });
    expect(await states(id)).to.deep.equal(recordedStates('osapi_create_backup'));
    expect(old.map((image) => world.images.get(image))).to.deep.equal([undefined, undefined]);
    expect(world.images.get(newest)).to.include({ status: 'active' });
    expect(world.images.get(weekly)).to.not.equal(undefined);
  });

  it('makes an image of a stopped instance out of its own image, whose bits its next start would use', async () => {
    const id = await running();
    await world.api(id, { task_state: 'stopping' });
    await compute.manager.handlers.stop_instance(context, { instance_id: id }, delivery());
    const imageId = await anImage(id, { image_type: 'snapshot' });
    await compute.manager.handlers.snapshot_instance(context, { instance_id: id, image_id: imageId }, delivery());
    expect(world.images.get(imageId)).to.include({ status: 'active' });
    expect(await world.row(id)).to.include({ vm_state: 'stopped', task_state: null });
  });

  it('passes on what is said to guests, as recorded', async () => {
    const id = await running();
    await replay('osapi_change_password', id);
    await replay('osapi_reset_network', id);
    expect(sent()).to.deep.equal([]);
    await replay('osapi_inject_network_info', id);
    expect(sent()).to.deep.equal(recordedMessages('osapi_inject_network_info'));
    const inject = { instance_id: id, path: '/etc/motd', file_contents: 'secr3t text' };
    await compute.manager.handlers.inject_file(context, inject, delivery());
    await compute.manager.handlers.agent_update(
      context,
      { instance_id: id, url: 'http://x/', md5hash: '0' },
      delivery(),
    );
    expect(await world.states(id)).to.deep.equal([]);
    expect(JSON.stringify(compute.log.lines)).to.not.contain('newpass1').and.to.not.contain('secr3t');
    expect(await replay('osapi_diagnostics', id)).to.deep.equal({});
  });

  it('gives and takes addresses, as recorded, but waits for nova-network before it tells the guest', async () => {
    const id = await running();
    const { handlers } = compute.manager;
    await handlers.add_fixed_ip_to_instance(context, { instance_id: id, network_id: 4 }, delivery());
    await handlers.remove_fixed_ip_from_instance(context, { instance_id: id, address: '10.2.0.37' }, delivery());
    const all = messagesOf('osapi_multinic').filter(({ routing_key }) => routing_key === 'network');
    expect(sent()).to.deep.equal(all.map(({ body }) => ['call', 'network', body.method, keysOf(body.args)]));
  });

  it('answers where consoles are, the host is proxied, and what hosts can do', async () => {
    const id = await running();
    const { handlers } = compute.manager;
    expect(await handlers.get_ajax_console(context, { instance_id: id }, delivery())).to.deep.equal({
      token: 'FAKETOKEN',
      host: 'fakeajaxconsole.com',
      port: 6969,
    });
    expect(await handlers.get_vnc_console(context, { instance_id: id }, delivery())).to.include({
      host: 'fakevncconsole.com',
    });
    expect(await handlers.get_console_topic(context, { fake: 1 }, delivery())).to.equal('console.cloud1');
    expect(await handlers.get_console_pool_info(context, { console_type: 'xvp' }, delivery())).to.deep.equal({
      address: '127.0.0.1',
      username: 'fakeuser',
      password: 'fakepassword',
    });
    expect(await handlers.set_host_enabled(context, { enabled: true }, delivery())).to.equal(null);
    expect(await handlers.host_power_action(context, { action: 'reboot' }, delivery())).to.equal(null);
    const wrong = await handlers
      .host_power_action(context, { action: 'explode' }, delivery())
      .catch((error: unknown) => error);
    expect(wrong).to.have.property('name', 'InvalidInput');
  });

  it('answers calls to a locked instance as recorded, and unlocks by uuid', async () => {
    const id = await running();
    const user = userContext();
    const { handlers } = compute.manager;
    await replay('call_locked_lock', id);
    expect(await world.row(id)).to.include({ locked: true });
    expect(await handlers.pause_instance(user, { instance_id: id }, delivery())).to.equal(false);
    expect(await world.row(id)).to.include({ vm_state: 'active', task_state: null });
    expect(await handlers.pause_instance(context, { instance_id: id }, delivery())).to.equal(null);
    expect(await world.row(id)).to.include({ vm_state: 'paused', task_state: null });
    await replay('call_locked_unlock', id, { instance_id: (await world.row(id)).uuid });
    expect(await world.row(id)).to.include({ locked: false });
    await world.api(id, { locked: true, task_state: 'unpausing' });
    for (const method of ['unpause_instance', 'rescue_instance', 'set_admin_password', 'reset_network'] as const) {
      expect(await handlers[method](user, { instance_id: id }, delivery()), method).to.equal(false);
    }
    expect(await world.row(id)).to.include({ vm_state: 'paused', task_state: null });
  });

  it('makes, sees and removes files in the folder of instances, and no others', async () => {
    const { handlers } = compute.manager;
    const filename = await handlers.create_shared_storage_test_file(context, {}, delivery());
    expect(filename).to.match(/^tmp\w+$/);
    const check = (name: string): Promise<unknown> =>
      handlers.check_shared_storage_test_file(context, { filename: name }, delivery());
    expect(await check(filename)).to.equal(true);
    await handlers.cleanup_shared_storage_test_file(context, { filename }, delivery());
    expect(await check(filename)).to.equal(false);
    for (const name of ['../nova.sqlite', '/etc/passwd', 'tmp/../../x', 'instance-00000001', '']) {
      const refusals = [
        check(name),
        handlers.cleanup_shared_storage_test_file(context, { filename: name }, delivery()),
      ];
      for (const refusal of refusals) {
        expect(await refusal.catch((error: unknown) => error)).to.have.property('name', 'InvalidInput');
      }
    }
  });

  it('brings a rescued instance back after rescue_timeout', async () => {
    const patient = await world.compute('patient', { rescue_timeout: 3600 });
    const id = await world.instance({ uuid: '00000000-0000-4000-8000-0000000000aa' });
    await patient.manager.handlers.run_instance(context, { instance_id: id }, delivery());
    await patient.manager.handlers.rescue_instance(context, { instance_id: id }, delivery());
    const tick = async (): Promise<void> => {
      for (const task of patient.manager.periodicTasks) await task.run(context);
    };
    await tick();
    expect(await world.row(id)).to.include({ vm_state: 'rescued' });
    await world.db.run('UPDATE instances SET updated_at = ? WHERE id = ?', ['2011-01-01 00:00:00', id]);
    await tick();
    expect(await world.row(id)).to.include({ vm_state: 'active', task_state: null });
  });
});
