import { expect } from 'chai';
import { readFileSync } from 'node:fs';
import type { Cloud } from '../../../common/cloud/cloud.js';
import type { Context } from '../../../common/context.js';
import type { Values } from '../../../common/db/db.js';
import type { InstanceRow } from '../../../common/db/rows.js';
import { ComputePair } from '../../support/computePair.js';
import { ComputeWorld, userContext } from '../../support/computeWorld.js';
import { delivery } from '../../support/fakeRpc.js';
import { recordings } from '../../support/recordings.js';

type Recorded = { exchange: string; routing_key: string; body: { method?: string; args?: object; _msg_id?: string } };
type Write = { op: string; table: string; set: Record<string, unknown> };
const read = (path: string): unknown => JSON.parse(readFileSync(new URL(path, recordings), 'utf8'));

/** An operation as a door calls it, and the recorded flow which it begins. */
interface Door {
  readonly flow: string;
  readonly before?: Values<'instances'>;
  /** How many writes to the instance are the API's. */
  readonly writes: number;
  call(cloud: Cloud, context: Context, id: number): Promise<unknown>;
}

const doors: readonly Door[] = [
  { flow: 'osapi_pause', writes: 1, call: (cloud, context, id) => cloud.power.pause(context, id) },
  {
    flow: 'osapi_unpause',
    before: { vm_state: 'paused' },
    writes: 1,
    call: (cloud, context, id) => cloud.power.unpause(context, id),
  },
  { flow: 'osapi_suspend', writes: 1, call: (cloud, context, id) => cloud.power.suspend(context, id) },
  {
    flow: 'osapi_resume',
    before: { vm_state: 'suspended' },
    writes: 1,
    call: (cloud, context, id) => cloud.power.resume(context, id),
  },
  { flow: 'osapi_rescue', writes: 1, call: (cloud, context, id) => cloud.power.rescue(context, id) },
  {
    flow: 'osapi_unrescue',
    before: { vm_state: 'rescued' },
    writes: 1,
    call: (cloud, context, id) => cloud.power.unrescue(context, id),
  },
  {
    flow: 'osapi_rebuild',
    writes: 1,
    call: (cloud, context, id) =>
      cloud.rebuilds.rebuild(context, id, { displayName: 'os1b', metadata: { k: 'v' }, files: [] }),
  },
  { flow: 'osapi_resize', writes: 1, call: (cloud, context, id) => cloud.resizes.resize(context, id, 5) },
  { flow: 'osapi_migrate', writes: 1, call: (cloud, context, id) => cloud.resizes.migrate(context, id) },
  { flow: 'osapi_create_image', writes: 0, call: (cloud, context, id) => snapshot(cloud, context, id) },
  {
    flow: 'osapi_create_backup',
    writes: 0,
    call: (cloud, context, id) =>
      cloud.instanceImages.backup(context, id, { name: 'b', backupType: 'daily', rotation: 1 }),
  },
  {
    flow: 'osapi_change_password',
    writes: 0,
    call: (cloud, context, id) => cloud.guests.setAdminPassword(context, id, 'newpass1'),
  },
  { flow: 'osapi_reset_network', writes: 0, call: (cloud, context, id) => cloud.guests.resetNetwork(context, id) },
  {
    flow: 'osapi_inject_network_info',
    writes: 0,
    call: (cloud, context, id) => cloud.guests.injectNetworkInfo(context, id),
  },
  { flow: 'osapi_diagnostics', writes: 0, call: (cloud, context, id) => cloud.guests.diagnostics(context, id) },
  { flow: 'call_locked_lock', writes: 0, call: (cloud, context, id) => cloud.guests.lock(context, id) },
  { flow: 'call_locked_unlock', writes: 0, call: (cloud, context, id) => cloud.guests.unlock(context, id) },
];

const snapshot = (cloud: Cloud, context: Context, id: number): Promise<unknown> =>
  cloud.instanceImages.snapshot(context, id, { name: 's' });

const user = userContext();

