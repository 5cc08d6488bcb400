import { expect } from 'chai';
import { readFileSync } from 'node:fs';
import { powerState } from '../../../nova-compute/virt/driver.js';
import { ComputePair, nameOf } from '../../support/computePair.js';
import { ComputeWorld, userContext } from '../../support/computeWorld.js';
import { delivery } from '../../support/fakeRpc.js';
import { recordings } from '../../support/recordings.js';

type Body = { method?: string; args?: Record<string, unknown>; _msg_id?: string };
type Message = { exchange: string; routing_key: string; body: Body };
const read = (path: string): unknown => JSON.parse(readFileSync(new URL(path, recordings), 'utf8'));

/** The messages of a recorded flow from the first to a compute on; the hosts by their part. */
function recorded(flow: string, source: string, destination: string): unknown[] {
  const all = (read(`amqp/flows/${flow}.json`) as Message[]).filter(
    ({ exchange, body }) => exchange === 'nova' && typeof body.method === 'string',
  );
  const start = all.findIndex(({ routing_key: key }) => key.startsWith('compute.'));
  const key = (routingKey: string): string =>
    routingKey.replace('compute.cloud1', `compute.${source}`).replace('compute.cloud2', `compute.${destination}`);
  return all
    .slice(start)
    .map(({ routing_key, body }) => [
      body._msg_id ? 'call' : 'cast',
      key(routing_key),
      body.method,
      Object.keys(body.args ?? {}).sort(),
    ]);
}

