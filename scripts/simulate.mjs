// `npm run simulate`: packages and build where needed, then simulate/main.ts with the arguments passed through.
import { prepare } from './prepare.mjs';

await prepare('tsconfig.json', (line) => process.stderr.write(`prepare: ${line}\n`));
await import('../dist/simulate/main.js');
