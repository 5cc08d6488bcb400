import { startChild } from '../child.js';
import { BenchClient, HttpConnection, inParallel } from '../client.js';
import { BenchCloud } from '../cloud.js';
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
      await describe(cloud, count / 10);
      bench.say('the same with two workers');
      const two = await describe(cloud, count);
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
      return figures;
    } finally {
      await cloud.stop();
    }
  },
};

async function describe(cloud: BenchCloud, count: number): Promise<number> {
  const seconds = await inParallel(cloud.environment, clients, count, async (client) => {
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