describe('rules about operations on instances', () => {
  let world: ComputeWorld;
  let pair: ComputePair;
  let cloud: Cloud;

  before(async () => {
    world = await ComputeWorld.create();
    pair = await ComputePair.open(world, 1);
    cloud = pair.rules();
    await world.db.insert('services', { host: 'from1', binary: 'nova-compute', topic: 'compute', report_count: 0 });
  });

  const messages = (): unknown[] =>
    world.sent.map(({ kind, routingKey, method, args }) => [kind, routingKey, method, Object.keys(args).sort()]);
  const code = (work: Promise<unknown>): Promise<string> =>
    work.then(
      () => 'done',
      (error: Error & { code?: string }) => error.code ?? error.name,
    );
  const stateOf = (row: InstanceRow): unknown[] => [row.vm_state, row.task_state];
  /** Running, and registered with an image which can be used. */
  async function running(values: Values<'instances'> = {}): Promise<InstanceRow> {
    const image = world.images.add({ properties: { image_state: 'available' } });
    const row = await pair.running({ image_ref: image.id, ...values });
    world.forgetMessages();
    return row;
  }

  for (const { flow, before, writes, call } of doors) {
    it(`write and send what ${flow} recorded`, async () => {
      const { id } = await running();
      if (before !== undefined) await world.api(id, before);
      const then = await world.row(id);
      await call(cloud, user, id);
      const now = await world.row(id);
      const recorded = writes === 0 ? [] : (read(`db/writes/${flow}.json`) as Write[]);
      const [write] = recorded.filter(({ table }) => table === 'instances').slice(0, writes);
      const set = Object.fromEntries(Object.entries(write?.set ?? {}).filter(([column]) => column !== 'updated_at'));
      const changed = Object.entries(now).filter(
        ([column, value]) => column !== 'updated_at' && value !== then[column as keyof InstanceRow],
      );
      expect(Object.fromEntries(changed)).to.deep.equal(set);
      const [asked] = (read(`amqp/flows/${flow}.json`) as Recorded[]).filter(({ exchange }) => exchange === 'nova');
      const { routing_key: key, body } = asked!;
      expect(messages()).to.deep.equal([
        [
          body._msg_id ? 'call' : 'cast',
          key.replace('cloud1', 'from1'),
          body.method,
          Object.keys(body.args ?? {}).sort(),
        ],
      ]);
    });
  }

  it('let one of racing operations win, and refuse the others', async () => {
    const { id } = await running();
    const results = await Promise.all([
      code(cloud.power.pause(user, id)),
      code(cloud.power.suspend(user, id)),
      code(cloud.power.rescue(user, id)),
      code(cloud.resizes.resize(user, id, 5)),
    ]);
    expect(results.filter((result) => result === 'done')).to.have.length(1);
    expect(results.filter((result) => result === 'IncorrectInstanceState')).to.have.length(3);
    expect(world.sent).to.have.length(1);
  });

  it('refuse strangers, locked instances, wrong states, and instances on no host', async () => {
    const all = doors.filter(({ flow }) => !flow.startsWith('call_') && flow !== 'osapi_diagnostics');
    const { id } = await running();
    const stranger = userContext({ projectId: 'other' });
    for (const { flow, call } of all) expect(await code(call(cloud, stranger, id)), flow).to.equal('InstanceNotFound');
    await world.api(id, { locked: true });
    for (const { flow, call } of all) expect(await code(call(cloud, user, id)), flow).to.equal('OperationNotPermitted');
    expect(await code(cloud.power.pause(userContext({ isAdmin: true }), id))).to.equal('done');
    const building = await world.instance({ uuid: '00000000-0000-4000-8000-0000000000bb' });
    const states = all.filter(({ flow }) => flow !== 'osapi_change_password');
    for (const { flow, call } of states)
      expect(await code(call(cloud, user, building)), flow).to.equal('IncorrectInstanceState');
    world.forgetMessages();
    await world.api(building, { host: 'from1', vm_state: 'building', task_state: 'spawning' });
    for (const { flow, call, writes } of all) {
      if (writes > 0) expect(await code(call(cloud, user, building)), flow).to.equal('IncorrectInstanceState');
    }
    expect(world.sent).to.deep.equal([]);
  });

  it('take the change back when the host cannot be told', async () => {
    const { id } = await running();
    await world.api(id, { host: 'nowhere' });
    const unreachable = pair.rules();
    const images = (await unreachable.parts.images.detail(user)).length;
    const { rpc } = unreachable.parts;
    const failing = new Proxy(
      {},
      { get: () => () => Promise.reject(Object.assign(new Error('away'), { code: 'away' })) },
    );
    Object.assign(rpc, { computeOn: () => ({ cast: failing, call: failing }), scheduler: { cast: failing } });
    for (const { flow, call, before, writes } of doors) {
      if (writes === 0 && !flow.includes('image')) continue;
      await world.api(id, { vm_state: 'active', task_state: null, ...before });
      const then = stateOf(await world.row(id));
      expect(await code(call(unreachable, user, id)), flow).to.equal('away');
      expect(stateOf(await world.row(id)), flow).to.deep.equal(then);
    }
    expect((await unreachable.parts.images.detail(user)).length).to.equal(images);
  });

  it('wait for a host to set a password on, for a while', async () => {
    const id = await world.instance({ uuid: '00000000-0000-4000-8000-0000000000cc' });
    let slept = 0;
    const sleep = async (): Promise<void> => {
      slept += 1;
      if (slept === 3) await world.api(id, { host: 'from1' });
    };
    const waiting = pair.rules();
    Object.assign(waiting.parts.runtime, { sleep });
    world.forgetMessages();
    await waiting.guests.setAdminPassword(user, id, 'newpass1');
    expect(slept).to.equal(3);
    expect(world.sent).to.have.length(1);
    await world.api(id, { host: null });
    slept = 100;
    const error: unknown = await waiting.guests.setAdminPassword(user, id, null).catch((thrown: unknown) => thrown);
    expect(error).to.have.property('message', `Unable to find host for Instance ${id}`);
    expect(slept).to.equal(130);
  });

  it('resize: compares memory, and keeps the quota', async () => {
    const { id } = await running({ memory_mb: 2048, vcpus: 1, instance_type_id: 5, project_id: 'small' });
    const owner = userContext({ projectId: 'small' });
    const { resizes } = cloud;
    expect(await code(resizes.resize(owner, id, 2))).to.equal('CannotResizeToSmallerSize');
    expect(await code(resizes.resize(owner, id, 5))).to.equal('CannotResizeToSameSize');
    expect(await code(resizes.resize(owner, id, 99))).to.equal('InstanceTypeNotFound');
    await world.db.insert('quotas', { project_id: 'small', resource: 'ram', hard_limit: 3000 });
    expect(await code(resizes.resize(owner, id, 1))).to.equal('InstanceLimitExceeded');
    expect(await code(resizes.confirm(owner, id))).to.equal('MigrationNotFoundByStatus');
    expect(await code(resizes.revert(owner, id))).to.equal('MigrationNotFoundByStatus');
    expect(stateOf(await world.row(id))).to.deep.equal(['active', null]);
    expect(await code(resizes.moveLive(owner, id, 'to1', { block: false }))).to.equal('AdminRequired');
  });

  it('rebuild: from another image with its own kernel, within the quota of files, also out of error', async () => {
    const { id } = await running();
    const image = world.images.add({ properties: { kernel_id: '8', image_state: 'available' } });
    const { rebuilds } = cloud;
    const many = Array.from({ length: 6 }, () => ({ path: '/x', contents: 'x' }));
    expect(await code(rebuilds.rebuild(user, id, { files: many }))).to.equal('OnsetFileLimitExceeded');
    const large = [{ path: '/x', contents: 'x'.repeat(10_241) }];
    expect(await code(rebuilds.rebuild(user, id, { files: large }))).to.equal('OnsetFileContentLimitExceeded');
    const huge = world.images.add({ properties: { image_state: 'available' } });
    Object.assign(huge, { size: 21 * 1024 ** 3 });
    await world.api(id, { local_gb: 20 });
    expect(await code(rebuilds.rebuild(user, id, { imageRef: huge.id }))).to.equal('ImageTooLarge');
    expect(stateOf(await world.row(id))).to.deep.equal(['active', null]);
    await world.api(id, { vm_state: 'error' });
    const { adminPassword } = await rebuilds.rebuild(user, id, { imageRef: image.id });
    expect(adminPassword).to.have.length(12);
    expect(await world.row(id)).to.include({ image_ref: image.id, kernel_id: '8', task_state: 'rebuilding' });
    expect(await pair.settle()).to.deep.equal([]);
    expect(stateOf(await world.row(id))).to.deep.equal(['active', null]);
  });

  it('create image: registers the recorded properties, and snapshots volumes which came from snapshots', async () => {
    const { id, uuid } = await running();
    const volumeId = await world.volume({ status: 'in-use', attach_status: 'attached', instance_id: id });
    await world.db.insert('block_device_mapping', {
      instance_id: id,
      device_name: '/dev/vdc',
      snapshot_id: 7,
      volume_id: volumeId,
      delete_on_termination: true,
    });
    const made = await cloud.instanceImages.createImage(user, id, { name: 'mine' });
    expect(made).to.include({ name: 'mine', is_public: false });
    expect(made.properties).to.include({
      instance_uuid: uuid,
      user_id: 'joe',
      project_id: 'acme',
      image_state: 'creating',
      image_type: 'snapshot',
      backup_type: null,
    });
    expect(await pair.settle()).to.deep.equal([]);
    const [taken] = await world.db.all<{ id: number; volume_id: number }>('SELECT id, volume_id FROM snapshots');
    expect(taken).to.include({ volume_id: volumeId });
    const image = world.images.get(made.id)!;
    expect(image).to.include({ status: 'active' });
    expect(JSON.parse(image.properties['block_device_mapping']!)).to.deep.equal([
      { device_name: '/dev/vdc', snapshot_id: taken!.id, delete_on_termination: true },
    ]);
    await world.api(id, { vm_state: 'rescued' });
    expect(await code(cloud.instanceImages.createImage(user, id, { name: 'x' }))).to.equal('IncorrectInstanceState');
  });

  it('consoles: authorize the token with the proxy, as recorded, and answer its URL', async () => {
    const { id } = await running();
    const ajax = await cloud.guests.ajaxConsole(user, id);
    const vnc = await cloud.guests.vncConsole(user, id);
    expect(ajax.url).to.equal('http://127.0.0.1:8000/?token=FAKETOKEN');
    expect(vnc.url).to.equal('http://127.0.0.1:6080/vnc_auto.html?token=FAKETOKEN&host=hostignore&port=portignore');
    const recorded = (read('amqp/flows/consoles.json') as Recorded[]).filter(({ exchange }) => exchange === 'nova');
    expect(messages()).to.deep.equal(
      recorded.map(({ routing_key: key, body }) => [
        body._msg_id ? 'call' : 'cast',
        key.replace('cloud1', 'from1'),
        body.method,
        Object.keys(body.args ?? {}).sort(),
      ]),
    );
    await world.api(id, { vm_state: 'stopped' });
    expect(await code(cloud.guests.vncConsole(user, id))).to.equal('IncorrectInstanceState');
  });

  it('hosts: are for administrators, and must be there', async () => {
    const admin = userContext({ isAdmin: true });
    world.forgetMessages();
    expect(await code(cloud.hostControl.setEnabled(user, 'from1', true))).to.equal('AdminRequired');
    expect(await code(cloud.hostControl.setEnabled(admin, 'nowhere', true))).to.equal('ComputeHostNotFound');
    expect(await cloud.hostControl.setEnabled(admin, 'from1', true)).to.equal(null);
    expect(await cloud.hostControl.powerAction(admin, 'from1', 'reboot')).to.equal(null);
    expect(messages()).to.deep.equal([
      ['call', 'compute.from1', 'set_host_enabled', ['enabled']],
      ['call', 'compute.from1', 'host_power_action', ['action']],
    ]);
  });

  it('attributes: of stopped instances only, but texts always', async () => {
    const { id } = await running();
    const { instanceAttributes: attributes } = cloud;
    await attributes.setTexts(user, id, { name: 'new name', description: '' });
    expect(await world.row(id)).to.include({ display_name: 'new name', display_description: '' });
    expect(await code(attributes.setTexts(user, id, { name: 'x'.repeat(256) }))).to.equal('InvalidParameterValue');
    expect(await code(attributes.setType(user, id, 'm1.small'))).to.equal('IncorrectInstanceState');
    expect(await code(attributes.setUserData(user, id, 'eA=='))).to.equal('IncorrectInstanceState');
    await world.api(id, { task_state: 'stopping' });
    await pair.source.manager.handlers.stop_instance(user, { instance_id: id }, delivery());
    await attributes.setType(user, id, 'm1.small');
    await attributes.setUserData(user, id, 'eA==');
    await attributes.setBootImage(user, id, 'kernel', '1234');
    expect(await world.row(id)).to.include({
      instance_type_id: 5,
      memory_mb: 2048,
      local_gb: 20,
      user_data: 'eA==',
      kernel_id: '1234',
    });
    expect(await code(attributes.setType(user, id, 'm9.none'))).to.equal('InstanceTypeNotFoundByName');
    expect(await code(attributes.setUserData(user, id, 'x'.repeat(65_537)))).to.equal('InvalidParameterValue');
  });
});
