import { adminContext } from '../../common/context.js';
import { openDatabase } from '../../common/db/database.js';
import type { Db } from '../../common/db/db.js';
import { findInstance } from '../../common/db/instances.js';
import { waitingForRun } from '../../common/db/scheduling.js';
import { syncDatabase } from '../../common/db/sync.js';
import { flagsFrom } from '../../common/flags/values.js';
import { RealRuntime } from '../../common/runtime/real.js';
import { hostFilterNames } from '../../nova-scheduler/drivers/hostFilters.js';
import type { SchedulerDriver } from '../../nova-scheduler/drivers/driver.js';
import type { DriverParts } from '../../nova-scheduler/drivers/hosts.js';
import { SimpleScheduler } from '../../nova-scheduler/drivers/simple.js';
import { LeastCostScheduler } from '../../nova-scheduler/drivers/weighing.js';
import { Capabilities } from '../../nova-scheduler/manager/capabilities.js';
import type { Bench, Figure, Measurement } from '../figure.js';
import { noLog } from '../raw/echo.js';

const gigabyte = 1024 ** 3;

/** Choices of hosts, with what they write; the drivers alone, on PostgreSQL. */
export const scheduler: Measurement = {
  name: 'scheduler',
  summary: 'decisions of the simple driver with 1,000 hosts, and of least cost with 10,000',
  async run(bench) {
    return [
      await measured(bench, {
        what: 'decisions of the simple driver, 1,000 hosts',
        least: 500,
        hosts: 1000,
        make: (parts) => new SimpleScheduler(parts),
      }),
      await measured(bench, {
        what: `decisions of least cost, 10,000 hosts, ${hostFilterNames.length} filters in turn`,
        least: 100,
        hosts: 10_000,
        make: (parts) => new LeastCostScheduler(parts),
      }),
    ];
  },
};

interface Case {
  readonly what: string;
  readonly least: number;
  readonly hosts: number;
  make(parts: DriverParts): SchedulerDriver;
}

async function measured(bench: Bench, one: Case): Promise<Figure> {
  bench.say(one.what);
  const count = bench.quick ? 200 : 2000;
  const runtime = new RealRuntime({
    binary: 'bench',
    flags: flagsFrom({
      sql_connection: await (await bench.servers.postgres()).freshDatabase(),
      max_cores: 1_000_000,
      least_cost_scheduler_cost_functions: ['nova.scheduler.least_cost.compute_fill_first_cost_fn'],
    }),
    log: noLog,
  });
  const db = openDatabase(runtime);
  await syncDatabase(db);
  const parts: DriverParts = { runtime, db, capabilities: new Capabilities(runtime.clock, 180) };
  const ids = await fill(db, parts, one.hosts, count);
  const driver = one.make(parts);
  await Promise.all(ids.slice(0, 20).map((id, index) => decide(db, driver, parts, id, index)));
  const before = process.memoryUsage().heapUsed;
  const cpuBefore = process.cpuUsage();
  let next = 20;
  const startedAt = performance.now();
  await Promise.all(
    Array.from({ length: 16 }, async () => {
      while (next < ids.length) await decide(db, driver, parts, ids[next]!, next++);
    }),
  );
  const rate = (ids.length - 20) / ((performance.now() - startedAt) / 1000);
  const { user, system } = process.cpuUsage(cpuBefore);
  const cpu = (user + system) / 1000 / (ids.length - 20);
  const grown = Math.max(0, (process.memoryUsage().heapUsed - before) / 1e6);
  const [spread] = await db.all<{ hosts: number }>('SELECT COUNT(DISTINCT host) AS hosts FROM instances');
  await db.close();
  const note = `${spread?.hosts} hosts chosen; CPU ms each: ${cpu.toFixed(2)}; heap grew by ${grown.toFixed(0)} MB`;
  return { what: one.what, measured: rate, unit: '/s', least: one.least, note };
}

async function decide(db: Db, driver: SchedulerDriver, parts: DriverParts, id: number, index: number): Promise<void> {
  const filter = hostFilterNames[index % hostFilterNames.length];
  const host = await driver.placeInstance(adminContext(parts.runtime), {
    instance: (await findInstance(db, id))!,
    waiting: waitingForRun,
    topic: 'compute',
    tried: new Set(),
    requestSpec: { filter, instance_type: { memory_mb: 512, local_gb: 0, extra_specs: {} } },
  });
  if (host === null) throw new Error(`instance ${id} got no host`);
}

/** Hosts which are up, and instances which wait for one. Answers their ids. */
async function fill(db: Db, parts: DriverParts, hosts: number, instances: number): Promise<number[]> {
  const names = Array.from({ length: hosts }, (_, index) => `host${index}`);
  const now = db.now();
  await db.insertMany(
    'services',
    names.map((host) => ({
      host,
      binary: 'nova-compute',
      topic: 'compute',
      report_count: 1,
      disabled: false,
      availability_zone: 'nova',
      updated_at: now,
    })),
  );
  for (const [index, host] of names.entries()) {
    parts.capabilities.update('compute', host, {
      host_memory_free: (64 + (index % 64)) * gigabyte,
      disk_available: 1000 * gigabyte,
    });
  }
  await db.insertMany(
    'instances',
    Array.from({ length: instances }, () => ({
      vm_state: 'building',
      task_state: 'scheduling',
      vcpus: 1,
      memory_mb: 512,
      local_gb: 0,
      project_id: 'demo',
    })),
  );
  return (await db.all<{ id: number }>('SELECT id FROM instances ORDER BY id')).map(({ id }) => id);
}
