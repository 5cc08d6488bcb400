import { runDaemon } from '../common/main.js';

await runDaemon('nova-volume', async () => (await import('./start.js')).startVolume);
