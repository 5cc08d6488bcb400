// Runs the tests: `npm test` all of them, after installing the servers and clients which they need; `npm run test:unit`
// those which need nothing but Node. Further arguments are files or mocha's options.
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { prepare, projectFolder } from './prepare.mjs';

const args = process.argv.slice(2).filter((arg) => arg !== '--unit');
const unitOnly = process.argv.includes('--unit');

function run(command, parameters) {
  const result = spawnSync(command, parameters, { cwd: projectFolder, stdio: 'inherit' });
  if (result.error) {
    console.error(`${command}: ${result.error.message}`);
    process.exit(1);
  }
  if (result.status !== 0) process.exit(result.status ?? 1);
}

await prepare('tsconfig.json');
if (!unitOnly && existsSync('/etc/debian_version')) run('bash', [join('scripts', 'setup-tests.sh')]);

const named = args.some((arg) => !arg.startsWith('-'));
const files = named ? [] : [unitOnly ? 'dist/test/unit/**/*.test.js' : 'dist/test/**/*.test.js'];
run(process.execPath, [
  '--enable-source-maps',
  join('node_modules', 'mocha', 'bin', 'mocha.js'),
  '--reporter',
  join('scripts', 'reporter.cjs'),
  '--timeout',
  unitOnly ? '20000' : '120000',
  '--forbid-only',
  // A connection which a failed test left open must not keep the run from its end.
  '--exit',
  // Unit tests share nothing and wait much: side by side they take half the time. The others start servers and load
  // them, so they have the machine to themselves.
  ...(unitOnly ? ['--parallel', '--jobs', String(Math.max(2, availableParallelism()))] : []),
  ...args,
  ...files,
]);
