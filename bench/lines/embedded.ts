import sqlite3 from 'sqlite3';
import { until } from '../../test/support/rabbitmq.js';
import { startEmbeddedCloud } from '../../test/support/cloud.js';
import { textsOf } from '../../simulate/ec2Client.js';
import { BenchClient, inParallel } from '../client.js';
import { benchFlags, cpuSeconds, residentMegabytes, threadCpuSeconds, type Counts } from '../cloud.js';
import type { Bench, Measurement } from '../figure.js';
import { medianBy } from '../median.js';
import { rawInstancesPerSecond } from '../raw/sqlite.js';
import { describeTime } from './instances.js';

type EmbeddedCloud = Awaited<ReturnType<typeof startEmbeddedCloud>>;

/** `npm start`: everything in one process, on SQLite. */
export const embedded: Measurement = {
  name: 'embedded',
  summary: 'npm start: how soon it serves, RunInstances, DescribeInstances of 1,000, memory',
  async run(bench) {
    const count = bench.quick ? 100 : 1000;
    const clouds: OneCloud[] = [];
    // each takes a few seconds, for which the machine may be slow
    for (let number = bench.quick ? 1 : 3; number > 0; number -= 1) clouds.push(await oneCloud(bench, count));
    bench.say('the same statements with sqlite3 alone');
    const raw = `sqlite3: the statements of ${Math.round(await rawInstancesPerSecond(count))}/s`;
    const { rate, note: cost } = medianBy(clouds, (cloud) => cloud.rate);
    const each = (rateOf: (cloud: OneCloud) => number): string =>
      clouds.map((cloud) => Math.round(rateOf(cloud))).join(', ');
    const note = clouds.length > 1 ? `of ${each((cloud) => cloud.rate)}; ${cost}` : cost;
    const first = medianBy(clouds, ({ firstRate }) => firstRate).firstRate;
    const describe = medianBy(clouds, ({ describeMs }) => describeMs).describeMs;
    return [
      { what: 'npm start serves', measured: Math.max(...clouds.map(({ start }) => start)), unit: ' s', most: 5 },
      {
        what: `embedded: RunInstances, 8 clients, the first ${count} of a new process`,
        measured: first,
        unit: '/s',
        note: `of ${each(({ firstRate }) => firstRate)}`,
      },
      { what: 'embedded: RunInstances, 8 clients, until all run', measured: rate, unit: '/s', least: 150, note, raw },
      { what: `embedded: DescribeInstances, ${count} running`, measured: describe, unit: ' ms', most: 60 },
      {
        what: 'embedded: memory after these',
        measured: Math.max(...clouds.map(({ megabytes }) => megabytes)),
        unit: ' MB',
        most: 240,
      },
    ];
  },
};

/** What one new cloud gave. */
interface OneCloud {
  /** Seconds until it served. */
  readonly start: number;
  /** Instances a second: the first ones, for which V8 compiles, and as many after these are gone. */
  readonly firstRate: number;
  readonly rate: number;
  readonly note: string;
  readonly describeMs: number;
  readonly megabytes: number;
}

async function oneCloud(bench: Bench, count: number): Promise<OneCloud> {
  bench.say('starting nova-all');
  const startedAt = performance.now();
  const cloud = await startEmbeddedCloud(benchFlags);
  const start = (performance.now() - startedAt) / 1000;
  try {
    bench.say(`RunInstances, ${count} times, and again`);
    const { rate: firstRate } = await runAll(cloud, count);
    await terminateAll(cloud);
    const { rate, note } = await runAll(cloud, count);
    const { ms: describeMs } = await describeTime(cloud.environment, count);
    return { start, firstRate, rate, note, describeMs, megabytes: residentMegabytes(cloud.pid) };
  } finally {
    await cloud.stop();
  }
}

/** Waits as the client of five processes does, by looking into the database: a thousand described instances would cost more than an instance. */
async function runAll(cloud: EmbeddedCloud, count: number): Promise<{ rate: number; note: string }> {
  const used = (): readonly [number, number] => [threadCpuSeconds(cloud.pid), cpuSeconds(cloud.pid)];
  const before = used();
  const startedAt = performance.now();
  const accepted = await inParallel(cloud.environment, 8, count, async (client) => void (await client.runInstances()));
  await untilThere(cloud, `${count} running instances`, ({ active }) => active >= count);
  const seconds = (performance.now() - startedAt) / 1000;
  const [main, all] = used().map((now, index) => (((now - before[index]!) / count) * 1000).toFixed(1));
  const note = `accepted ${Math.round(count / accepted)}/s; CPU ms each: ${all}, of them in the main thread ${main}`;
  return { rate: count / seconds, note };
}

async function terminateAll(cloud: EmbeddedCloud): Promise<void> {
  const client = new BenchClient(cloud.environment);
  const ids = textsOf(await client.call('DescribeInstances'), 'instanceId');
  await client.call('TerminateInstances', Object.fromEntries(ids.map((id, index) => [`InstanceId.${index + 1}`, id])));
  client.close();
  await untilThere(cloud, 'no instances', ({ live }) => live === 0);
}

/** Waits for what the database says of the instances. Throws when one is in `error`. */
async function untilThere(cloud: EmbeddedCloud, what: string, isThere: (counts: Counts) => boolean): Promise<void> {
  const database = new sqlite3.Database(`${cloud.stateFolder}/nova.sqlite`, sqlite3.OPEN_READONLY);
  const look = async (): Promise<boolean> => {
    const found = await counts(database);
    if (found.error > 0) throw new Error(`${found.error} instances failed:\n${cloud.output().slice(-4000)}`);
    return isThere(found);
  };
  await until(what, look, 300);
  database.close();
}

function counts(database: sqlite3.Database): Promise<Counts> {
  return new Promise((resolve, reject) => {
    database.get<Counts>(
      "SELECT COALESCE(SUM(vm_state = 'active' AND task_state IS NULL), 0) AS active, COUNT(*) AS live, " +
        "COALESCE(SUM(vm_state = 'error'), 0) AS error FROM instances WHERE deleted = 0",
      (error, row) => (error === null ? resolve(row) : reject(error)),
    );
  });
}
