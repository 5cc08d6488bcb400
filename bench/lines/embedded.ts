import { startEmbeddedCloud, type TestCloud } from '../../test/support/cloud.js';
import { textsOf } from '../../simulate/ec2Client.js';
import { BenchClient, inParallel } from '../client.js';
import { benchFlags, residentMegabytes } from '../cloud.js';
import type { Figure, Measurement } from '../figure.js';
import { describeTime } from './instances.js';

/** `npm start`: everything in one process, on SQLite. */
export const embedded: Measurement = {
  name: 'embedded',
  summary: 'npm start: how soon it serves, RunInstances, DescribeInstances of 1,000, memory',
  async run(bench) {
    bench.say('starting nova-all');
    const startedAt = performance.now();
    const cloud = await startEmbeddedCloud(benchFlags);
    const start = (performance.now() - startedAt) / 1000;
    try {
      const count = bench.quick ? 100 : 1000;
      bench.say(`RunInstances, ${count} times`);
      const rate = await runAll(cloud, count);
      const { ms } = await describeTime(cloud.environment, count);
      const figures: Figure[] = [
        { what: 'npm start serves', measured: start, unit: ' s', most: 5 },
        { what: 'embedded: RunInstances, 8 clients, until all run', measured: rate, unit: '/s', least: 150 },
        { what: `embedded: DescribeInstances, ${count} running`, measured: ms, unit: ' ms', most: 60 },
        { what: 'embedded: memory after these', measured: residentMegabytes(cloud.pid), unit: ' MB', most: 240 },
      ];
      return figures;
    } finally {
      await cloud.stop();
    }
  },
};

async function runAll({ environment }: TestCloud, count: number): Promise<number> {
  const startedAt = performance.now();
  await inParallel(environment, 8, count, async (client) => void (await client.runInstances()));
  const client = new BenchClient(environment);
  for (;;) {
    const states = textsOf(await client.call('DescribeInstances'), 'name');
    if (states.filter((state) => state === 'running').length === count) break;
    if (states.includes('error')) throw new Error('an instance failed');
  }
  client.close();
  return count / ((performance.now() - startedAt) / 1000);
}
