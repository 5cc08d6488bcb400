import { expect } from 'chai';
import { adminContext } from '../../../common/context.js';
import type { Values } from '../../../common/db/db.js';
import { RpcTimeout } from '../../../common/errors.js';
import type { RpcHandlers } from '../../../common/rpc/types.js';
import type { ComputeRpc } from '../../../common/rpc/compute.js';
import { powerState } from '../../../nova-compute/virt/driver.js';
import { ComputeWorld, userContext, type TestCompute } from '../../support/computeWorld.js';
import { delivery } from '../../support/fakeRpc.js';

const context = userContext();
const nameOf = (id: number): string => `instance-${id.toString(16).padStart(8, '0')}`;

type Handlers = RpcHandlers<ComputeRpc>;

/** A flow which is cut off after each of its effects in turn. */
interface Flow {
  name: string;
  /** What the API writes before the message; undefined: the instance is new. */
  api?: Values<'instances'>;
  /** The instance has a volume attached before. */
  attached?: boolean;
  work(handlers: Handlers, id: number, volumeId: number): Promise<unknown>;
  /** Is true of the outcome as well when the message arrives again at the successor (it was not acknowledged). */
  vmStates: readonly string[];
}

const flows: readonly Flow[] = [
  {
    name: 'run',
    work: (handlers, id) => handlers.run_instance(context, { instance_id: id }, delivery()),
    vmStates: ['active', 'error', 'building'],
  },
  {
    name: 'terminate',
    api: { task_state: 'deleting' },
    attached: true,
    work: (handlers, id) => handlers.terminate_instance(context, { instance_id: id }, delivery()),
    vmStates: ['deleted'],
  },
  {
    name: 'stop',
    api: { task_state: 'stopping' },
    attached: true,
    work: (handlers, id) => handlers.stop_instance(context, { instance_id: id }, delivery()),
    vmStates: ['stopped'],
  },
  {
    name: 'reboot',
    api: { task_state: 'rebooting' },
    work: (handlers, id) => handlers.reboot_instance(context, { instance_id: id }, delivery()),
    vmStates: ['active'],
  },
  {
    name: 'attach',
    api: {},
    work: (handlers, id, volumeId) =>
      handlers.attach_volume(context, { instance_id: id, volume_id: volumeId, mountpoint: '/dev/vdb' }, delivery()),
    vmStates: ['active'],
  },
  {
    name: 'detach',
    api: {},
    attached: true,
    work: (handlers, id, volumeId) =>
      handlers.detach_volume(context, { instance_id: id, volume_id: volumeId }, delivery()),
    vmStates: ['active'],
  },
];

