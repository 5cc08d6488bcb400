import { runDaemon } from '../common/main.js';

await runDaemon('nova-compute', async () => (await import('./start.js')).startCompute);
