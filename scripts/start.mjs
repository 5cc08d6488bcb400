// `npm start`: packages and build where needed, then nova-all in this very process, with the flags passed through.
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { prepare, projectFolder } from './prepare.mjs';

await prepare();
process.argv[1] = join(projectFolder, 'bin', 'nova-all');
await createRequire(import.meta.url)('../bin/launch.cjs')('nova-all');
