import { expect } from 'chai';
import type { Values } from '../../../common/db/db.js';
import type { ComputeRpc } from '../../../common/rpc/compute.js';
import type { RpcHandlers } from '../../../common/rpc/types.js';
import { powerState } from '../../../nova-compute/virt/driver.js';
import { ComputeWorld, userContext, type TestCompute } from '../../support/computeWorld.js';
import { delivery } from '../../support/fakeRpc.js';

const context = userContext();
const nameOf = (id: number): string => `instance-${id.toString(16).padStart(8, '0')}`;
type Method = 'pause_instance' | 'unpause_instance' | 'suspend_instance' | 'resume_instance' | 'rescue_instance';
type Handlers = RpcHandlers<ComputeRpc>;

/** One operation: what the API writes, and what is true when it has ended or failed. */
interface Operation {
  readonly name: string;
  readonly method: Method | 'unrescue_instance' | 'rebuild_instance' | 'snapshot_instance';
  /** The operation which comes before. */
  readonly first?: Method;
  readonly api: Values<'instances'>;
  /** The word of fake_fail. */
  readonly fails: string;
  readonly before: string;
  readonly after: string;
  /** The states in which it may be after a crash. */
  readonly crashed: readonly string[];
}

const operations: readonly Operation[] = [
  {
    name: 'pause',
    method: 'pause_instance',
    api: { task_state: 'pausing' },
    fails: 'pause',
    before: 'active',
    after: 'paused',
    crashed: ['paused'],
  },
  {
    name: 'unpause',
    method: 'unpause_instance',
    first: 'pause_instance',
    api: { task_state: 'unpausing' },
    fails: 'unpause',
    before: 'paused',
    after: 'active',
    crashed: ['active'],
  },
  {
    name: 'suspend',
    method: 'suspend_instance',
    api: { task_state: 'suspending' },
    fails: 'suspend',
    before: 'active',
    after: 'suspended',
    crashed: ['suspended'],
  },
  {
    name: 'resume',
    method: 'resume_instance',
    first: 'suspend_instance',
    api: { task_state: 'resuming' },
    fails: 'resume',
    before: 'suspended',
    after: 'active',
    crashed: ['active'],
  },
  {
    name: 'rescue',
    method: 'rescue_instance',
    api: { task_state: 'rescuing' },
    fails: 'rescue',
    before: 'active',
    after: 'rescued',
    crashed: ['rescued'],
  },
  {
    name: 'unrescue',
    method: 'unrescue_instance',
    first: 'rescue_instance',
    api: { task_state: 'unrescuing' },
    fails: 'unrescue',
    before: 'rescued',
    after: 'active',
    crashed: ['active'],
  },
  {
    name: 'rebuild',
    method: 'rebuild_instance',
    api: { task_state: 'rebuilding' },
    fails: 'spawn',
    before: 'error',
    after: 'active',
    crashed: ['active', 'error'],
  },
  {
    name: 'snapshot',
    method: 'snapshot_instance',
    api: {},
    fails: 'snapshot',
    before: 'active',
    after: 'active',
    crashed: ['active'],
  },
];

const machineStates: Readonly<Record<string, number | undefined>> = {
  active: powerState.running,
  rescued: powerState.running,
  paused: powerState.paused,
  suspended: powerState.suspended,
  error: undefined,
};

