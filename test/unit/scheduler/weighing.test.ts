import { expect } from 'chai';
import type { FlagName } from '../../../common/flags/flags.js';
import { compileQuery } from '../../../nova-scheduler/drivers/jsonQuery.js';
import { Capabilities } from '../../../nova-scheduler/manager/capabilities.js';
import { outcome } from '../../support/fakeRpc.js';
import { VolumeWorld, type TestDaemon } from '../../support/volumeWorld.js';

const gigabyte = 1024 ** 3;
const dotted = (name: string): Partial<Record<FlagName, unknown>> => ({ scheduler_driver: `nova.scheduler.${name}` });
const leastCost = dotted('least_cost.LeastCostScheduler');

describe('schedulers which weigh hosts', () => {
  let world: VolumeWorld;
  let scheduler: TestDaemon;
  beforeEach(async () => {
    world = await VolumeWorld.create();
  });

  const ask = (method: string, args: Record<string, unknown>): Promise<unknown> => world.ask(scheduler, method, args);
  const announce = (host: string, freeGb: number, more: object = {}): Promise<unknown> =>
    ask('update_service_capabilities', {
      service_name: 'compute',
      host,
      capabilities: { host_memory_free: freeGb * gigabyte, disk_available: 100 * gigabyte, ...more },
    });
  /** A host which is up and announces itself. */
  async function host(name: string, freeGb: number, more: object = {}): Promise<void> {
    await world.service(name, 'compute');
    await announce(name, freeGb, more);
  }
  const type = (memoryMb: number, more: object = {}): object => ({
    memory_mb: memoryMb,
    local_gb: 10,
    extra_specs: {},
    ...more,
  });
  /** Where an instance of so much memory goes, or why it doesn't. */
  async function place(memoryMb: number, spec: object = {}): Promise<unknown> {
    const id = await world.instance({ memory_mb: memoryMb, local_gb: 10 });
    world.sent.length = 0;
    const requestSpec = { instance_type: type(memoryMb), ...spec };
    const end = await ask('run_instance', { topic: 'compute', instance_id: id, request_spec: requestSpec });
    return end ?? world.sent[0]?.routingKey;
  }

  it('gives the row of the API to a host with enough memory, and writes host and scheduled_at', async () => {
    scheduler = await world.scheduler(dotted('abstract_scheduler.AbstractScheduler'));
    await host('small', 1);
    await host('big', 8);
    const id = await world.instance();
    await world.writes();
    await ask('run_instance', {
      topic: 'compute',
      instance_id: id,
      request_spec: { instance_type: type(4096), num_instances: 1 },
      injected_files: null,
    });
    expect(world.sent.map(({ routingKey, args }) => [routingKey, args['instance_id']])).to.deep.equal([
      ['compute.big', id],
    ]);
    const writes = await world.writes();
    expect(writes.map(({ op, table }) => `${op} ${table}`)).to.deep.equal(['update instances']);
    expect(writes[0]!.set).to.include({ host: 'big' }).and.to.have.property('scheduled_at');
  });

  it('refuses when no host will do, and puts the instance into error with the reason', async () => {
    scheduler = await world.scheduler(dotted('abstract_scheduler.AbstractScheduler'));
    expect(await place(512)).to.equal('NoValidHost No hosts were available');
    await host('small', 1);
    expect(await place(4096)).to.equal('NoValidHost No hosts were available');
    expect(await world.instanceRow(2)).to.include({ vm_state: 'error', host: null });
    expect(await world.reason(2)).to.include('No hosts were available');
    expect(await place(512)).to.equal('compute.small');
  });

  it('goes by the rows of the hosts until the first of them announces itself', async () => {
    scheduler = await world.scheduler(leastCost);
    await world.computeHost('full', { memory_mb: 8000, memory_mb_used: 7900 });
    await world.computeHost('empty', { memory_mb: 8000, memory_mb_used: 100 });
    const wish = { filter: 'InstanceTypeFilter' };
    expect([await place(4096, wish), await place(2048, wish)]).to.deep.equal(['compute.empty', 'compute.empty']);
    expect(await place(4096, wish)).to.equal('NoValidHost No hosts were available');
  });

  it('gives instances to hosts which have neither row nor announcement, unless figures are asked for', async () => {
    scheduler = await world.scheduler(leastCost);
    await world.service('fresh', 'compute');
    expect(await place(512)).to.equal('compute.fresh');
    expect(await place(512, { filter: 'InstanceTypeFilter' })).to.equal('NoValidHost No hosts were available');
    await announce('fresh', 8);
    expect(await place(512, { filter: 'InstanceTypeFilter' })).to.equal('compute.fresh');
  });

  it('passes over hosts which are down, disabled, silent or say that they are not enabled', async () => {
    scheduler = await world.scheduler(dotted('base_scheduler.BaseScheduler'));
    await host('off', 8, { enabled: false });
    await host('disabled', 8);
    await world.db.update('services', { disabled: true }, 'host = ?', ['disabled']);
    await announce('unknown', 8);
    await host('down', 8);
    await world.db.update('services', { updated_at: '2011-01-01 00:00:00' }, 'host = ?', ['down'], {
      updatedAt: false,
    });
    expect(await place(512)).to.equal('NoValidHost No hosts were available');
    await host('good', 8);
    expect(await place(512)).to.equal('compute.good');
    // within the second for which a list is kept
    await world.db.update('services', { disabled: true }, 'host = ?', ['good']);
    expect(await place(512)).to.equal('NoValidHost No hosts were available');
  });

  it('filters by memory, disk and extra_specs with InstanceTypeFilter, by the flag or the request', async () => {
    for (const filter of ['InstanceTypeFilter', 'JsonFilter']) {
      world = await VolumeWorld.create();
      scheduler = await world.scheduler({ ...leastCost, default_host_filter: filter });
      await host('noDisk', 8, { disk_available: 9 * gigabyte });
      await host('noMemory', 3);
      expect(await place(4096)).to.equal('NoValidHost No hosts were available');
      await host('good', 8, { cpu_arch: 'x86_64', gpus: 2 });
      expect(await place(4096)).to.equal('compute.good');
    }
    const wanted = (extra: object): object => ({
      instance_type: type(512, { extra_specs: extra }),
      filter: 'InstanceTypeFilter',
    });
    expect(await place(512, wanted({ cpu_arch: 'x86_64', gpus: '2' }))).to.equal('compute.good');
    expect(await place(512, wanted({ cpu_arch: 'arm' }))).to.equal('NoValidHost No hosts were available');
    expect(await place(512, { filter: 'constructor' })).to.equal(
      'SchedulerHostFilterNotFound Scheduler Host Filter constructor could not be found.',
    );
  });

  it('fills one host after the other, counting what it gave until the next announcement', async () => {
    const cost = 'nova.scheduler.least_cost.compute_fill_first_cost_fn';
    const flags = { default_host_filter: 'InstanceTypeFilter', least_cost_scheduler_cost_functions: [cost] };
    scheduler = await world.scheduler({ ...leastCost, ...flags });
    await host('one', 4);
    await host('two', 5);
    const given = [];
    for (let count = 0; count < 4; count++) given.push(await place(2048));
    expect(given).to.deep.equal(['compute.one', 'compute.one', 'compute.two', 'compute.two']);
    expect(await place(2048)).to.equal('NoValidHost No hosts were available');
    await announce('one', 4);
    expect(await place(2048)).to.equal('compute.one');

    scheduler = await world.scheduler({ ...leastCost, ...flags, compute_fill_first_cost_fn_weight: -1 });
    await announce('one', 8);
    await announce('two', 7);
    expect([await place(2048), await place(2048)]).to.deep.equal(['compute.one', 'compute.two']);
  });

  it('spreads over hosts which cost the same', async () => {
    scheduler = await world.scheduler(leastCost);
    for (const name of ['one', 'two', 'three']) await host(name, 8);
    const given = new Set<unknown>();
    for (let count = 0; count < 60; count++) given.add(await place(512));
    expect(given.size).to.equal(3);
  });

  it('answers select with the hosts, the best first; with drivers which do not weigh as 2011.3', async () => {
    const cost = 'nova.scheduler.least_cost.compute_fill_first_cost_fn';
    const multi = { compute_scheduler_driver: 'nova.scheduler.least_cost.LeastCostScheduler' };
    for (const flags of [leastCost, multi]) {
      scheduler = await world.scheduler({ ...flags, least_cost_scheduler_cost_functions: [cost] });
      await announce('one', 8);
      await announce('two', 4);
      const selected = (await ask('select', { request_spec: { instance_type: type(512) } })) as object[];
      expect(selected).to.have.length(2);
      expect(selected[0]).to.deep.include({ hostname: 'two', weight: 0.5 });
      expect(selected[1]).to.deep.include({ hostname: 'one', weight: 1 });
    }
    scheduler = await world.scheduler();
    expect(await ask('select', { request_spec: {} })).to.equal(
      "AttributeError 'MultiScheduler' object has no attribute 'select'",
    );
  });

  it('places instances which are started, and sends everything else where chance decides', async () => {
    scheduler = await world.scheduler({ ...leastCost, default_host_filter: 'InstanceTypeFilter' });
    await host('small', 1);
    await host('big', 8);
    const id = await world.instance({ vm_state: 'stopped', task_state: 'starting', memory_mb: 4096 });
    await ask('start_instance', { topic: 'compute', instance_id: id });
    expect(world.sent.at(-1)!.routingKey).to.equal('compute.big');
    await world.service('store', 'volume');
    await world.volume({ status: 'creating', host: null });
    await ask('create_volume', { topic: 'volume', volume_id: 1, snapshot_id: null });
    expect(world.sent.at(-1)!.routingKey).to.equal('volume.store');
  });

  it('refuses to start with filters and cost functions which are not there', async () => {
    const refusal = (flags: Partial<Record<FlagName, unknown>>): Promise<unknown> =>
      outcome(world.scheduler({ ...leastCost, ...flags }).then(() => 'none'));
    expect(await refusal({ default_host_filter: 'BestFilter' })).to.match(
      /^StartupError --default_host_filter=BestFilter: .* AllHostsFilter, InstanceTypeFilter, JsonFilter$/,
    );
    expect(await refusal({ least_cost_scheduler_cost_functions: ['mine.compute_cost_fn'] })).to.equal(
      'StartupError --least_cost_scheduler_cost_functions: Scheduler cost function mine.compute_cost_fn could not be found.',
    );
    // functions of other topics are not looked at
    expect(await refusal({ least_cost_scheduler_cost_functions: ['mine.volume_cost_fn'] })).to.equal('none');
  });
});

