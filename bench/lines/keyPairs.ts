import { startChild } from '../child.js';
import { BenchClient, HttpConnection, inParallel } from '../client.js';
import { childrenOf } from '../../test/support/serverProcess.js';
import { BenchCloud, cpuSeconds } from '../cloud.js';
import type { Bench, Figure, Measurement } from '../figure.js';

const clients = 8;

/** DescribeKeyPairs, the smallest signed request: what a nova-api process takes, one and two of them. */
export const keyPairs: Measurement = {
  name: 'keypairs',
  summary: 'DescribeKeyPairs from eight clients, beside koa and pg alone, and with --ec2_workers=2',
  async run(bench) {
    const cloud = await BenchCloud.start(bench.servers);
    try {
      const count = bench.quick ? 2000 : 20_000;
      for (let key = 0; key < 3; key += 1) {
        const client = new BenchClient(cloud.environment);
        await client.call('CreateKeyPair', { KeyName: `key-${key}` });
        client.close();
      }
      await describe(cloud, count / 10);
      bench.say(`DescribeKeyPairs, ${count} times`);
      const before = cloud.cpu().get('api')!;
      const one = await describe(cloud, count);
      const cpu = ((cloud.cpu().get('api')! - before) / count) * 1000;
      const raw = await rawRate(bench, cloud, count);
      await cloud.processes.daemon('nova-api').stop();
      await cloud.processes.start('nova-api', 'cloud1', ['--ec2_workers=2']);
      // half of it for each
      await describe(cloud, count / 5);
      bench.say('the same with two workers');
      const two = await describe(cloud, count);
      const workersBefore = workersOf(cloud);
      // as many for each as the one had
      await describe(cloud, count, 2 * clients);
      const shares = [...workersOf(cloud)].map(([pid, used]) => used - (workersBefore.get(pid) ?? 0));
      const [together, most] = [shares.reduce((sum, one) => sum + one, 0), Math.max(...shares)];
      const what = `DescribeKeyPairs, ${clients} clients`;
      const alone = `koa + pg: ${Math.round(raw)}/s`;
      const figures: Figure[] = [
        {
          what: `${what}, one nova-api process`,
          measured: one,
          unit: '/s',
          least: 1500,
          raw: alone,
          note: `CPU ms each: ${cpu.toFixed(2)}`,
        },
        { what: `${what}, --ec2_workers=2`, measured: two, unit: '/s', note: `${(two / one).toFixed(2)} times one` },
        // client, PostgreSQL and two workers can't have two cores each to themselves: what two free cores would give follows
        // from what a request costs, and from how evenly the workers share the requests
        {
          what: 'DescribeKeyPairs, --ec2_workers=2: what two free cores would give, by CPU time',
          measured: cpu / ((most / count) * 1000),
          unit: ' times',
          least: 1.7,
          note:
            `CPU ms each: ${((together / count) * 1000).toFixed(2)} of all, ` +
            `by process ${shares.map((one) => `${((one / together) * 100).toFixed(0)} %`).join(', ')}`,
        },
      ];
      return figures;
    } finally {
      await cloud.stop();
    }
  },
};

/** Seconds of CPU which nova-api and each of its workers has used, by process. */
function workersOf(cloud: BenchCloud): Map<number, number> {
  const { pid } = cloud.processes.daemon('nova-api');
  return new Map([pid, ...childrenOf(pid)].map((each) => [each, cpuSeconds(each)]));
}

async function describe(cloud: BenchCloud, count: number, parallel = clients): Promise<number> {
  const seconds = await inParallel(cloud.environment, parallel, count, async (client) => {
    const xml = await client.call('DescribeKeyPairs');
    if (!xml.includes('key-2')) throw new Error(`DescribeKeyPairs answered ${xml}`);
  });
  return count / seconds;
}

async function rawRate(bench: Bench, cloud: BenchCloud, count: number): Promise<number> {
  bench.say('koa and pg alone');
  const client = new BenchClient(cloud.environment);
  const { length } = await client.call('DescribeKeyPairs');
  client.close();
  const { server, database } = cloud.processes;
  const argument = { settings: server.settings(database), userId: 'demo', length };
  const { child, ready } = await startChild<{ port: number }>('./raw/koaPg.js', argument);
  try {
    await rawRounds(ready.port, count / 10);
    return count / (await rawRounds(ready.port, count));
  } finally {
    await child.stop();
  }
}

async function rawRounds(port: number, count: number): Promise<number> {
  let next = 0;
  const startedAt = performance.now();
  await Promise.all(
    Array.from({ length: clients }, async () => {
      const connection = new HttpConnection('127.0.0.1', port);
      while (next++ < count) {
        const { status } = await connection.get('/');
        if (status !== 200) throw new Error(`koa and pg answered ${status}`);
      }
      connection.close();
    }),
  );
  return (performance.now() - startedAt) / 1000;
}