describe('operations of nova-compute which fail or are cut off', function () {
  this.timeout(60_000);
  let world: ComputeWorld;
  let hosts = 0;

  before(async () => {
    world = await ComputeWorld.create();
  });
  afterEach(() => {
    world.images.failure = null;
    world.forgetMessages();
  });

  const newHost = (): string => `host${(hosts += 1)}`;

  /** An instance as the API leaves it before the message; the image of a snapshot is there. */
  async function prepare(operation: Operation, on: TestCompute): Promise<{ id: number; imageId: string }> {
    const id = await world.instance({ uuid: on.runtime.random.uuid() });
    await on.manager.handlers.run_instance(context, { instance_id: id }, delivery());
    if (operation.first !== undefined) {
      await on.manager.handlers[operation.first](context, { instance_id: id }, delivery());
    }
    const { uuid } = await world.row(id);
    const properties = { instance_uuid: uuid, image_type: 'snapshot', image_state: 'creating' };
    const imageId = operation.name === 'snapshot' ? world.images.add({ properties }).id : '';
    if (Object.keys(operation.api).length > 0) await world.api(id, operation.api);
    return { id, imageId };
  }

  const message = (operation: Operation, handlers: Handlers, id: number, imageId: string): Promise<unknown> =>
    operation.method === 'snapshot_instance'
      ? handlers.snapshot_instance(context, { instance_id: id, image_id: imageId }, delivery())
      : handlers[operation.method](context, { instance_id: id }, delivery());

  async function expectSound(on: TestCompute, id: number): Promise<string> {
    const row = await world.row(id);
    expect(row.task_state).to.equal(null);
    const state = (await on.driver.info(nameOf(id)))?.state;
    expect(state, `${row.vm_state}`).to.equal(machineStates[row.vm_state!]);
    if (row.vm_state !== 'error') expect(row.power_state).to.equal(state);
    return row.vm_state!;
  }

  for (const operation of operations) {
    it(`leaves an instance ${operation.before}, with the reason, when its ${operation.name} fails`, async () => {
      const host = newHost();
      const on = await world.compute(host);
      const { id, imageId } = await prepare(operation, on);
      Object.assign(on.runtime, { flags: { ...on.runtime.flags, fake_fail: [operation.fails] } });
      const error: unknown = await message(operation, on.manager.handlers, id, imageId).catch(
        (thrown: unknown) => thrown,
      );
      expect(error).to.have.property('message').that.contains('--fake_fail');
      expect(await expectSound(on, id)).to.equal(operation.before);
      expect(await world.reason(id)).to.contain('fake_fail');
      expect(world.images.get(imageId)).to.equal(undefined);
      const told = world.sent.filter(({ routingKey }) => routingKey === 'notifications.error');
      expect(told.map(({ method }) => method)).to.deep.equal([operation.method]);
    });

    it(`brings ${operation.name} to an end, wherever it was cut off`, async () => {
      for (let effect = 1; ; effect += 1) {
        const host = newHost();
        const victim = await world.compute(host);
        const { id, imageId } = await prepare(operation, victim);
        victim.lifeline.effects = 0;
        victim.lifeline.killAfter = effect;
        const done = await Promise.race([
          message(operation, victim.manager.handlers, id, imageId).then(() => true),
          victim.lifeline.death.then(() => false),
        ]);
        if (done && !victim.runtime.halted) {
          expect(effect).to.be.greaterThan(2);
          break;
        }
        const successor = await world.compute(host);
        // the message was not acknowledged, so it comes again; if it was, it must not harm
        await message(operation, successor.manager.handlers, id, imageId).catch(() => undefined);
        const state = await expectSound(successor, id);
        expect(operation.crashed).to.include(state);
        if (state === 'error') expect(await world.reason(id)).to.contain('restarted while');
        const image = world.images.get(imageId);
        if (image !== undefined) expect(image.status).to.equal('active');
      }
    });
  }

  it('can rebuild again what could not be rebuilt', async () => {
    const on = await world.compute(newHost());
    const rebuild = operations.find(({ name }) => name === 'rebuild')!;
    const { id } = await prepare(rebuild, on);
    const { flags } = on.runtime;
    Object.assign(on.runtime, { flags: { ...flags, fake_fail: ['spawn'] } });
    await message(rebuild, on.manager.handlers, id, '').catch(() => undefined);
    Object.assign(on.runtime, { flags });
    await world.api(id, { vm_state: 'active', task_state: 'rebuilding' });
    await message(rebuild, on.manager.handlers, id, '');
    expect(await expectSound(on, id)).to.equal('active');
  });

  it('removes the image, and says why, when the image service does not take the bits', async () => {
    const on = await world.compute(newHost());
    const snapshot = operations.find(({ name }) => name === 'snapshot')!;
    const { id, imageId } = await prepare(snapshot, on);
    world.images.failure = new Error('no space left on device');
    await message(snapshot, on.manager.handlers, id, imageId).catch(() => undefined);
    expect(world.images.get(imageId)).to.equal(undefined);
    expect(await expectSound(on, id)).to.equal('active');
    expect(await world.reason(id)).to.contain('no space left on device');
  });

  it('refuses rotations which make no sense, and images of nobody', async () => {
    const on = await world.compute(newHost());
    const { id } = await prepare(operations[0]!, on);
    const { handlers } = on.manager;
    for (const [args, name] of [
      [{ image_type: 'snapshot', rotation: 2 }, 'ImageRotationNotAllowed'],
      [{ image_type: 'backup' }, 'RotationRequiredForBackup'],
      [{ image_type: 'photo' }, 'Error'],
      [{ instance_id: 999_999 }, 'InstanceNotFound'],
    ] as const) {
      const error: unknown = await handlers
        .snapshot_instance(context, { instance_id: id, image_id: '1', ...args }, delivery())
        .catch((thrown: unknown) => thrown);
      expect(error).to.have.property('name', name);
    }
  });

  it('does not obey when the instance is in another state, or the message comes again', async () => {
    const on = await world.compute(newHost());
    const { id } = await prepare(operations[1]!, on);
    await world.api(id, { task_state: null });
    const before = await world.row(id);
    const again = { ...delivery(), redelivered: true };
    await on.manager.handlers.unpause_instance(context, { instance_id: id }, again);
    await on.manager.handlers.suspend_instance(context, { instance_id: id }, delivery());
    await on.manager.handlers.rebuild_instance(context, { instance_id: id }, delivery());
    expect(await world.row(id)).to.deep.equal(before);
  });

  it('asks a guest ten times to take a password, and never writes it down', async () => {
    const on = await world.compute(newHost(), { fake_fail: ['password'] });
    const { id } = await prepare(operations[0]!, on);
    await world.api(id, { task_state: null });
    Object.assign(on.runtime, { sleep: async () => undefined });
    const error: unknown = await on.manager.handlers
      .set_admin_password(context, { instance_id: id, new_pass: 'pa55word' }, delivery())
      .catch((thrown: unknown) => thrown);
    expect(error).to.include({ name: 'Error', message: 'Internal error' });
    const attempts = on.log.lines.filter((line) => JSON.stringify(line).includes('set_admin_password failed'));
    expect(attempts).to.have.length(10);
    expect(JSON.stringify([on.log.lines, world.sent])).to.not.contain('pa55word');
    await on.driver.pause(nameOf(id));
    const refusal: unknown = await on.manager.handlers
      .set_admin_password(context, { instance_id: id }, delivery())
      .catch((thrown: unknown) => thrown);
    expect(refusal).to.have.property('message', 'Instance is not running');
  });
});
