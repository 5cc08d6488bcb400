// What has to happen between a fresh clone and a program that runs: packages and build, each only where needed.
// Node.js built-ins only: this runs before anything is installed.
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { accessSync, constants, existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { delimiter, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** The folder which holds package.json. */
export const projectFolder = dirname(dirname(fileURLToPath(import.meta.url)));
const inRoot = (...names) => join(projectFolder, ...names);
const readJson = (path) => JSON.parse(readFileSync(path, 'utf8'));

/** Something which the user has to do first; the message says what. */
class CannotPrepare extends Error {}

const sayOnStdout = (line) => process.stdout.write(`prepare: ${line}\n`);

/**
 * Installs packages and builds dist/, unless both are as package-lock.json and the sources want them: the product, or
 * everything when `config` is tsconfig.json. `say` is told what happens. Where something is missing that only the user
 * can provide, ends the process with a sentence about it.
 */
export async function prepare(config = 'tsconfig.build.json', say = sayOnStdout) {
  try {
    requireNode();
    await installPackages(say);
    build(config, say);
  } catch (error) {
    if (!(error instanceof CannotPrepare)) throw error;
    process.stderr.write(`${error.message}\n`);
    process.exit(1);
  }
}

function requireNode() {
  if (Number(process.versions.node.split('.')[0]) >= 20) return;
  throw new CannotPrepare(`Node.js 20 or newer is needed, this is ${process.versions.node}.`);
}

/** `npm ci`, when a package is missing or of another version than package-lock.json names, or SQLite's binding does not load. */
async function installPackages(say) {
  const complete = packagesAreInstalled();
  if (complete && sqliteFailure() === null) return;
  await requireCompiler();
  say(
    complete
      ? "building SQLite's binding again (npm rebuild sqlite3)"
      : 'installing packages (npm ci); this takes a minute or two',
  );
  const command = complete ? ['rebuild', 'sqlite3'] : ['ci', '--include=dev', '--no-audit', '--no-fund'];
  if (npm(command) !== 0) throw new CannotPrepare(`npm ${command[0]} failed; its messages above say why.`);
  const failure = sqliteFailure();
  if (failure === null) return;
  throw new CannotPrepare(
    `The package sqlite3 is installed, but its binding does not load: ${failure}\n` +
      'Its install script may have been blocked: run `npm install-scripts approve sqlite3` and `npm rebuild sqlite3`, then start again.',
  );
}

/** Whether node_modules holds every package of package-lock.json at its version (npm keeps its own list of what it installed). */
function packagesAreInstalled() {
  const installedList = inRoot('node_modules', '.package-lock.json');
  if (!existsSync(installedList)) return false;
  const installed = readJson(installedList).packages;
  return Object.entries(readJson(inRoot('package-lock.json')).packages).every(([path, wanted]) => {
    if (path === '' || wanted.optional || wanted.devOptional) return true;
    return installed[path]?.version === wanted.version && existsSync(inRoot(path, 'package.json'));
  });
}

/** Why SQLite's binding cannot be loaded; null when it can. In a process of its own: a broken binding may crash it. */
function sqliteFailure() {
  const result = spawnSync(process.execPath, ['-e', "require('sqlite3')"], { cwd: projectFolder, encoding: 'utf8' });
  if (result.status === 0) return null;
  const reason = /^(?:\w*Error: .*)$/m.exec(result.stderr ?? '');
  return reason?.[0] ?? `node ended with ${result.signal ?? result.status}`;
}

/** Names what a compilation of SQLite's binding lacks, unless a ready-made binding can be had. */
async function requireCompiler() {
  const missing = [
    ['g++', ['g++', 'c++', 'clang++']],
    ['make', ['make', 'gmake']],
    ['python3', ['python3', 'python']],
  ].filter(([, programs]) => !programs.some(isOnPath));
  if (missing.length === 0 || (await prebuiltExists())) return;
  const names = missing.map(([name]) => name).join(', ');
  throw new CannotPrepare(
    `The package sqlite3 has to be compiled on this machine, which lacks: ${names}.\n` +
      `On Debian: apt install ${missing.map(([name]) => name).join(' ')}`,
  );
}

function isOnPath(program) {
  return (process.env.PATH ?? '').split(delimiter).some((folder) => {
    try {
      accessSync(join(folder, program), constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
}

/** Whether the authors of sqlite3 offer a binding for this machine, and it can be reached. */
async function prebuiltExists() {
  const { version } = readJson(inRoot('package-lock.json')).packages['node_modules/sqlite3'];
  const report = process.report?.getReport();
  const libc = process.platform === 'linux' && !report?.header?.glibcVersionRuntime ? 'musl' : '';
  const file = `sqlite3-v${version}-napi-v6-${process.platform}${libc}-${process.arch}.tar.gz`;
  const url = `https://github.com/TryGhost/node-sqlite3/releases/download/v${version}/${file}`;
  try {
    return (await fetch(url, { method: 'HEAD', signal: AbortSignal.timeout(5000) })).ok;
  } catch {
    return false;
  }
}

function npm(args) {
  const program = process.env.npm_execpath;
  const [command, ...first] = program?.endsWith('.js') ? [process.execPath, program] : ['npm'];
  return spawnSync(command, [...first, ...args], { cwd: projectFolder, stdio: 'inherit' }).status;
}

/** `tsc`, when a source, its configuration or the compiler is not the one which dist/ was built from. */
function build(config, say) {
  const stampFile = inRoot('dist', `.built-from-${config}`);
  const stamp = sourcesStamp(config);
  if (existsSync(stampFile) && readFileSync(stampFile, 'utf8') === stamp) return;
  say('building (tsc)');
  const tsc = createRequire(inRoot('package.json')).resolve('typescript/bin/tsc');
  if (spawnSync(process.execPath, [tsc, '-p', inRoot(config)], { cwd: projectFolder, stdio: 'inherit' }).status !== 0) {
    throw new CannotPrepare('The build failed; the messages above say where.');
  }
  mkdirSync(inRoot('dist'), { recursive: true });
  writeFileSync(stampFile, stamp);
}

/** A digest of everything that the build depends on. */
function sourcesStamp(config) {
  const hash = createHash('sha256');
  const add = (path) =>
    hash
      .update(`${path}\0`)
      .update(readFileSync(inRoot(path)))
      .update('\0');
  ['tsconfig.json', config, 'package-lock.json'].forEach(add);
  const patterns = readJson(inRoot(config)).include.map((pattern) => pattern.replace(/\/?\*.*$/, ''));
  const isIncluded = (name) =>
    patterns.some((pattern) => (pattern.endsWith('-') ? name.startsWith(pattern) : name === pattern));
  for (const folder of readdirSync(projectFolder).filter(isIncluded).sort()) {
    const names = readdirSync(inRoot(folder), { recursive: true }).map(String).sort();
    for (const name of names) if (name.endsWith('.ts')) add(join(folder, name));
  }
  return hash.digest('hex');
}
