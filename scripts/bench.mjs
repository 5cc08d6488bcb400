// `npm run bench`: packages and build where needed, then bench/main.ts with the arguments passed through.
import { prepare } from './prepare.mjs';

await prepare('tsconfig.json', (line) => process.stderr.write(`prepare: ${line}\n`));
await import('../dist/bench/main.js');
