import { BenchCloud } from '../cloud.js';
import type { Figure, Measurement } from '../figure.js';

/** How long a daemon takes from its start until it serves. */
export const start: Measurement = {
  name: 'start',
  summary: 'how soon each daemon serves',
  async run(bench) {
    const cloud = await BenchCloud.start(bench.servers);
    try {
      const figures: Figure[] = [];
      for (const binary of ['nova-api', 'nova-scheduler', 'nova-network', 'nova-compute', 'nova-volume']) {
        await cloud.processes.daemon(binary).stop();
        const startedAt = performance.now();
        await cloud.processes.start(binary);
        const seconds = (performance.now() - startedAt) / 1000;
        figures.push({ what: `${binary} serves`, measured: seconds, unit: ' s', most: 1.5 });
      }
      return figures;
    } finally {
      await cloud.stop();
    }
  },
};
