import { expect } from 'chai';
import type { Values } from '../../../common/db/db.js';
import type { InstanceRow } from '../../../common/db/rows.js';
import { powerState } from '../../../nova-compute/virt/driver.js';
import { ComputePair, nameOf } from '../../support/computePair.js';
import { ComputeWorld } from '../../support/computeWorld.js';

const longAgo = '2011-01-01 00:00:00';
const nobody = { accept: (): void => undefined, redelivered: false };

describe('nova-compute and messages which never came', () => {
  let world: ComputeWorld;
  let pair: ComputePair;
  let count = 0;
  before(async () => {
    world = await ComputeWorld.create();
  });
  beforeEach(async () => {
    pair = await ComputePair.open(world, (count += 1));
  });
  afterEach(() => world.forgetMessages());

  const tick = async (compute = pair.source): Promise<void> => {
    for (const task of compute.manager.periodicTasks) await task.run(pair.context);
  };
  const age = (table: string, id: number): Promise<number> =>
    world.db.run(`UPDATE ${table} SET updated_at = ? WHERE id = ?`, [longAgo, id]);
  const stateOf = async ({ id }: InstanceRow): Promise<unknown[]> => {
    const { vm_state: vm, task_state: task } = await world.row(id);
    return [vm, task];
  };
  const machines = async (instance: InstanceRow): Promise<unknown[]> =>
    Promise.all(
      [pair.source, pair.destination].map(async ({ driver }) => {
        const machine = await driver.info(nameOf(instance));
        return machine && [machine.state, machine.role];
      }),
    );

  const tasks: readonly [Values<'instances'>, unknown[]][] = [
    [{ task_state: 'rebooting' }, ['active', null]],
    [{ task_state: 'pausing' }, ['paused', null]],
    [{ task_state: 'suspending' }, ['suspended', null]],
    [{ task_state: 'rescuing' }, ['rescued', null]],
    [{ task_state: 'stopping' }, ['stopped', null]],
    [{ task_state: 'deleting' }, ['deleted', null]],
  ];
  for (const [written, end] of tasks) {
    it(`does what is asked for when an instance has been ${written.task_state} for too long, and not before`, async () => {
      const instance = await pair.running();
      await world.api(instance.id, written);
      await tick();
      expect(await stateOf(instance)).to.deep.equal(['active', written.task_state]);
      await age('instances', instance.id);
      await tick();
      expect(await stateOf(instance)).to.deep.equal(end);
    });
  }

  it('leaves tasks alone which somebody works on', async () => {
    const instance = await pair.running();
    await world.api(instance.id, { task_state: 'rebooting' });
    await age('instances', instance.id);
    let release = (): void => undefined;
    const arrived = new Promise<void>((resolve) => {
      pair.source.driver.reboot = () => {
        resolve();
        return new Promise((done) => (release = done));
      };
    });
    const working = pair.source.manager.handlers.reboot_instance(pair.context, { instance_id: instance.id }, nobody);
    await arrived;
    await tick();
    expect(await stateOf(instance)).to.deep.equal(['active', 'rebooting']);
    release();
    await working;
    expect(await stateOf(instance)).to.deep.equal(['active', null]);
  });

  it('ends a rebuild whose message is lost, from where it can be asked for again', async () => {
    const instance = await pair.running();
    const asked = { vm_state: 'active', task_state: 'rebuilding' };
    await world.api(instance.id, asked);
    await tick();
    expect(await stateOf(instance)).to.deep.equal(['active', 'rebuilding']);
    await age('instances', instance.id);
    await tick();
    expect(await stateOf(instance)).to.deep.equal(['error', null]);
    expect(await world.reason(instance.id)).to.contain('was lost on its way');
    expect(await machines(instance)).to.deep.equal([[powerState.running, undefined], undefined]);
    const { rebuild_instance: rebuild } = pair.source.manager.handlers;
    await rebuild(pair.context, { instance_id: instance.id }, nobody);
    expect(await stateOf(instance)).to.deep.equal(['error', null]);
    await world.api(instance.id, asked);
    await rebuild(pair.context, { instance_id: instance.id }, nobody);
    expect(await stateOf(instance)).to.deep.equal(['active', null]);
  });

  it('does not end a rebuild which was asked for once more, nor one whose message waits at its start', async () => {
    const instance = await pair.running();
    await world.api(instance.id, { task_state: 'rebuilding' });
    await age('instances', instance.id);
    await pair.restart(0);
    expect(await stateOf(instance)).to.deep.equal(['active', 'rebuilding']);
    await world.api(instance.id, { task_state: 'rebuilding' });
    await tick();
    expect(await stateOf(instance)).to.deep.equal(['active', 'rebuilding']);
  });

  describe('when the destination of a resize does not come back', () => {
    /** Has the destination die at each of its steps, as far as `work` goes, and calls `then` where the machine was sent. */
    async function dyingAnywhere(
      work: (instance: InstanceRow) => Promise<unknown>,
      then: (instance: InstanceRow) => Promise<void>,
    ): Promise<void> {
      let sent = 0;
      for (let effect = 1; ; effect += 1) {
        pair = await ComputePair.open(world, (count += 1));
        const { lifeline, runtime } = pair.destination;
        const instance = await pair.running();
        lifeline.effects = 0;
        lifeline.killAfter = effect;
        await work(instance);
        if (!runtime.halted) break;
        const { status } = (await pair.migration(instance)) ?? {};
        if (status !== 'post-migrating' && status !== 'reverted') continue;
        sent += 1;
        await then(instance);
      }
      expect(sent).to.be.greaterThan(3);
    }
    const forget = async (instance: InstanceRow): Promise<void> =>
      void (await age('migrations', (await pair.migration(instance))!.id));

    /** It runs at its source, in its old size; and when the destination comes back nothing changes and nothing is left. */
    async function expectAtHome(instance: InstanceRow, status: string): Promise<void> {
      const { memory_mb, vcpus, local_gb, instance_type_id } = instance;
      const home = { vm_state: 'active', task_state: null, host: pair.names[0] };
      const asItWas = { ...home, memory_mb, vcpus, local_gb, instance_type_id };
      expect(await world.row(instance.id)).to.include(asItWas);
      await pair.restart(1);
      await pair.settle();
      expect(await machines(instance)).to.deep.equal([[powerState.running, undefined], undefined]);
      expect(await world.row(instance.id)).to.include(asItWas);
      expect((await pair.migration(instance))?.status).to.equal(status);
    }

    it('starts the machine again where it was, wherever the destination died', async () => {
      await dyingAnywhere(
        (instance) => pair.resize(instance),
        async (instance) => {
          await tick();
          expect(await stateOf(instance)).to.deep.equal(['resizing', 'resize_prep']);
          await forget(instance);
          await tick();
          expect(await world.reason(instance.id)).to.contain(`${pair.names[1]} went down`);
          await expectAtHome(instance, 'error');
        },
      );
    });

    it('starts it again, too, when its owner takes back what the destination has', async () => {
      await dyingAnywhere(
        async (instance) => {
          const { lifeline } = pair.destination;
          const { killAfter } = lifeline;
          lifeline.killAfter = Infinity;
          await pair.resize(instance);
          lifeline.killAfter = killAfter;
          lifeline.effects = 0;
          await pair.rules().resizes.revert(pair.context, instance.id);
          await pair.settle();
        },
        async (instance) => {
          if ((await world.row(instance.id)).task_state === null && (await machines(instance))[0] === undefined) return;
          await forget(instance);
          await tick();
          await expectAtHome(instance, 'reverted');
        },
      );
    });

    it('asks a destination again which is alive, once in a while', async () => {
      const instance = await pair.running();
      await world.db.insert('services', {
        host: pair.names[1],
        binary: 'nova-compute',
        topic: 'compute',
        report_count: 1,
        disabled: false,
        availability_zone: 'nova',
        updated_at: world.db.now(),
      });
      await world.api(instance.id, { vm_state: 'resizing', task_state: 'resize_prep' });
      const args = { instance_id: instance.uuid!, instance_type_id: 5 };
      await pair.destination.manager.handlers.prep_resize(pair.context, args, nobody);
      const { id } = (await pair.migration(instance))!;
      const move = { instance_id: instance.uuid!, migration_id: id };
      await pair.source.manager.handlers.resize_instance(pair.context, move, nobody);
      world.forgetMessages();
      await forget(instance);
      await tick();
      await tick();
      const casts = world.sent.filter(({ kind }) => kind === 'cast');
      expect(casts.map(({ routingKey, method }) => [routingKey, method])).to.deep.equal([
        [`compute.${pair.names[1]}`, 'finish_resize'],
      ]);
      expect(await pair.settle()).to.deep.equal([]);
      expect(await stateOf(instance)).to.deep.equal(['active', 'resize_verify']);
    });
  });

  it('removes what a confirmed resize left at its source', async () => {
    const instance = await pair.running();
    await pair.resize(instance);
    await pair.rules().resizes.confirm(pair.context, instance.id);
    world.forgetMessages();
    await age('migrations', (await pair.migration(instance))!.id);
    await tick();
    expect(await machines(instance)).to.deep.equal([undefined, [powerState.running, undefined]]);
  });

  it('gives back what a failed build got after it had given up, and nothing which a machine may use', async () => {
    const failed = { vm_state: 'error', task_state: null, host: pair.source.runtime.host };
    const late = await world.instance(failed);
    const launched = await world.instance({ ...failed, launched_at: longAgo });
    const elsewhere = await world.instance({ ...failed, host: 'elsewhere' });
    // Its machine is there, whoever made it.
    const { id: odd } = await pair.running();
    await world.api(odd, { vm_state: 'error', launched_at: null });
    for (const id of [late, launched, elsewhere, odd]) {
      await world.db.insert('virtual_interfaces', { address: `02:16:3e:00:00:${id % 90}`, instance_id: id });
    }
    await tick();
    const freed = world.sent.filter(({ method }) => method === 'deallocate_for_instance');
    expect(freed.map(({ kind, routingKey, args }) => [kind, routingKey, args['instance_id']])).to.deep.equal([
      ['cast', 'network', late],
    ]);
  });
});