describe('nova-compute after kill -9', function () {
  this.timeout(60_000);
  let world: ComputeWorld;
  let hosts = 0;

  before(async () => {
    world = await ComputeWorld.create();
  });

  /** Prepares an instance, kills a nova-compute at its `effect`th effect in the flow. False when it survived the flow. */
  async function killed(
    flow: Flow,
    host: string,
    effect: number,
  ): Promise<{ id: number; volumeId: number; done: boolean }> {
    const on = await world.compute(host);
    const volumeId = await world.volume();
    const id = await world.instance();
    if (flow.api === undefined) {
      await world.db.insert('block_device_mapping', { instance_id: id, device_name: '/dev/vdb', volume_id: volumeId });
    } else {
      await on.manager.handlers.run_instance(context, { instance_id: id }, delivery());
      if (flow.attached) {
        const args = { instance_id: id, volume_id: volumeId, mountpoint: '/dev/vdb' };
        await on.manager.handlers.attach_volume(context, args, delivery());
      }
      if (Object.keys(flow.api).length > 0) await world.api(id, flow.api);
    }
    on.lifeline.effects = 0;
    on.lifeline.killAfter = effect;
    const done = await Promise.race([
      flow.work(on.manager.handlers, id, volumeId).then(() => true),
      on.lifeline.death.then(() => false),
    ]);
    return { id, volumeId, done: done && !on.runtime.halted };
  }

  /** Everything which the cloud knows of the instance says the same. */
  async function expectSound(on: TestCompute, flow: Flow, id: number, volumeId: number): Promise<void> {
    const row = await world.row(id);
    const volume = await world.volumeRow(volumeId);
    const machine = await on.driver.info(nameOf(id));
    const disks = (await on.driver.volumeDisks(nameOf(id))).map(({ mountpoint }) => mountpoint);
    expect(flow.vmStates).to.include(row.vm_state);
    if (row.vm_state === 'building') {
      // the message was not acknowledged: it comes again
      expect(row).to.include({ task_state: 'scheduling', host: null });
    } else {
      expect(row.task_state).to.equal(null);
    }
    if (row.vm_state === 'error') expect(await world.reason(id)).to.contain('restarted while');
    expect(row.deleted).to.equal(row.vm_state === 'deleted');
    expect(machine?.state).to.equal(row.vm_state === 'active' ? powerState.running : undefined);
    expect(world.network.addresses.has(id)).to.equal(row.vm_state === 'active');
    if (volume.instance_id === null) {
      expect(volume).to.include({ status: 'available', attach_status: 'detached', mountpoint: null });
      expect(disks).to.deep.equal([]);
    } else {
      expect(volume).to.include({
        status: 'in-use',
        attach_status: 'attached',
        mountpoint: '/dev/vdb',
        instance_id: id,
      });
      expect(await world.mappings(id)).to.have.length(1);
      expect(row.vm_state).to.equal('active');
    }
    const files = await on.runtime.files.list(`${world.statePath}/fake/${on.runtime.host}`);
    expect(files).to.deep.equal(row.vm_state === 'active' ? [`${nameOf(id)}.json`] : []);
  }

  for (const flow of flows) {
    it(`brings ${flow.name} to an end, wherever it was cut off`, async () => {
      let effect = 1;
      for (; ; effect += 1) {
        const host = `dead${(hosts += 1)}`;
        const { id, volumeId, done } = await killed(flow, host, effect);
        if (done) break;
        const successor = await world.compute(host);
        await expectSound(successor, flow, id, volumeId);
        // the broker delivers an unacknowledged message again; an acknowledged one doing so must not harm
        await flow.work(successor.manager.handlers, id, volumeId).catch(() => undefined);
        const after = { ...flow, vmStates: flow.vmStates.filter((state) => state !== 'building') };
        await expectSound(successor, after, id, volumeId);
      }
      expect(effect).to.be.greaterThan(3);
    });
  }

  it('survives being killed during the recovery itself', async () => {
    const run = flows[0]!;
    for (let effect = 1; ; effect += 1) {
      const host = `twice${(hosts += 1)}`;
      const { id, volumeId } = await killed(run, host, 10);
      const second = world.newCompute(host);
      second.lifeline.killAfter = effect;
      const recovered = await Promise.race([
        second.manager.initHost(adminContext(second.runtime)).then(() => true),
        second.lifeline.death.then(() => false),
      ]);
      const third = await world.compute(host);
      await expectSound(third, run, id, volumeId);
      if (recovered && !second.runtime.halted) break;
    }
  });

  it('leaves machines alone of which the database knows nothing, and removes those of deleted instances', async () => {
    const host = `left${(hosts += 1)}`;
    const on = await world.compute(host);
    const ids = [await world.instance(), await world.instance()];
    for (const id of ids) await on.manager.handlers.run_instance(context, { instance_id: id }, delivery());
    await world.db.run('DELETE FROM instances WHERE id = ?', [ids[0]!]);
    await world.api(ids[1]!, { deleted: true, vm_state: 'deleted' });
    const successor = await world.compute(host);
    expect((await successor.driver.list()).map((machine) => machine.name)).to.deep.equal([nameOf(ids[0]!)]);
  });

  it('starts though nova-network does not answer', async () => {
    const host = `lonely${(hosts += 1)}`;
    const on = await world.compute(host);
    const id = await world.instance();
    await on.manager.handlers.run_instance(context, { instance_id: id }, delivery());
    await world.api(id, { task_state: 'rebooting' });
    const { answer } = world.network;
    world.network.answer = () => {
      throw new RpcTimeout('get_instance_nw_info', 'network', 60);
    };
    const successor = await world.compute(host);
    world.network.answer = answer;
    expect(await world.row(id)).to.include({ vm_state: 'active', task_state: null });
    expect(await world.reason(id)).to.contain('Timeout');
    expect(await successor.driver.info(nameOf(id))).to.include({ state: powerState.running });
  });

  it("takes over the machines of 2011.3's fake driver, which ended with their daemon", async () => {
    const host = `swap${(hosts += 1)}`;
    const ids = [await world.instance(), await world.instance(), await world.instance()];
    const states = [
      { vm_state: 'active', task_state: null },
      { vm_state: 'active', task_state: 'rebooting' },
      { vm_state: 'stopped', task_state: null },
    ];
    for (const [index, id] of ids.entries()) {
      await world.api(id, { ...states[index]!, host, power_state: powerState.running });
    }
    const successor = await world.compute(host);
    const machines = (await successor.driver.list()).map(({ name, state }) => [name, state]);
    expect(machines).to.have.deep.members(ids.slice(0, 2).map((id) => [nameOf(id), powerState.running]));
    expect(await world.row(ids[1]!)).to.include({ vm_state: 'active', task_state: null });
    const output = await successor.manager.handlers.get_console_output(context, { instance_id: ids[0]! }, delivery());
    expect(output).to.include('CONSOLE');
  });

  it('starts guests after a boot of the host where the flags say so', async () => {
    const host = `boot${(hosts += 1)}`;
    const on = await world.compute(host);
    const id = await world.instance();
    await on.manager.handlers.run_instance(context, { instance_id: id }, delivery());
    await on.driver.crash(nameOf(id), powerState.shutoff);
    while ((await world.row(id)).power_state !== powerState.shutoff) await turn();
    const lazy = await world.compute(host, { resume_guests_state_on_host_boot: true });
    expect(await lazy.driver.info(nameOf(id))).to.include({ state: powerState.shutoff });
    await world.api(id, { power_state: powerState.running });
    const eager = await world.compute(host, { resume_guests_state_on_host_boot: true });
    expect(await eager.driver.info(nameOf(id))).to.include({ state: powerState.running });
    expect(await world.row(id)).to.include({ vm_state: 'active', task_state: null, power_state: powerState.running });
  });
});

/** Lets everything which is ready run. */
function turn(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, 1));
}
