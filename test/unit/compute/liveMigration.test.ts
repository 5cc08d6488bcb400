import { expect } from 'chai';
import { powerState } from '../../../nova-compute/virt/driver.js';
import type { InstanceRow } from '../../../common/db/rows.js';
import { ComputePair, nameOf } from '../../support/computePair.js';
import { ComputeWorld } from '../../support/computeWorld.js';
import { delivery } from '../../support/fakeRpc.js';

describe('a live migration between two nova-computes', () => {
  let world: ComputeWorld;
  let count = 0;

  before(async () => {
    world = await ComputeWorld.create();
  });
  afterEach(() => world.forgetMessages());

  const open = (...flags: [] | [object, object]): Promise<ComputePair> =>
    ComputePair.open(world, (count += 1), flags.length === 0 ? [{}, {}] : [flags[0], flags[1]]);
  const sent = (): unknown[] =>
    world.sent.map(({ kind, routingKey, method, args }) => [kind, routingKey, method, Object.keys(args).sort()]);

  /** An instance with a volume and a floating address, which the scheduler has given leave to go. */
  async function migrating(pair: ComputePair): Promise<{ instance: InstanceRow; volumeId: number }> {
    const instance = await pair.running();
    const volumeId = await world.volume();
    const args = { instance_id: instance.id, volume_id: volumeId, mountpoint: '/dev/vdb' };
    await pair.source.manager.handlers.attach_volume(pair.context, args, delivery());
    const fixedId = await world.db.insert('fixed_ips', { instance_id: instance.id, address: `10.1.0.${count}` });
    await world.db.insert('floating_ips', { fixed_ip_id: fixedId, address: `4.4.4.${count}`, host: pair.names[0] });
    await world.api(instance.id, { vm_state: 'migrating' });
    await world.db.update('volumes', { status: 'migrating' }, 'id = ?', [volumeId]);
    world.forgetMessages();
    return { instance, volumeId };
  }

  /** The source gets the message of the scheduler. */
  async function move(pair: ComputePair, instance: InstanceRow, block = false): Promise<Error[]> {
    const args = { instance_id: instance.id, dest: pair.names[1], block_migration: block };
    world.sent.push({ kind: 'cast', routingKey: `compute.${pair.names[0]}`, method: 'live_migration', args });
    return pair.settle();
  }

  const floatingHost = async (instance: InstanceRow): Promise<string | null> =>
    (await world.db.first<{ host: string | null }>(
      'SELECT l.host FROM floating_ips l JOIN fixed_ips f ON f.id = l.fixed_ip_id WHERE f.instance_id = ?',
      [instance.id],
    ))!.host;

  for (const block of [false, true]) {
    it(`moves a machine with all that is its${block ? ', and its disks' : ''}`, async () => {
      const pair = await open();
      const [source, destination] = pair.names;
      const { instance, volumeId } = await migrating(pair);
      expect(await move(pair, instance, block)).to.deep.equal([]);
      const network = ['call', 'network', 'get_instance_nw_info', ['host', 'instance_id', 'instance_type_id']];
      expect(sent()).to.deep.equal([
        ['cast', `compute.${source}`, 'live_migration', ['block_migration', 'dest', 'instance_id']],
        ['call', 'volume.volumes1', 'check_for_export', ['instance_id']],
        ['call', `compute.${destination}`, 'pre_live_migration', ['block_migration', 'disk', 'instance_id']],
        network,
        network,
        ['call', `compute.${destination}`, 'post_live_migration_at_destination', ['block_migration', 'instance_id']],
        network,
      ]);
      expect(world.sent[2]!.args).to.include({
        disk: block ? '[{"type": "raw", "path": "disk", "local_gb": "10G"}]' : null,
      });
      expect(await world.row(instance.id)).to.include({
        vm_state: 'active',
        task_state: null,
        host: destination,
        power_state: powerState.running,
      });
      expect(await world.volumeRow(volumeId)).to.include({ status: 'in-use', instance_id: instance.id });
      expect(await floatingHost(instance)).to.equal(destination);
      const name = nameOf(instance);
      expect(await pair.source.driver.info(name)).to.equal(undefined);
      expect(await pair.destination.driver.info(name)).to.deep.equal({ name, state: powerState.running });
      expect(await pair.destination.driver.volumeDisks(name)).to.have.nested.property('[0].mountpoint', '/dev/vdb');
    });
  }

  /** As if nobody had asked. */
  async function expectUnmoved(pair: ComputePair, instance: InstanceRow, volumeId: number): Promise<void> {
    const [source] = pair.names;
    const row = { vm_state: 'active', task_state: null, host: source, power_state: powerState.running };
    expect(await world.row(instance.id)).to.include(row);
    expect(await world.volumeRow(volumeId)).to.include({ status: 'in-use', instance_id: instance.id });
    expect(await floatingHost(instance)).to.equal(source);
    const name = nameOf(instance);
    expect(await pair.source.driver.info(name)).to.deep.equal({ name, state: powerState.running });
    expect(await pair.destination.driver.info(name)).to.equal(undefined);
  }

  for (const [what, source, destination] of [
    ['the destination is not ready', {}, { fake_fail: ['incoming'] }],
    ['the machine cannot leave', { fake_fail: ['migratelive'] }, {}],
  ] as const) {
    it(`leaves the machine where it is when ${what}`, async () => {
      const pair = await open(source, destination);
      const { instance, volumeId } = await migrating(pair);
      expect(await move(pair, instance)).to.have.length(1);
      await expectUnmoved(pair, instance, volumeId);
      expect(await world.reason(instance.id)).to.contain(`could not be moved to ${pair.names[1]}`);
      expect(sent().filter((message) => (message as string[])[2] === 'remove_volume')).to.have.length(1);
    });
  }

  it('leaves the machine where it is when it has no address, or the destination is away', async () => {
    const pair = await open();
    const { instance, volumeId } = await migrating(pair);
    world.network.addresses.delete(instance.id);
    const [error] = await move(pair, instance);
    expect(error).to.have.property('name', 'FixedIpNotFoundForInstance');
    await expectUnmoved(pair, instance, volumeId);
    await world.api(instance.id, { vm_state: 'migrating' });
    pair.destination.runtime.halt();
    expect((await move(pair, instance))[0]).to.have.property('name', 'MessageNotDelivered');
    await pair.restart(1);
    await expectUnmoved(pair, instance, volumeId);
  });

  it('does nothing for a message which comes again', async () => {
    const pair = await open();
    const { instance } = await migrating(pair);
    await move(pair, instance);
    const before = await world.row(instance.id);
    expect(await move(pair, instance)).to.deep.equal([]);
    expect(await world.row(instance.id)).to.deep.equal(before);
  });

  it('is taken back when its message never came', async () => {
    const pair = await open();
    const { instance, volumeId } = await migrating(pair);
    const tick = async (): Promise<void> => {
      for (const task of pair.source.manager.periodicTasks) await task.run(pair.context);
    };
    await tick();
    expect(await world.row(instance.id)).to.include({ vm_state: 'migrating' });
    await world.db.run('UPDATE instances SET updated_at = ? WHERE id = ?', ['2011-01-01 00:00:00', instance.id]);
    await tick();
    await expectUnmoved(pair, instance, volumeId);
  });

  for (const which of [0, 1] as const) {
    it(`comes to an end wherever ${which === 0 ? 'the source' : 'the destination'} is killed`, async function () {
      this.timeout(120_000);
      for (let effect = 1; ; effect += 1) {
        const pair = await open();
        const { instance, volumeId } = await migrating(pair);
        const victim = which === 0 ? pair.source : pair.destination;
        victim.lifeline.effects = 0;
        victim.lifeline.killAfter = effect;
        await move(pair, instance);
        const survived = !victim.runtime.halted;
        await pair.restart(which);
        await pair.settle();
        const row = await world.row(instance.id);
        expect([row.vm_state, row.task_state]).to.deep.equal(['active', null]);
        const home = row.host === pair.names[0] ? pair.source : pair.destination;
        const other = home === pair.source ? pair.destination : pair.source;
        const name = nameOf(instance);
        expect(await home.driver.info(name)).to.deep.equal({ name, state: powerState.running });
        expect(await other.driver.info(name)).to.equal(undefined);
        expect(await world.volumeRow(volumeId)).to.include({ status: 'in-use' });
        expect(await floatingHost(instance)).to.equal(row.host);
        if (survived) {
          expect(effect).to.be.greaterThan(5);
          break;
        }
      }
    });
  }
});
