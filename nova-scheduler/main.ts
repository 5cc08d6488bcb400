import { runDaemon } from '../common/main.js';

await runDaemon('nova-scheduler', async () => (await import('./start.js')).startScheduler);
