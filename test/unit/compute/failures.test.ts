import { expect } from 'chai';
import { DBError, MessageNotDelivered, RpcTimeout } from '../../../common/errors.js';
import { powerState } from '../../../nova-compute/virt/driver.js';
import { ComputeWorld, noMoreFixedIps, userContext, type TestCompute } from '../../support/computeWorld.js';
import { delivery } from '../../support/fakeRpc.js';

const context = userContext();
const nameOf = (id: number): string => `instance-${id.toString(16).padStart(8, '0')}`;

describe('nova-compute when something fails', () => {
  let world: ComputeWorld;
  let hosts = 0;

  before(async () => {
    world = await ComputeWorld.create();
  });
  afterEach(() => {
    world.network.failure = null;
    world.imageSize = 0;
    world.sent.length = 0;
  });

  const compute = (flags = {}): Promise<TestCompute> => world.compute(`host${(hosts += 1)}`, flags);
  const handle = async (work: Promise<unknown>): Promise<Error | null> => {
    try {
      await work;
      return null;
    } catch (error) {
      return error as Error;
    }
  };

  async function expectReleased(id: number, on: TestCompute, reason: RegExp): Promise<void> {
    const row = await world.row(id);
    expect([row.vm_state, row.task_state]).to.deep.equal(['error', null]);
    expect(await world.reason(id)).to.match(reason);
    expect(world.network.addresses.has(id)).to.equal(false);
    expect(await on.driver.info(nameOf(id))).to.equal(undefined);
    expect(await world.db.all('SELECT id FROM volumes WHERE instance_id = ?', [id])).to.deep.equal([]);
  }

  const failures: [string, RegExp, object, (() => void)?, object?][] = [
    [
      'no address is free',
      /^No network could be allocated: Zero fixed ips/,
      {},
      () => (world.network.failure = noMoreFixedIps),
    ],
    [
      'nova-network does not answer',
      /^No network could be allocated: Timeout after 60 s/,
      {},
      () => (world.network.failure = new RpcTimeout('allocate_for_instance', 'network', 60)),
    ],
    [
      'there is no nova-network',
      /^No network could be allocated: nobody/,
      {},
      () => (world.network.failure = new MessageNotDelivered('nobody listens on network')),
    ],
    [
      'the image is too large',
      /Image is larger than instance type allows/,
      {},
      () => (world.imageSize = 2 ** 31),
      { local_gb: 1 },
    ],
    ['the hypervisor fails', /^The machine could not be started: .*fake_fail/, { fake_fail: ['spawn'] }],
  ];
  for (const [what, reason, flags, prepare, values] of failures) {
    it(`leaves an instance in error, with nothing held, when ${what}`, async () => {
      const on = await compute(flags);
      const id = await world.instance(values);
      const volumeId = await world.volume();
      await world.db.insert('block_device_mapping', { instance_id: id, device_name: '/dev/vdb', volume_id: volumeId });
      prepare?.();
      const error = await handle(on.manager.handlers.run_instance(context, { instance_id: id }, delivery()));
      expect(error).to.be.an('error');
      await expectReleased(id, on, reason);
      const told = world.sent.filter((message) => message.kind === 'notify');
      expect(told.map((message) => [message.routingKey, message.method])).to.deep.equal([
        ['notifications.error', 'run_instance'],
      ]);
    });
  }

  it('refuses volumes which are taken or of another project, and gives back those it took', async () => {
    const on = await compute();
    for (const wrong of [
      { status: 'in-use', attach_status: 'attached', instance_id: 99_999 },
      { project_id: 'other' },
    ]) {
      const id = await world.instance();
      const good = await world.volume();
      const bad = await world.volume(wrong);
      await world.db.insert('block_device_mapping', { instance_id: id, device_name: '/dev/vdb', volume_id: good });
      await world.db.insert('block_device_mapping', { instance_id: id, device_name: '/dev/vdc', volume_id: bad });
      await handle(on.manager.handlers.run_instance(context, { instance_id: id }, delivery()));
      await expectReleased(id, on, /^A volume could not be attached/);
      expect(await world.volumeRow(good)).to.include({ status: 'available', attach_status: 'detached' });
      expect(await world.volumeRow(bad)).to.include({ instance_id: wrong.instance_id ?? null });
    }
  });

  it('keeps passwords and injected files out of reasons, notifications, files and logs', async () => {
    const on = await compute({ fake_fail: ['spawn'] });
    const id = await world.instance();
    world.network.failure = null;
    const args = {
      instance_id: id,
      admin_password: 'pa55word',
      injected_files: [['/etc/motd', 'secr3t text']] as const,
    };
    await handle(on.manager.handlers.run_instance(context, args, delivery()));
    const traces = JSON.stringify([world.sent, await world.reason(id), on.log.lines]);
    expect(traces).to.not.contain('pa55word').and.to.not.contain('secr3t');
  });

  it('does nothing for a second delivery, and lets one of two hosts win', async () => {
    const [first, second] = [await compute(), await compute()];
    const id = await world.instance();
    await Promise.all(
      [first, second, first].map((on) => on.manager.handlers.run_instance(context, { instance_id: id }, delivery())),
    );
    const row = await world.row(id);
    expect(row.vm_state).to.equal('active');
    const winner = row.host === first.runtime.host ? first : second;
    const loser = winner === first ? second : first;
    expect(await winner.driver.info(nameOf(id))).to.include({ state: powerState.running });
    expect(await loser.driver.info(nameOf(id))).to.equal(undefined);
    expect(world.sent.filter((message) => message.method === 'allocate_for_instance')).to.have.length(1);
  });

  it('cancels a build whose instance is deleted meanwhile, and releases everything', async () => {
    const on = await compute({ fake_spawn_ms: 600_000 });
    const id = await world.instance();
    const build = on.manager.handlers.run_instance(context, { instance_id: id }, delivery());
    while ((await on.driver.info(nameOf(id))) === undefined) await on.runtime.sleep(5);
    await world.api(id, { task_state: 'deleting' });
    await on.manager.handlers.terminate_instance(context, { instance_id: id }, delivery());
    await build;
    expect(await world.row(id)).to.include({ deleted: true, vm_state: 'deleted' });
    expect(await on.driver.info(nameOf(id))).to.equal(undefined);
    expect(world.network.addresses.has(id)).to.equal(false);
  });

  it('can terminate again what could not be terminated', async () => {
    const flags = { fake_fail: [] as string[] };
    const on = await compute(flags);
    const id = await world.instance();
    await on.manager.handlers.run_instance(context, { instance_id: id }, delivery());
    Object.assign(on.runtime, { flags: { ...on.runtime.flags, fake_fail: ['destroy'] } });
    await world.api(id, { task_state: 'deleting' });
    const error = await handle(on.manager.handlers.terminate_instance(context, { instance_id: id }, delivery()));
    expect(error?.message).to.contain('destroy');
    expect(await world.row(id)).to.include({ vm_state: 'error', task_state: null, deleted: false });
    Object.assign(on.runtime, { flags: { ...on.runtime.flags, fake_fail: [] } });
    await on.manager.handlers.terminate_instance(context, { instance_id: id }, delivery());
    expect(await world.row(id)).to.include({ deleted: true });
  });

  it('leaves a machine its addresses which can be neither ended nor stopped', async () => {
    for (const [method, task] of [
      ['terminate_instance', 'deleting'],
      ['stop_instance', 'stopping'],
    ] as const) {
      const on = await compute();
      const id = await world.instance();
      await on.manager.handlers.run_instance(context, { instance_id: id }, delivery());
      Object.assign(on.runtime, { flags: { ...on.runtime.flags, fake_fail: ['destroy'] } });
      await world.api(id, { task_state: task });
      await handle(on.manager.handlers[method](context, { instance_id: id }, delivery()));
      expect(await world.row(id), method).to.include({ vm_state: 'error', task_state: null });
      expect(await on.driver.info(nameOf(id)), method).to.include({ state: powerState.running });
      expect(world.network.addresses.has(id), method).to.equal(true);
    }
  });

  it('gives back the addresses of a failed build after its row says so, since before nova-network keeps them', async () => {
    const on = await compute({ fake_fail: ['spawn'] });
    const id = await world.instance();
    await handle(on.manager.handlers.run_instance(context, { instance_id: id }, delivery()));
    await expectReleased(id, on, /machine could not be started/);
  });

  it('takes away later, or at its next start, a machine which a failed build left and could not end', async () => {
    for (const [method, restarts] of [
      ['run_instance', false],
      ['run_instance', true],
      ['start_instance', false],
      ['start_instance', true],
    ] as const) {
      const on = await compute();
      const id = await world.instance();
      if (method === 'start_instance') {
        await on.manager.handlers.run_instance(context, { instance_id: id }, delivery());
        await world.api(id, { task_state: 'stopping' });
        await on.manager.handlers.stop_instance(context, { instance_id: id }, delivery());
        await world.api(id, { task_state: 'starting' });
      }
      const { spawn } = on.driver;
      Object.assign(on.driver, {
        spawn: async (...args: Parameters<typeof spawn>) => {
          await spawn.apply(on.driver, args);
          throw new Error('the answer was lost');
        },
      });
      Object.assign(on.runtime, { flags: { ...on.runtime.flags, fake_fail: ['destroy'] } });
      await handle(on.manager.handlers[method](context, { instance_id: id }, delivery()));
      expect(await on.driver.info(nameOf(id)), method).to.include({ state: powerState.running });
      Object.assign(on.runtime, { flags: { ...on.runtime.flags, fake_fail: [] } });
      const now = restarts ? await world.compute(on.runtime.host) : on;
      if (!restarts) for (const task of on.manager.periodicTasks) await task.run(context);
      await expectReleased(id, now, /could not be started: the answer was lost/);
    }
  }).timeout(20_000);

  it('tells nova-network again, from time to time, of what a stopped instance holds', async () => {
    const on = await compute();
    const id = await world.instance();
    await on.manager.handlers.run_instance(context, { instance_id: id }, delivery());
    await world.api(id, { task_state: 'stopping' });
    world.network.deaf = true;
    await on.manager.handlers.stop_instance(context, { instance_id: id }, delivery());
    expect(await world.row(id)).to.include({ vm_state: 'stopped', task_state: null });
    expect(world.network.addresses.has(id)).to.equal(true);
    world.network.deaf = false;
    for (const task of on.manager.periodicTasks) await task.run(context);
    expect(world.network.addresses.has(id)).to.equal(false);
  }).timeout(20_000);

  it('removes at its start what is left of a build which was given up while it was away', async () => {
    const on = await compute();
    const id = await world.instance();
    await on.manager.handlers.run_instance(context, { instance_id: id }, delivery());
    // nova-scheduler gave it up, when it was nearly done
    await world.api(id, { vm_state: 'error', task_state: null, launched_at: null });
    const successor = await world.compute(on.runtime.host);
    expect(await successor.driver.info(nameOf(id))).to.equal(undefined);
    expect(world.network.addresses.has(id)).to.equal(false);
  });

  it('ends a build whose row went further than it knows, since the answer of the database was lost', async () => {
    const on = await compute();
    const id = await world.instance();
    world.network.after = async () => {
      world.network.after = null;
      await world.api(id, { task_state: 'block_device_mapping' });
      throw new DBError('the connection broke', 'lost');
    };
    await handle(on.manager.handlers.run_instance(context, { instance_id: id }, delivery()));
    for (const task of on.manager.periodicTasks) await task.run(context);
    const reason = /could not tell what had been done while the instance was being built .*: the connection broke$/;
    await expectReleased(id, on, reason);
  });

  it('makes its filters anew from time to time, and all of them when a group is gone', async () => {
    const on = await compute();
    const asked: (number | undefined)[] = [];
    on.driver.refreshSecurityGroup = async (id) => void asked.push(id);
    for (const task of on.manager.periodicTasks) await task.run(context);
    const group = await world.db.insert('security_groups', { name: 'web', project_id: 'demo' });
    for (const id of [group, 4711]) {
      await on.manager.handlers.refresh_security_group_rules(context, { security_group_id: id }, delivery());
    }
    expect(asked).to.deep.equal([undefined, group, undefined]);
  });

  it('terminates an instance in any state, and one whose parts are gone already', async () => {
    const on = await compute();
    const states = ['active', 'paused', 'suspended', 'rescued', 'stopped', 'error', 'resizing', 'shutoff', 'gone'];
    for (const state of states) {
      const id = await world.instance();
      const volumeId = await world.volume();
      await world.db.insert('block_device_mapping', { instance_id: id, device_name: '/dev/vdb', volume_id: volumeId });
      await on.manager.handlers.run_instance(context, { instance_id: id }, delivery());
      const hasMachine = !['stopped', 'gone'].includes(state);
      if (!hasMachine) await on.driver.destroy(nameOf(id));
      if (state === 'shutoff') await on.driver.crash(nameOf(id), powerState.shutoff);
      if (state === 'gone') {
        world.network.addresses.delete(id);
        await world.db.run('DELETE FROM volumes WHERE id = ?', [volumeId]);
      }
      const vmState = ['shutoff', 'gone'].includes(state) ? 'active' : state;
      await world.api(id, { vm_state: vmState, task_state: 'deleting' });
      await on.manager.handlers.terminate_instance(context, { instance_id: id }, delivery());
      expect(await world.row(id), state).to.include({ deleted: true, vm_state: 'deleted' });
      expect(await on.driver.info(nameOf(id)), state).to.equal(undefined);
      expect(world.network.addresses.has(id), state).to.equal(false);
      expect(await world.mappings(id), state).to.deep.equal([]);
      if (state !== 'gone') expect(await world.volumeRow(volumeId), state).to.include({ status: 'available' });
    }
  });

  it('ends what it was asked to end, though its host was taken for lost while it was at it', async () => {
    const on = await compute();
    const id = await world.instance();
    await on.manager.handlers.run_instance(context, { instance_id: id }, delivery());
    await world.api(id, { task_state: 'deleting' });
    const destroy = on.driver.destroy.bind(on.driver);
    on.driver.destroy = async (name) => {
      await destroy(name);
      // As the sweeper of nova-scheduler does.
      await world.api(id, { vm_state: 'error', task_state: null });
    };
    await on.manager.handlers.terminate_instance(context, { instance_id: id }, delivery());
    expect(await world.row(id)).to.include({ deleted: true, vm_state: 'deleted', task_state: null });
  });

  it('leaves a volume available when it cannot be plugged in, and in-use when it cannot be unplugged', async () => {
    const on = await compute({ fake_fail: ['attach'] });
    const id = await world.instance();
    await on.manager.handlers.run_instance(context, { instance_id: id }, delivery());
    const volumeId = await world.volume();
    const args = { instance_id: id, volume_id: volumeId, mountpoint: '/dev/vdb' };
    expect(await handle(on.manager.handlers.attach_volume(context, args, delivery()))).to.be.an('error');
    expect(await world.volumeRow(volumeId)).to.include({ status: 'available', instance_id: null, mountpoint: null });
    expect(await world.mappings(id)).to.deep.equal([]);

    Object.assign(on.runtime, { flags: { ...on.runtime.flags, fake_fail: ['detach'] } });
    await on.manager.handlers.attach_volume(context, args, delivery());
    expect(await handle(on.manager.handlers.detach_volume(context, args, delivery()))).to.be.an('error');
    expect(await world.volumeRow(volumeId)).to.include({ status: 'in-use', instance_id: id });
    expect(await on.driver.volumeDisks(nameOf(id))).to.have.nested.property('[0].mountpoint', '/dev/vdb');
  });

  it('gives one volume to one of two instances, and one device to one of two volumes', async () => {
    const on = await compute();
    const ids = [await world.instance(), await world.instance()];
    for (const id of ids) await on.manager.handlers.run_instance(context, { instance_id: id }, delivery());
    const volumes = [await world.volume(), await world.volume()];
    const attach = (instance: number, volume: number): Promise<unknown> =>
      on.manager.handlers.attach_volume(
        context,
        { instance_id: instance, volume_id: volume, mountpoint: '/dev/vdb' },
        delivery(),
      );
    const results = await Promise.allSettled([attach(ids[0]!, volumes[0]!), attach(ids[1]!, volumes[0]!)]);
    expect(results.map((result) => result.status).sort()).to.deep.equal(['fulfilled', 'rejected']);
    const { instance_id: owner } = await world.volumeRow(volumes[0]!);
    expect(await handle(attach(owner!, volumes[1]!))).to.be.an('error');
    expect(await world.volumeRow(volumes[1]!)).to.include({ status: 'available' });
  });

  it('leaves a locked instance alone, and frees it of the task which the API wrote', async () => {
    const on = await compute();
    const id = await world.instance();
    await on.manager.handlers.run_instance(context, { instance_id: id }, delivery());
    await on.manager.handlers.lock_instance(context, { instance_id: id }, delivery());
    expect(await on.manager.handlers.get_lock(context, { instance_id: id }, delivery())).to.equal(true);
    await world.api(id, { task_state: 'deleting' });
    const receipt = delivery();
    expect(await on.manager.handlers.terminate_instance(context, { instance_id: String(id) }, receipt)).to.equal(false);
    expect(receipt.accepted).to.equal(true);
    expect(await world.row(id)).to.include({ vm_state: 'active', task_state: null, deleted: false });
    const admin = userContext({ isAdmin: true });
    expect(await on.manager.handlers.terminate_instance(admin, { instance_id: id }, delivery())).to.equal(null);
    expect(await world.row(id)).to.include({ deleted: true });
  });

  it('writes only power states in the sync, and none while a task runs', async () => {
    const on = await compute();
    const ids = [await world.instance(), await world.instance()];
    for (const id of ids) await on.manager.handlers.run_instance(context, { instance_id: id }, delivery());
    for (const id of ids) await on.driver.destroy(nameOf(id));
    await world.api(ids[1]!, { task_state: 'rebooting' });
    for (const task of on.manager.periodicTasks) await task.run(context);
    expect(await world.row(ids[0]!)).to.include({ power_state: 0, vm_state: 'active', task_state: null });
    expect(await world.row(ids[1]!)).to.include({ power_state: 1, vm_state: 'active', task_state: 'rebooting' });
  });

  it('asks the hypervisor once for all machines in the sync', async () => {
    const on = await compute();
    for (const id of [await world.instance(), await world.instance(), await world.instance()]) {
      await on.manager.handlers.run_instance(context, { instance_id: id }, delivery());
    }
    const asked: string[] = [];
    const { list, info } = on.driver;
    on.driver.list = () => (asked.push('list'), list.call(on.driver));
    on.driver.info = (name) => (asked.push('info'), info.call(on.driver, name));
    await on.manager.periodicTasks.find(({ name }) => name === 'sync_power_states')!.run(context);
    expect(asked).to.deep.equal(['list']);
  });

  it('records a crash of a machine at once', async () => {
    const on = await compute();
    const id = await world.instance();
    await on.manager.handlers.run_instance(context, { instance_id: id }, delivery());
    await on.driver.crash(nameOf(id));
    while ((await world.row(id)).power_state !== powerState.crashed) await on.runtime.sleep(5);
    expect(await world.row(id)).to.include({ vm_state: 'active', task_state: null });
  });
});
