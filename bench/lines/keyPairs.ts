import { startChild } from '../child.js';
import { BenchClient, HttpConnection, inParallel } from '../client.js';
import { type ClientEnvironment, freePort } from '../../test/support/cloud.js';
import { childrenOf } from '../../test/support/serverProcess.js';
import { BenchCloud } from '../cloud.js';
import type { Bench, Figure, Measurement } from '../figure.js';
import { medianBy } from '../median.js';
import { CpuQuota } from '../quota.js';

const clients = 8;
/** Of a core, for each process, where it is to be seen whether two do twice as much: PostgreSQL and the client need theirs. */
const share = 0.25;

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
      const workers = await startWorkers(cloud);
      // half of it for each
      await describe(workers, count / 5);
      bench.say('the same with two workers');
      const two = await describe(workers, count);
      bench.say('the same with a quarter of a core for each process');
      const quarters = await describeInQuarters(bench, cloud, workers, count / 10);
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
      ];
      if (quarters !== null) {
        figures.push({
          what: `DescribeKeyPairs, --ec2_workers=2, a quarter of a core and ${clients} clients for each process`,
          measured: quarters.two / quarters.one,
          unit: ' times',
          least: 1.7,
          note: `${Math.round(quarters.two)}/s, one process ${Math.round(quarters.one)}/s`,
        });
      }
      return figures;
    } finally {
      await cloud.stop();
    }
  },
};

/** A nova-api whose EC2 API is served by processes of its own. */
interface Served {
  readonly environment: ClientEnvironment;
  readonly pid: number;
}

async function startWorkers(cloud: BenchCloud): Promise<Served> {
  const port = await freePort();
  const flags = ['--enabled_apis=ec2', `--ec2_listen_port=${port}`, '--ec2_workers=2'];
  const { pid } = await cloud.processes.start('nova-api', 'cloud2', flags);
  return { environment: { ...cloud.environment, EC2_URL: `http://127.0.0.1:${port}/services/Cloud` }, pid };
}

/**
 * The rates of one process and of two workers when each process may use a quarter of a core: the middle ones of some
 * rounds in turns. Null where such shares can't be made.
 */
async function describeInQuarters(
  bench: Bench,
  cloud: BenchCloud,
  workers: Served,
  count: number,
): Promise<{ one: number; two: number } | null> {
  const quota = new CpuQuota(share);
  try {
    const { pid } = cloud.processes.daemon('nova-api');
    quota.limit([pid, workers.pid, ...childrenOf(workers.pid)]);
  } catch (error) {
    quota.lift();
    bench.say(`left out: no shares of a core here: ${(error as Error).message}`);
    return null;
  }
  try {
    const rounds: { one: number; two: number }[] = [];
    while (rounds.length < 5) {
      const one = await describe(cloud, count);
      // as many clients for each as the one had
      rounds.push({ one, two: await describe(workers, 2 * count, 2 * clients) });
    }
    return medianBy(rounds, ({ one, two }) => two / one);
  } finally {
    quota.lift();
  }
}

async function describe(
  { environment }: Pick<Served, 'environment'>,
  count: number,
  parallel = clients,
): Promise<number> {
  const seconds = await inParallel(environment, parallel, count, async (client) => {
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