describe('ZoneScheduler', () => {
  it('keeps to the availability zone which was asked for', async () => {
    const world = await VolumeWorld.create();
    const scheduler = await world.scheduler(dotted('zone.ZoneScheduler'));
    await world.service('north', 'compute', { availability_zone: 'north' });
    await world.service('south', 'compute', { availability_zone: 'south' });
    const ask = async (zone: string | null): Promise<unknown> => {
      const id = await world.instance({ availability_zone: zone });
      const args = { topic: 'compute', instance_id: id, request_spec: null, availability_zone: zone };
      return (await world.ask(scheduler, 'run_instance', args)) ?? world.sent.at(-1)!.routingKey;
    };
    for (let count = 0; count < 5; count++) expect(await ask('south')).to.equal('compute.south');
    expect(await ask(null)).to.be.oneOf(['compute.north', 'compute.south']);
    expect(await ask('east')).to.match(/^NoValidHost /);
  });
});

describe('queries of JsonFilter', () => {
  const says = (compute: Record<string, unknown>): Parameters<ReturnType<typeof compileQuery>>[0] => ({
    host: 'one',
    service: (name) => (name === 'compute' ? compute : undefined),
  });
  const one = says({ free: 8, zero: 0, arch: 'x86', tags: ['a', 'b'], deep: { er: 1 } });

  it('compare what a host says', () => {
    const results: [unknown, boolean][] = [
      [['>=', '$compute.free', 8], true],
      [['>', '$compute.free', 8], false],
      [['<', 1, '$compute.free', 9], true],
      [['>=', '$compute.zero', 0], true],
      [['=', '$compute.arch', 'x86'], true],
      [['in', '$compute.tags', 'b'], true],
      [['in', '$compute.tags', 'c'], false],
      [['=', '$compute.deep.er', 1], true],
      [['>=', '$compute.nothing', 0], false],
      [['>=', '$volume.free', 0], false],
      [['>=', '$compute.arch', 1], false],
      [['not', ['=', '$compute.arch', 'arm']], true],
      [['or', ['=', 1, 2], ['=', 2, 2]], true],
      [['and', ['=', 1, 2], ['=', 2, 2]], false],
      [[], true],
    ];
    for (const [query, result] of results) expect(compileQuery(query)(one), JSON.stringify(query)).to.equal(result);
  });

  it('are refused when they are none', () => {
    let deep: unknown = ['=', 1, 1];
    for (let depth = 0; depth < 100; depth++) deep = ['not', deep];
    for (const query of [null, 'x', ['constructor', 1], [1], deep]) {
      expect(() => compileQuery(query)).to.throw();
    }
  });
});

describe('what hosts announce', () => {
  it('is bounded: the longest silent host goes first', () => {
    const clock = { now: () => 0 };
    const capabilities = new Capabilities(clock, 60);
    for (let index = 0; index < 20_000; index++) capabilities.update('compute', `host${index}`, { n: 1 });
    capabilities.update('compute', 'host0', { n: 2 });
    capabilities.update('compute', 'late', { n: 1 });
    for (let index = 0; index < 100; index++) capabilities.update(`service${index}`, 'late', { n: 1 });
    capabilities.update('compute', 'huge', Object.fromEntries(Array.from({ length: 300 }, (_, index) => [index, 1])));
    const known = new Set(capabilities.known('compute').map(({ host }) => host));
    expect(known.size).to.equal(20_000);
    expect(known.has('host0')).to.equal(true);
    expect(known.has('host1')).to.equal(false);
    expect(known.has('huge')).to.equal(false);
    expect(capabilities.hosts().filter(({ host_name: host }) => host === 'late')).to.have.length(16);
  });
});
