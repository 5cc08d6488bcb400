import { textsOf } from '../../simulate/ec2Client.js';
import { BenchClient, inParallel } from '../client.js';
import { BenchCloud } from '../cloud.js';
import type { Bench, Figure, Measurement } from '../figure.js';
import { median } from '../median.js';

/**
 * Two lives of a thousand instances, run one by one, the second of them described and terminated; then 200 at once; then
 * the memory which that took. The first life is shown, too: V8 compiles most of what a launch runs during it.
 */
export const instances: Measurement = {
  name: 'instances',
  summary: 'RunInstances, DescribeInstances, TerminateInstances on five processes, and their memory afterwards',
  async run(bench) {
    const cloud = await BenchCloud.start(bench.servers);
    try {
      const count = bench.quick ? 100 : 1000;
      return [
        ...(await runOneByOne(bench, cloud, count)),
        await describeAll(bench, cloud, count),
        await terminateAll(bench, cloud, count),
        ...(await runAtOnce(bench, cloud, bench.quick ? 20 : 200)),
        ...memory(cloud),
      ];
    } finally {
      await cloud.stop();
    }
  },
};

async function runOneByOne(bench: Bench, cloud: BenchCloud, count: number): Promise<Figure[]> {
  bench.say(`RunInstances, ${count} times, of daemons which have just started`);
  const first = await launch(cloud, count);
  await terminate(cloud, await describedIds(cloud));
  bench.say(`RunInstances, ${count} times`);
  const then = await launch(cloud, count);
  return [
    {
      what: `RunInstances, 8 clients, the first ${count} of new daemons`,
      measured: first.rate,
      unit: '/s',
      note: first.note,
    },
    { what: 'RunInstances, 8 clients, until all run', measured: then.rate, unit: '/s', least: 120, note: then.note },
  ];
}

async function launch(cloud: BenchCloud, count: number): Promise<{ rate: number; note: string }> {
  const ids: string[] = [];
  const cpuBefore = cloud.cpu();
  const startedAt = performance.now();
  const accepted = await inParallel(cloud.environment, 8, count, async (client) => {
    ids.push(...(await client.runInstances()));
  });
  await cloud.running(count);
  const seconds = (performance.now() - startedAt) / 1000;
  const cpu = cpuEach(cloud, cpuBefore, count);
  await cloud.requireWhole(ids);
  return {
    rate: count / seconds,
    note: `accepted ${Math.round(count / accepted)}/s; ${cpu}`,
  };
}

/** What each part has used of the CPUs since then, for each of so many instances. */
function cpuEach(cloud: BenchCloud, before: ReadonlyMap<string, number>, count: number): string {
  const each = [...cloud.cpu()].map(([name, used]) => {
    const ms = ((used - before.get(name)!) / count) * 1000;
    return `${name} ${ms.toFixed(1)}`;
  });
  return `CPU ms each: ${each.join(', ')}`;
}

async function describeAll(bench: Bench, cloud: BenchCloud, count: number): Promise<Figure> {
  bench.say(`DescribeInstances of ${count}`);
  const { ms, bytes } = await describeTime(cloud.environment, count);
  const note = `${(bytes / 1e6).toFixed(1)} MB of XML`;
  return { what: `DescribeInstances, ${count} running`, measured: ms, unit: ' ms', most: 80, note };
}

/** The median of some DescribeInstances, whole answer at the client. Throws when an instance is missing or doesn't run. */
export async function describeTime(
  environment: BenchCloud['environment'],
  count: number,
): Promise<{ ms: number; bytes: number }> {
  const client = new BenchClient(environment);
  const times: number[] = [];
  let xml = '';
  for (let round = 0; round < 25; round += 1) {
    const startedAt = performance.now();
    xml = await client.call('DescribeInstances');
    times.push(performance.now() - startedAt);
  }
  client.close();
  const running = textsOf(xml, 'name').filter((name) => name === 'running').length;
  if (running !== count) throw new Error(`DescribeInstances showed ${running} running instances instead of ${count}`);
  return { ms: median(times.slice(5)), bytes: xml.length };
}

async function describedIds(cloud: BenchCloud): Promise<string[]> {
  const client = new BenchClient(cloud.environment);
  const ids = textsOf(await client.call('DescribeInstances'), 'instanceId');
  client.close();
  return ids;
}

async function terminate(cloud: BenchCloud, ids: readonly string[]): Promise<number> {
  const client = new BenchClient(cloud.environment);
  const startedAt = performance.now();
  await client.call('TerminateInstances', Object.fromEntries(ids.map((id, index) => [`InstanceId.${index + 1}`, id])));
  await cloud.gone();
  client.close();
  return (performance.now() - startedAt) / 1000;
}

async function terminateAll(bench: Bench, cloud: BenchCloud, count: number): Promise<Figure> {
  bench.say(`TerminateInstances of ${count}`);
  const ids = await describedIds(cloud);
  const cpuBefore = cloud.cpu();
  const seconds = await terminate(cloud, ids);
  const note = cpuEach(cloud, cpuBefore, count);
  const held = await cloud.rows('SELECT id FROM fixed_ips WHERE instance_id IS NOT NULL');
  if (held.length > 0) throw new Error(`${held.length} addresses are held by terminated instances`);
  return { what: `TerminateInstances of ${count}, until all are gone`, measured: seconds, unit: ' s', most: 6, note };
}

async function runAtOnce(bench: Bench, cloud: BenchCloud, count: number): Promise<Figure[]> {
  bench.say(`RunInstances of ${count} in one call`);
  const client = new BenchClient(cloud.environment);
  const startedAt = performance.now();
  const ids = await client.runInstances(count);
  const accepted = (performance.now() - startedAt) / 1000;
  await cloud.running(count);
  const running = (performance.now() - startedAt) / 1000;
  client.close();
  await cloud.requireWhole(ids);
  await terminate(cloud, ids);
  return [
    { what: `RunInstances of ${count} in one call: accepted`, measured: accepted, unit: ' s', most: 1 },
    { what: `RunInstances of ${count} in one call: all run`, measured: running, unit: ' s', most: 3 },
  ];
}

function memory(cloud: BenchCloud): Figure[] {
  return cloud.memory().map(({ binary, megabytes }) => ({
    what: `memory of ${binary} after these`,
    measured: megabytes,
    unit: ' MB',
    most: binary === 'nova-api' ? 160 : 110,
  }));
}
