import { expect } from 'chai';
import { readFileSync } from 'node:fs';
import type { Values } from '../../../common/db/db.js';
import type { InstanceRow } from '../../../common/db/rows.js';
import type { Manager } from '../../../common/manager.js';
import type { SchedulerRpc } from '../../../common/rpc/scheduler.js';
import { dbTime } from '../../../common/time.js';
import { chooseSchedulerDriver } from '../../../nova-scheduler/drivers/registry.js';
import { capabilitiesOf, schedulerManager } from '../../../nova-scheduler/manager/manager.js';
import { ComputePair } from '../../support/computePair.js';
import { ComputeWorld, userContext } from '../../support/computeWorld.js';
import { delivery, outcome } from '../../support/fakeRpc.js';
import { emptyHost } from '../../support/hosts.js';
import { recordings } from '../../support/recordings.js';

type Recorded = { exchange: string; routing_key: string; body: { method?: string; args?: object; _msg_id?: string } };
const admin = userContext({ isAdmin: true });

describe('nova-scheduler and instances which go to another host', () => {
  let world: ComputeWorld;
  let pair: ComputePair;
  let scheduler: Manager<SchedulerRpc>;
  let count = 0;

  /** Both hosts are up and have room; each has its own folder of instances, or one is shared. */
  async function open(shared: boolean): Promise<void> {
    world = await ComputeWorld.create();
    const folder = (name: string): object => ({ instances_path: `${world.statePath}/${shared ? 'all' : name}` });
    pair = await ComputePair.open(world, (count += 1), [folder('a'), folder('b')]);
    for (const host of pair.names) await addHost(host);
    const { runtime } = pair.source;
    const driver = await chooseSchedulerDriver({ runtime, db: world.db, capabilities: capabilitiesOf(runtime) });
    scheduler = schedulerManager({ runtime, db: world.db, rpc: world.rpc() }, driver);
  }

  async function addHost(host: string, node: Values<'compute_nodes'> = {}): Promise<void> {
    const id = await addService(host, 'compute');
    await world.db.insert('compute_nodes', { service_id: id, ...emptyHost, ...node });
  }
  const addService = (host: string, topic: string): Promise<number> => {
    const service = { host, binary: `nova-${topic}`, topic, report_count: 1, disabled: false };
    return world.db.insert('services', { ...service, updated_at: now() });
  };
  const now = (): string => dbTime(pair.source.runtime.clock.now());
  const change = (
    table: 'services' | 'compute_nodes',
    host: string,
    set: string,
    value: string | number,
  ): Promise<number> =>
    table === 'services'
      ? world.db.run(`UPDATE services SET ${set} = ? WHERE host = ?`, [value, host])
      : world.db.run(
          `UPDATE compute_nodes SET ${set} = ? WHERE service_id = (SELECT id FROM services WHERE host = ? AND binary = 'nova-compute')`,
          [value, host],
        );
  const live = (instance: InstanceRow, more: object = {}, context = admin): Promise<unknown> => {
    const args = { topic: 'compute', instance_id: instance.id, dest: pair.names[1], block_migration: false, ...more };
    return outcome(scheduler.handlers.live_migration(context, args, delivery()));
  };
  const sent = (): unknown[] =>
    world.sent.map(({ kind, routingKey, method, args }) => [kind, routingKey, method, Object.keys(args).sort()]);

  it('checks and begins a live migration with the recorded messages', async () => {
    await open(true);
    const instance = await pair.running();
    const volumeId = await world.volume({
      status: 'in-use',
      attach_status: 'attached',
      instance_id: instance.id,
    });
    await addService('v', 'volume');
    expect(await live(instance)).to.equal(null);
    const file = readFileSync(new URL('amqp/flows/live_migration.json', recordings), 'utf8');
    const recorded = (JSON.parse(file) as Recorded[]).filter(
      ({ exchange, routing_key: key, body }) => exchange === 'nova' && key.startsWith('compute.') && body.method,
    );
    const end = recorded.findIndex(({ body }) => body.method === 'live_migration');
    expect(sent()).to.deep.equal(
      recorded
        .slice(0, end + 1)
        .map(({ routing_key: key, body }) => [
          body._msg_id ? 'call' : 'cast',
          key.replace('cloud1', pair.names[0]).replace('cloud2', pair.names[1]),
          body.method,
          Object.keys(body.args ?? {}).sort(),
        ]),
    );
    expect(await world.row(instance.id)).to.include({ vm_state: 'migrating', task_state: null, host: pair.names[0] });
    expect(await world.volumeRow(volumeId)).to.include({ status: 'migrating', attach_status: 'attached' });
    expect(await live(instance), 'it is on its way').to.match(/^InstanceNotRunning/);
    expect(await pair.source.runtime.files.list(`${world.statePath}/all`)).to.deep.equal([]);
  });

  it('refuses in the order of 2011.3, and changes nothing then', async () => {
    await open(false);
    const instance = await pair.running();
    const [source, destination] = pair.names;
    await world.db.insert('volumes', { instance_id: instance.id, status: 'in-use', size: 1 });
    const longAgo = '2011-01-01 00:00:00';

    // everything is wrong at first; one thing after the other is mended
    await world.api(instance.id, { power_state: 3 });
    for (const host of pair.names) await change('services', host, 'updated_at', longAgo);
    await change('compute_nodes', destination, 'memory_mb', 512);
    await change('compute_nodes', destination, 'hypervisor_type', 'xen');
    await change('compute_nodes', destination, 'hypervisor_version', 14_000);
    await change('compute_nodes', source, 'cpu_info', '{"arch": "sparc"}');
    expect(await live(instance)).to.equal(`InstanceNotRunning Instance ${instance.id} is not running.`);
    await world.api(instance.id, { power_state: 1 });
    expect(await live(instance)).to.match(/^VolumeServiceUnavailable /);
    await addService('v', 'volume');
    expect(await live(instance)).to.match(new RegExp(`^ComputeServiceUnavailable .*${source}`));
    await change('services', source, 'updated_at', now());
    expect(await live(instance, { dest: 'nowhere' })).to.equal(
      'ComputeHostNotFound Compute host nowhere could not be found.',
    );
    expect(await live(instance)).to.match(new RegExp(`^ComputeServiceUnavailable .*${destination}`));
    await change('services', destination, 'updated_at', now());
    expect(await live(instance, { dest: source })).to.match(/^UnableToMigrateToSelf /);
    expect(await live(instance)).to.match(/^MigrationError .*Lack of memory\(host:512 <= instance:512\)/);
    await change('compute_nodes', destination, 'memory_mb', 4096);
    await change('compute_nodes', destination, 'local_gb', 0);
    expect(await live(instance, { block_migration: true })).to.match(/Lack of disk\(host:0 <= instance:0\)/);
    await change('compute_nodes', destination, 'local_gb', 100);
    expect(await live(instance)).to.match(/^FileNotFound File tmp\w+ could not be found\.$/);
    const block = { block_migration: true };
    expect(await live(instance, block)).to.match(/^InvalidHypervisorType /);
    await change('compute_nodes', destination, 'hypervisor_type', 'QEMU');
    expect(await live(instance, block)).to.match(/^DestinationHypervisorTooOld /);
    await change('compute_nodes', destination, 'hypervisor_version', 14_001);
    expect(await live(instance, block)).to.match(/^InvalidCPUInfo .*sparc/);
    expect(await world.row(instance.id)).to.include({ vm_state: 'active', task_state: null });
    expect(await pair.source.runtime.files.list(`${world.statePath}/b`)).to.deep.equal([]);
    await change('compute_nodes', source, 'cpu_info', '{"arch": "x86_64"}');
    await world.api(instance.id, { launched_on: 'long gone' });
    expect(await live(instance, block)).to.match(/^SourceHostUnavailable /);
    await world.api(instance.id, { launched_on: source });
    expect(await live(instance, {}, userContext())).to.match(/^AdminRequired /);
    expect(await live(instance, block)).to.equal(null);
  });

  it('refuses to copy disks which both hosts see', async () => {
    await open(true);
    const instance = await pair.running();
    expect(await live(instance, { block_migration: true })).to.equal(
      'InvalidSharedStorage Block migration can not be used with shared storage.',
    );
  });

  it('moves an instance from request to end', async () => {
    await open(false);
    const instance = await pair.running();
    expect(await live(instance, { block_migration: true })).to.equal(null);
    expect(await pair.settle()).to.deep.equal([]);
    expect(await world.row(instance.id)).to.include({ vm_state: 'active', host: pair.names[1] });
  });

  const prep = (instance: InstanceRow): Promise<unknown> => {
    const args = { topic: 'compute', instance_id: instance.uuid!, instance_type_id: 5 };
    return outcome(scheduler.handlers.prep_resize(admin, args, delivery()));
  };

  it('finds another host than its own for a resize', async () => {
    await open(false);
    for (let round = 0; round < 5; round += 1) {
      const instance = await pair.running();
      await world.api(instance.id, { vm_state: 'resizing', task_state: 'resize_prep' });
      expect(await prep(instance)).to.equal(null);
      expect(sent()).to.deep.equal([
        ['cast', `compute.${pair.names[1]}`, 'prep_resize', ['instance_id', 'instance_type_id']],
      ]);
    }
  });

  it('leaves an instance as it was when there is no other host, or its message was lost', async () => {
    await open(false);
    const instance = await pair.running();
    expect(await prep(instance), 'nobody asked').to.equal(null);
    await change('services', pair.names[1], 'updated_at', '2011-01-01 00:00:00');
    await world.api(instance.id, { vm_state: 'resizing', task_state: 'resize_prep' });
    expect(await prep(instance)).to.match(/^NoValidHost /);
    expect(await world.row(instance.id)).to.include({ vm_state: 'active', task_state: null });
    expect(await world.reason(instance.id)).to.match(/^The instance could not be resized: Scheduler was unable/);

    await world.api(instance.id, { vm_state: 'resizing', task_state: 'resize_prep' });
    for (const task of scheduler.periodicTasks) await task.run(admin);
    expect(await world.row(instance.id)).to.include({ vm_state: 'resizing' });
    await world.db.run('UPDATE instances SET updated_at = ? WHERE id = ?', ['2011-01-01 00:00:00', instance.id]);
    for (const task of scheduler.periodicTasks) await task.run(admin);
    expect(await world.row(instance.id)).to.include({ vm_state: 'active', task_state: null });
    expect(sent()).to.deep.equal([]);
  });
});
