import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'chai';
import type { Context } from '../../../common/context.js';
import { reserveInstanceHost, waitingForRun } from '../../../common/db/scheduling.js';
import { projectRoot } from '../../../common/projectRoot.js';
import { dbTime } from '../../../common/time.js';
import { caller, VolumeWorld, type TestDaemon } from '../../support/volumeWorld.js';

const simple = { scheduler_driver: 'nova.scheduler.simple.SimpleScheduler' };
const noHost = 'Scheduler was unable to locate a host for this request. Is the appropriate service running?';

interface Recorded {
  exchange: string;
  routing_key: string;
  body: {
    method: string;
    args: Record<string, unknown>;
    result?: unknown;
    failure?: [string, string, string[]] | null;
  };
}
function recording(flow: string): Recorded[] {
  return JSON.parse(readFileSync(`${projectRoot()}/test/recordings/amqp/flows/${flow}.json`, 'utf8')) as Recorded[];
}

describe('nova-scheduler', () => {
  let world: VolumeWorld;
  let scheduler: TestDaemon;
  beforeEach(async () => {
    world = await VolumeWorld.create();
  });

  const ask = (method: string, args: Record<string, unknown>, context?: Context): Promise<unknown> =>
    world.ask(scheduler, method, args, context);
  const run = (id: number, context?: Context): Promise<unknown> =>
    ask('run_instance', { topic: 'compute', instance_id: id, request_spec: null }, context);
  const toWhom = (): string[] => world.sent.map((sent) => `${sent.method} ${sent.routingKey}`);
  const longAgo = (): string => dbTime(world.runtime.clock.now() - 3_600_000);

  for (const flow of ['simple_scheduler_run', 'simple_scheduler_run_pinned']) {
    it(`passes run_instance on as in the recording ${flow}`, async () => {
      scheduler = await world.scheduler(simple);
      const [asked, passed] = recording(flow);
      const host = passed!.routing_key.split('.')[1]!;
      await world.service(host, 'compute');
      const id = Number(asked!.body.args['instance_id']);
      await world.instance({ id, availability_zone: (asked!.body.args['availability_zone'] ?? null) as string | null });
      await world.writes();
      await ask('run_instance', asked!.body.args, caller(world.runtime, { isAdmin: true }));
      expect(world.sent).to.have.length(1);
      expect(world.sent[0]).to.deep.include({ routingKey: passed!.routing_key, args: passed!.body.args });
      const [write] = await world.writes();
      expect(write!.set).to.have.all.keys('host', 'scheduled_at', 'updated_at').and.to.include({ host });
    });
  }

  it('puts an instance for which there is no host into error, with the reason', async () => {
    scheduler = await world.scheduler();
    await world.service('cloud1', 'compute', { disabled: true });
    await world.service('cloud2', 'compute', { updated_at: longAgo() });
    const [asked] = recording('run_no_valid_host');
    const id = Number(asked!.body.args['instance_id']);
    await world.instance({ id });
    expect(await ask('run_instance', asked!.body.args)).to.equal(`NoValidHost ${noHost}`);
    expect(await world.instanceRow(id)).to.include({ vm_state: 'error', task_state: null, host: null });
    expect(await world.reason(id)).to.equal(noHost);
    expect(world.sent).to.deep.equal([]);
  });

  it('tries the next host when one cannot be told, and ends in error after the last', async () => {
    scheduler = await world.scheduler(simple);
    await world.service('cloud1', 'compute');
    await world.service('cloud2', 'compute');
    world.unreachable.add('compute.cloud1');
    await world.instance();
    await run(1);
    expect(toWhom()).to.deep.equal(['run_instance compute.cloud2']);
    expect(await world.instanceRow(1)).to.include({ host: 'cloud2', task_state: 'scheduling' });
    world.unreachable.add('compute.cloud2');
    await world.instance();
    await run(2);
    expect(await world.instanceRow(2)).to.include({ vm_state: 'error', task_state: null, host: null });
    expect(await world.reason(2))
      .to.include('cloud1')
      .and.to.include('cloud2');
  });

  it('drops a message whose instance waits no longer, and repeats itself to the host which was chosen', async () => {
    scheduler = await world.scheduler(simple);
    await world.service('cloud1', 'compute');
    await world.service('cloud2', 'compute');
    await world.instance({ task_state: 'networking', host: 'cloud1' });
    await world.instance({ task_state: 'deleting' });
    await world.instance({ host: 'cloud2', vcpus: 3 });
    for (const id of [1, 2, 99]) expect(await run(id)).to.equal(null);
    expect(world.sent).to.deep.equal([]);
    await run(3);
    expect(toWhom()).to.deep.equal(['run_instance compute.cloud2']);
  });

  it('lets only administrators force a host', async () => {
    scheduler = await world.scheduler(simple);
    await world.service('cloud1', 'compute');
    await world.service('cloud2', 'compute', { disabled: true });
    await world.service('cloud3', 'compute', { updated_at: longAgo() });
    const zones = ['nova:cloud2', 'nova:cloud2', 'nova:cloud3', 'nova:cloud4'];
    for (const availability_zone of zones) await world.instance({ availability_zone });
    const admin = caller(world.runtime, { isAdmin: true });
    await run(1);
    await run(2, admin);
    expect(toWhom()).to.deep.equal(['run_instance compute.cloud1', 'run_instance compute.cloud2']);
    expect(await run(3, admin)).to.equal('WillNotSchedule Host cloud3 is not alive');
    expect(await run(4, admin)).to.equal('HostBinaryNotFound Could not find binary nova-compute on host cloud4.');
    expect((await world.instanceRow(4)).vm_state).to.equal('error');
  });

  it('leaves hosts alone whose memory or disk is given away, as long as one has room', async () => {
    scheduler = await world.scheduler();
    const sizes = { cloud1: [1024, 500], cloud2: [4096, 30], cloud3: [4096, 500] } as const;
    for (const [host, [memory_mb, local_gb]] of Object.entries(sizes)) {
      await world.computeHost(host, { memory_mb, local_gb });
    }
    const given = { vm_state: 'active', task_state: null, memory_mb: 512, local_gb: 20 };
    for (const host of ['cloud1', 'cloud2', 'cloud2', 'cloud3']) await world.instance({ ...given, host });
    await world.instance({ ...given, host: 'cloud2', deleted: true });
    const small = { memory_mb: 1024, local_gb: 20 };
    for (let round = 0; round < 12; round += 1) await run(await world.instance(small));
    expect(new Set(toWhom())).to.deep.equal(new Set(['run_instance compute.cloud3']));

    // no host has room: as in 2011.3 any will do
    world.sent.length = 0;
    for (let round = 0; round < 24; round += 1) await run(await world.instance({ memory_mb: 9000 }));
    expect(new Set(toWhom()).size).to.be.greaterThan(1);
  });

  it('fills the least loaded host first and stops at max_cores', async () => {
    scheduler = await world.scheduler({ ...simple, max_cores: 2 });
    await world.service('cloud1', 'compute');
    await world.service('cloud2', 'compute');
    await world.instance({ host: 'cloud1', vm_state: 'error', task_state: null });
    for (let id = 2; id <= 5; id += 1) {
      await world.instance();
      await run(id);
    }
    expect(toWhom().map((line) => line.slice(-6))).to.deep.equal(['cloud2', 'cloud1', 'cloud2']);
    expect(await world.reason(5)).to.equal('All hosts have too many cores');
  });

  it('keeps the limit of a host when several schedulers fill it at once', async () => {
    const ids = await Promise.all(Array.from({ length: 8 }, () => world.instance()));
    const results = await Promise.all(
      ids.map((id) => reserveInstanceHost(world.db, { id, vcpus: 1 }, waitingForRun, 'cloud1', 3)),
    );
    expect(results.filter((result) => result === 'reserved')).to.have.length(3);
    expect(results.filter((result) => result === 'full')).to.have.length(5);
  });

  it('puts a volume without a host into error, and sends one of a snapshot where that is', async () => {
    scheduler = await world.scheduler();
    const user = caller(world.runtime);
    await world.cloud.volumes.create(user, { size: 1 });
    await world.deliver({ scheduler });
    expect((await world.volumeRow(1)).status).to.equal('error');
    for (const host of ['cloud1', 'cloud2', 'cloud3']) await world.service(host, 'volume');
    await world.volume({ host: 'cloud2' });
    await world.db.insert('snapshots', { volume_id: 2, project_id: 'acme', status: 'available', volume_size: 1 });
    world.sent.length = 0;
    await world.cloud.volumes.create(user, { snapshotId: 1 });
    await world.deliver({ scheduler });
    await world.cloud.volumes.deleteSnapshot(user, 1);
    await world.deliver({ scheduler });
    expect(toWhom().filter((line) => !line.endsWith('scheduler'))).to.deep.equal([
      'create_volume volume.cloud2',
      'delete_snapshot volume.cloud2',
    ]);
  });

  it('sweeps up what nobody will end', async () => {
    scheduler = await world.scheduler();
    await world.service('cloud1', 'volume');
    await world.service('cloud2', 'volume', { updated_at: longAgo() });
    const old = { created_at: longAgo() };
    await world.instance({ ...old, host: 'cloud9' });
    await world.instance({ ...old, vm_state: 'stopped', task_state: 'starting', host: 'cloud1' });
    await world.instance({ ...old, vm_state: 'active', task_state: null, host: 'cloud1' });
    await world.instance();
    await world.volume({ ...old, status: 'creating', host: null });
    await world.volume({ ...old, status: 'creating', host: 'cloud1' });
    await world.volume({ ...old, status: 'deleting', host: 'cloud2' });
    await world.volume({ status: 'creating', host: null });
    await scheduler.manager.periodicTasks[0]!.run(caller(world.runtime));
    const instances = await world.db.all('SELECT vm_state, task_state, host FROM instances ORDER BY id');
    expect(instances).to.deep.equal([
      { vm_state: 'error', task_state: null, host: null },
      { vm_state: 'error', task_state: null, host: 'cloud1' },
      { vm_state: 'active', task_state: null, host: 'cloud1' },
      { vm_state: 'building', task_state: 'scheduling', host: null },
    ]);
    expect(await world.reason(1)).to.equal('No host took the instance within 300 seconds');
    const volumes = await world.db.all<{ status: string }>('SELECT status FROM volumes ORDER BY id');
    expect(volumes.map(({ status }) => status)).to.deep.equal(['error', 'creating', 'error_deleting', 'creating']);
  });

  it('ends the tasks of instances and the snapshots of hosts which are lost', async () => {
    scheduler = await world.scheduler();
    for (const topic of ['compute', 'volume']) {
      await world.service('cloud1', topic);
      await world.service('gone', topic, { updated_at: longAgo() });
    }
    const old = { created_at: longAgo() };
    const given: readonly (readonly [string, string, string])[] = [
      ['gone', 'building', 'spawning'],
      ['gone', 'active', 'deleting'],
      ['gone', 'active', 'rebooting'],
      ['gone', 'rescued', 'unrescuing'],
      ['cloud1', 'building', 'spawning'],
      ['cloud1', 'active', 'deleting'],
    ];
    for (const [host, vm, task] of given) await world.instance({ ...old, host, vm_state: vm, task_state: task });
    await world.instance({ host: 'gone', vm_state: 'active', task_state: 'stopping' });
    for (const host of ['gone', 'cloud1']) await world.volume({ status: 'available', host });
    for (const [volumeId, status] of [
      [1, 'creating'],
      [1, 'deleting'],
      [2, 'creating'],
    ] as const) {
      await world.db.insert('snapshots', { ...old, volume_id: volumeId, project_id: 'acme', status });
    }
    await scheduler.manager.periodicTasks[0]!.run(caller(world.runtime));
    const instances = await world.db.all<{ vm_state: string; task_state: string | null }>(
      'SELECT vm_state, task_state FROM instances ORDER BY id',
    );
    expect(instances.map((row) => [row.vm_state, row.task_state])).to.deep.equal([
      ['error', null],
      ['error', null],
      ['active', null],
      ['rescued', null],
      ['building', 'spawning'],
      ['active', 'deleting'],
      // it is not long ago: the host may be back in a moment, and do it
      ['active', 'stopping'],
    ]);
    expect(await world.reason(1)).to.equal('Nothing was heard of the compute service on gone for 300 seconds');
    const snapshots = await world.db.all<{ status: string }>('SELECT status FROM snapshots ORDER BY id');
    expect(snapshots.map(({ status }) => status)).to.deep.equal(['error', 'error_deleting', 'creating']);
  });

  it('passes any other method of a topic on, and answers as recorded', async () => {
    scheduler = await world.scheduler();
    await world.service('cloud1', 'volume');
    for (const flow of [
      'err_scheduler_unknown_method_topic',
      'err_scheduler_unknown_method_no_topic',
      'scheduler_get_zone_list',
    ]) {
      const [asked, ...answers] = recording(flow);
      const passed = answers.find((answer) => answer.exchange === 'nova');
      const reply = answers.find((answer) => answer.exchange !== 'nova')!.body;
      world.sent.length = 0;
      const expected = reply.failure ? `${reply.failure[0]} ${reply.failure[1]}` : reply.result;
      expect(await ask(asked!.body.method, asked!.body.args), flow).to.deep.equal(expected);
      expect(world.sent.map((sent) => [sent.routingKey, sent.method, sent.args])).to.deep.equal(
        passed === undefined ? [] : [[passed.routing_key, passed.body.method, passed.body.args]],
      );
    }
  });

  it('sums up what hosts announce, as recorded', async () => {
    scheduler = await world.scheduler();
    const [announced] = recording('periodic');
    for (const host of ['cloud2', 'cloud1']) {
      await ask('update_service_capabilities', { ...announced!.body.args, host });
    }
    for (const flow of ['scheduler_get_host_list', 'scheduler_get_zone_capabilities']) {
      const [asked, answer] = recording(flow);
      expect(await ask(asked!.body.method, {}), flow).to.deep.equal(answer!.body.result);
    }
  });

  it('shows the resources of a host, and fails as recorded for one which has not reported them', async () => {
    scheduler = await world.scheduler();
    await world.service('cloud1', 'compute');
    const [asked, answer] = recording('scheduler_show_host_resources');
    const failure = answer!.body.failure!;
    expect(await ask('show_host_resources', asked!.body.args)).to.equal(`${failure[0]} ${failure[1]}`);
    expect(await ask('show_host_resources', { host: 'nowhere' })).to.equal(
      'ComputeHostNotFound Compute host nowhere could not be found.',
    );
    const figures = { vcpus: 8, memory_mb: 16384, local_gb: 100, vcpus_used: 1, memory_mb_used: 512, local_gb_used: 0 };
    const rest = { service_id: 1, hypervisor_type: 'fake', hypervisor_version: 1, cpu_info: '' };
    await world.db.insert('compute_nodes', { ...figures, ...rest });
    await world.instance({ host: 'cloud1', vcpus: 2 });
    expect(await ask('show_host_resources', { host: 'cloud1' })).to.deep.equal({
      resource: figures,
      usage: { acme: { vcpus: 2, memory_mb: 512, local_gb: 0 } },
    });
  });

  it('refuses to start with a driver which is not there, naming those which are', async () => {
    const refusal = async (flags: Parameters<typeof world.scheduler>[0]): Promise<string> =>
      world.scheduler(flags).then(
        () => 'none',
        ({ name, message: text }: Error) => `${name} ${text}`,
      );
    expect(await refusal({ scheduler_driver: 'nova.scheduler.fast.FastScheduler' }))
      .to.include('StartupError --scheduler_driver=')
      .and.to.include('nova.scheduler.simple.SimpleScheduler');
    expect(await refusal({ volume_scheduler_driver: 'nova.scheduler.vsa.VsaSchedulerLeastUsedHost' })).to.equal(
      'StartupError --volume_scheduler_driver=nova.scheduler.vsa.VsaSchedulerLeastUsedHost: virtual storage arrays, ' +
        'and their schedulers, are not supported',
    );
  });

  it('takes a plug-in by its path', async () => {
    const path = join(world.statePath, 'first.mjs');
    const driver =
      "{ placeInstance: async () => 'chosen', placeVolume: async () => 'chosen', place: async () => 'chosen' }";
    writeFileSync(path, `export default () => (${driver});\n`);
    scheduler = await world.scheduler({ scheduler_driver: path });
    await world.instance();
    await run(1);
    expect(toWhom()).to.deep.equal(['run_instance compute.chosen']);
  });

  it('takes the plug-in of the documentation, whose refusal ends in error', async () => {
    const text = readFileSync(join(projectRoot(), 'docs', 'schedulers.md'), 'utf8');
    const path = join(world.statePath, 'documented.mjs');
    writeFileSync(path, /```js\n([^]*?)```/.exec(text)![1]!);
    scheduler = await world.scheduler({ compute_scheduler_driver: path });
    expect(await run(await world.instance())).to.equal('NoValidHost No host for this');
    expect(await world.instanceRow(1)).to.include({ vm_state: 'error' });
    const announcement = { service_name: 'compute', host: 'node7', capabilities: { a: 1 } };
    await ask('update_service_capabilities', announcement);
    await run(await world.instance());
    expect(toWhom()).to.deep.equal(['run_instance compute.node7']);
  });
});