describe('a resize between two nova-computes', () => {
  let world: ComputeWorld;
  let count = 0;

  before(async () => {
    world = await ComputeWorld.create();
  });
  afterEach(() => world.forgetMessages());

  const open = (...flags: [] | [object, object]): Promise<ComputePair> =>
    ComputePair.open(world, (count += 1), flags.length === 0 ? [{}, {}] : [flags[0], flags[1]]);
  const sent = (): unknown[] =>
    world.sent
      .filter(({ kind, routingKey }) => kind !== 'notify' && routingKey !== 'scheduler')
      .map(({ kind, routingKey, method, args }) => [kind, routingKey, method, Object.keys(args).sort()]);
  const notified = (): string[] => world.sent.filter(({ kind }) => kind === 'notify').map(({ method }) => method);

  async function resized(pair: ComputePair): ReturnType<ComputePair['running']> {
    const instance = await pair.running();
    expect(await pair.resize(instance)).to.deep.equal([]);
    return instance;
  }

  it('sends the recorded messages, goes through the recorded states, and waits for its owner', async () => {
    const pair = await open();
    const [source, destination] = pair.names;
    const instance = await resized(pair);
    expect(sent()).to.deep.equal(recorded('osapi_resize', source, destination));
    expect(await world.states(instance.id)).to.deep.equal([
      ['resizing', 'resize_prep', 1, source],
      ['active', 'resize_verify', 1, source],
    ]);
    expect(await world.row(instance.id)).to.include({ memory_mb: 2048, local_gb: 20, vcpus: 1, instance_type_id: 5 });
    expect(await pair.migration(instance)).to.include({
      source_compute: source,
      dest_compute: destination,
      dest_host: pair.destination.runtime.flags.my_ip,
      status: 'finished',
      old_instance_type_id: 2,
      new_instance_type_id: 5,
    });
    const name = nameOf(instance);
    expect(await pair.source.driver.info(name)).to.include({ role: 'outgoing', state: powerState.shutoff });
    expect(await pair.destination.driver.info(name)).to.deep.equal({ name, state: powerState.running });
    expect(notified()).to.deep.equal(['compute.instance.resize.prep']);
  });

  it('is confirmed: the instance is on its new host, nothing of it on the old one', async () => {
    const pair = await open();
    const [source, destination] = pair.names;
    const instance = await resized(pair);
    world.forgetMessages();
    await world.db.run('DELETE FROM test_states');
    await pair.rules().resizes.confirm(userContext(), instance.id);
    expect(await pair.settle()).to.deep.equal([]);
    expect(sent()).to.deep.equal(recorded('osapi_confirm_resize', source, destination));
    expect(await world.states(instance.id)).to.deep.equal([
      ['active', null, 1, source],
      ['active', null, 1, destination],
    ]);
    expect(await pair.migration(instance)).to.include({ status: 'confirmed' });
    expect(await pair.source.driver.list()).to.deep.equal([]);
    expect(notified()).to.deep.equal(['compute.instance.resize.confirm']);
  });

  it('is taken back: the instance runs where it was, as it was', async () => {
    const pair = await open();
    const [source, destination] = pair.names;
    const instance = await resized(pair);
    world.forgetMessages();
    await pair.rules().resizes.revert(userContext(), instance.id);
    expect(await world.row(instance.id)).to.include({ vm_state: 'active', task_state: null });
    expect(await pair.migration(instance)).to.include({ status: 'reverted' });
    expect(await pair.settle()).to.deep.equal([]);
    // the source asks for the network before it starts the machine; 2011.3's driver has no machine to start
    const recordedOnes = recorded('osapi_revert_resize', source, destination);
    expect(sent().slice(0, recordedOnes.length)).to.deep.equal(recordedOnes);
    const { memory_mb, local_gb, vcpus, instance_type_id } = instance;
    expect(await world.row(instance.id)).to.include({
      vm_state: 'active',
      task_state: null,
      host: source,
      memory_mb,
      local_gb,
      vcpus,
      instance_type_id,
    });
    const name = nameOf(instance);
    expect(await pair.source.driver.info(name)).to.deep.equal({ name, state: powerState.running });
    expect(await pair.destination.driver.list()).to.deep.equal([]);
    expect(notified()).to.deep.equal(['compute.instance.resize.revert']);
  });

  it('lets one of confirm and revert win', async () => {
    const pair = await open();
    const instance = await resized(pair);
    const { resizes } = pair.rules();
    const results = await Promise.allSettled([
      resizes.confirm(userContext(), instance.id),
      resizes.revert(userContext(), instance.id),
      resizes.confirm(userContext(), instance.id),
    ]);
    expect(results.filter(({ status }) => status === 'fulfilled')).to.have.length(1);
    await pair.settle();
    const row = await world.row(instance.id);
    const home = row.host === pair.names[0] ? pair.source : pair.destination;
    const other = home === pair.source ? pair.destination : pair.source;
    expect(await home.driver.info(nameOf(instance))).to.deep.include({ state: powerState.running });
    expect(await other.driver.list()).to.deep.equal([]);
  });

  it('takes the volumes along, and brings them back', async () => {
    const pair = await open();
    const instance = await pair.running();
    const volumeId = await world.volume();
    const args = { instance_id: instance.id, volume_id: volumeId, mountpoint: '/dev/vdb' };
    await pair.source.manager.handlers.attach_volume(pair.context, args, delivery());
    await pair.resize(instance);
    expect(await pair.destination.driver.volumeDisks(nameOf(instance))).to.have.nested.property(
      '[0].mountpoint',
      '/dev/vdb',
    );
    await pair.rules().resizes.revert(userContext(), instance.id);
    await pair.settle();
    expect(await pair.source.driver.volumeDisks(nameOf(instance))).to.have.nested.property(
      '[0].mountpoint',
      '/dev/vdb',
    );
    expect(await world.volumeRow(volumeId)).to.include({ status: 'in-use', instance_id: instance.id });
  });

  it('leaves an instance as it was when its own host is asked to take it', async () => {
    const pair = await open();
    const instance = await pair.running();
    await world.api(instance.id, { vm_state: 'resizing', task_state: 'resize_prep' });
    const args = { instance_id: instance.uuid!, instance_type_id: 5 };
    const error: unknown = await pair.source.manager.handlers
      .prep_resize(pair.context, args, delivery())
      .catch((thrown: unknown) => thrown);
    expect(error).to.have.property('message', 'Migration error: destination same as source!');
    expect(await world.row(instance.id)).to.include({ vm_state: 'active', task_state: null });
    expect(await world.reason(instance.id)).to.contain('destination same as source');
  });

  it('gives an instance to one of two hosts which are asked', async () => {
    const pair = await open();
    const third = await world.compute(`third${count}`);
    const instance = await pair.running();
    await world.api(instance.id, { vm_state: 'resizing', task_state: 'resize_prep' });
    const args = { instance_id: instance.uuid!, instance_type_id: 5 };
    await Promise.all(
      [pair.destination, third, pair.destination].map((on) =>
        on.manager.handlers.prep_resize(pair.context, args, delivery()),
      ),
    );
    await pair.settle();
    const machines = await Promise.all([pair.destination, third].map((on) => on.driver.list()));
    expect(machines.flat()).to.have.length(1);
    expect(await world.row(instance.id)).to.include({ vm_state: 'active', task_state: 'resize_verify' });
  });

  const failures: readonly [what: string, source: object, destination: object, reason: RegExp][] = [
    ['the source cannot let go', { fake_fail: ['migrateout'] }, {}, /could not be resized: .*migrateout/],
    ['the destination cannot start it', {}, { fake_fail: ['finishmigration'] }, /could not be resized: .*finishmig/],
  ];
  for (const [what, source, destination, reason] of failures) {
    it(`leaves an instance running as it was when ${what}`, async () => {
      const pair = await open(source, destination);
      const instance = await pair.running();
      const errors = await pair.resize(instance);
      expect(errors).to.have.length(1);
      const { memory_mb, instance_type_id } = instance;
      expect(await world.row(instance.id)).to.include({
        vm_state: 'active',
        task_state: null,
        host: pair.names[0],
        memory_mb,
        instance_type_id,
      });
      expect(await world.reason(instance.id)).to.match(reason);
      const name = nameOf(instance);
      expect(await pair.source.driver.info(name)).to.deep.equal({ name, state: powerState.running });
      expect(await pair.destination.driver.list()).to.deep.equal([]);
      expect((await pair.migration(instance))?.status).to.be.oneOf(['error', 'reverted']);
    });
  }

  it('leaves an instance in error when its machine cannot be started again', async () => {
    const pair = await open({ fake_fail: ['revertmigration'] }, { fake_fail: ['finishmigration'] });
    const instance = await pair.running();
    await pair.resize(instance);
    expect(await world.row(instance.id)).to.include({ vm_state: 'error', task_state: null });
    expect(await world.reason(instance.id)).to.contain('could not be taken back');
  });

  it('leaves nothing on either host when the instance is terminated meanwhile', async () => {
    const pair = await open();
    const instance = await resized(pair);
    await world.api(instance.id, { task_state: 'deleting' });
    await pair.source.manager.handlers.terminate_instance(pair.context, { instance_id: instance.id }, delivery());
    await pair.settle();
    expect(await pair.source.driver.list()).to.deep.equal([]);
    expect(await pair.destination.driver.list()).to.deep.equal([]);
    expect(await world.row(instance.id)).to.include({ deleted: true });
  });

  /** An instance runs on exactly the host of its row, and nobody is in the middle of anything. */
  async function expectSound(pair: ComputePair, id: number): Promise<void> {
    const row = await world.row(id);
    expect([row.vm_state, row.task_state], JSON.stringify(await world.states(id))).to.deep.equal(
      row.task_state === 'resize_verify' ? ['active', 'resize_verify'] : ['active', null],
    );
    const name = nameOf(row);
    const there = [await pair.source.driver.info(name), await pair.destination.driver.info(name)];
    const running = { name, state: powerState.running };
    if (row.task_state === 'resize_verify') {
      expect(there[0]).to.include({ role: 'outgoing' });
      expect(there[1]).to.deep.equal(running);
      expect(row).to.include({ instance_type_id: 5, memory_mb: 2048 });
    } else {
      const home = row.host === pair.names[0] ? 0 : 1;
      expect(there[home]).to.deep.equal(running);
      expect(there[1 - home]).to.equal(undefined);
      expect(row.instance_type_id).to.equal(home === 0 ? 2 : 5);
    }
  }

  for (const which of [0, 1] as const) {
    const side = which === 0 ? 'the source' : 'the destination';
    for (const end of ['confirm', 'revert'] as const) {
      it(`comes to an end wherever ${side} is killed, up to its ${end}`, async function () {
        this.timeout(120_000);
        for (let effect = 1; ; effect += 1) {
          const pair = await open();
          const victim = which === 0 ? pair.source : pair.destination;
          const instance = await pair.running();
          victim.lifeline.effects = 0;
          victim.lifeline.killAfter = effect;
          await pair.resize(instance);
          await pair
            .rules()
            .resizes[end](userContext(), instance.id)
            .catch(() => undefined);
          await pair.settle();
          const survived = !victim.runtime.halted;
          // whatever it had not acknowledged comes again; it may as well not
          await pair.restart(which);
          await pair.settle();
          await expectSound(pair, instance.id);
          if (survived) {
            expect(effect).to.be.greaterThan(8);
            break;
          }
        }
      });
    }
  }

  it('survives being killed during the recovery itself, on either side', async function () {
    this.timeout(120_000);
    for (const which of [0, 1] as const) {
      for (const effect of [5, 9, 13]) {
        for (let again = 1; ; again += 1) {
          const pair = await open();
          const victim = which === 0 ? pair.source : pair.destination;
          const instance = await pair.running();
          victim.lifeline.effects = 0;
          victim.lifeline.killAfter = effect;
          await pair.resize(instance);
          const second = world.newCompute(pair.names[which]);
          second.lifeline.killAfter = again;
          await Promise.race([second.manager.initHost(pair.context), second.lifeline.death]);
          await pair.settle();
          const survived = !second.runtime.halted;
          await pair.restart(which);
          await pair.settle();
          await expectSound(pair, instance.id);
          if (survived) break;
        }
      }
    }
  });
});
