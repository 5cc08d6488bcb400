import { runDaemon } from '../common/main.js';

await runDaemon('nova-api', async () => (await import('./workers.js')).startApiWithWorkers);
