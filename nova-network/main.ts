import { runDaemon } from '../common/main.js';

await runDaemon('nova-network', async () => (await import('./start.js')).startNetwork);
