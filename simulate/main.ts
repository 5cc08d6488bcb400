/* eslint-disable no-restricted-imports -- the log of a run goes to a file of the real world */
import { once } from 'node:events';
import { createWriteStream, type WriteStream } from 'node:fs';
import { availableParallelism } from 'node:os';
import { parseArgs } from 'node:util';
import { planOf } from './plan.js';
import { runAll } from './pool.js';
import { runPlan, type Outcome } from './run.js';
import { commandOf, selectedPlan, type Selection } from './selection.js';
import { shrink } from './shrink.js';

const usage = `Usage: npm run simulate -- [--seed=N] [--seeds=K] [--steps=M] [OPTION…]

Runs the whole cloud in one process on a virtual clock, lets users ask for things and breaks parts of it, puts everything
right and looks whether all is well then. A seed determines every byte of what happens. docs/simulation.md has the rest.

  --seed=N            the seed, or the first of several, up to 4294967295; 1 when absent
  --seeds=K           so many seeds, one after the other; 1 when absent
  --steps=M           requests of the users, up to 10000; 80 when absent
  --jobs=J            processes side by side; one a core when absent
  --log=FILE          writes the whole log of a run (one seed)
  --shrink            takes away faults and steps from a run which fails as long as it fails (one seed)
  --only-steps=LIST   takes these steps only, e.g. 0,4,17 or none
  --only-faults=LIST  lets these faults only happen
  --help              this text
`;

const options = {
  help: { type: 'boolean' },
  seed: { type: 'string', default: '1' },
  seeds: { type: 'string', default: '1' },
  steps: { type: 'string', default: '80' },
  jobs: { type: 'string', default: String(availableParallelism()) },
  log: { type: 'string' },
  shrink: { type: 'boolean' },
  'only-steps': { type: 'string' },
  'only-faults': { type: 'string' },
} as const;

class UsageError extends Error {}

const out = (line: string): void => void process.stdout.write(`${line}\n`);
const progress = (line: string): void => void process.stderr.write(`simulate: ${line}\n`);

function readArgs(args: readonly string[]): ReturnType<typeof parseArgs<{ options: typeof options }>>['values'] {
  try {
    return parseArgs({ args: [...args], options }).values;
  } catch (error) {
    throw new UsageError(error instanceof Error ? error.message : String(error));
  }
}

/** Seeds are numbers of 32 bits. */
const mostSeed = 2 ** 32 - 1;
/** More take more memory than a process has. */
const mostSteps = 10_000;

function count(name: string, text: string, least: number, most: number): number {
  const value = /^\d{1,10}$/.test(text) ? Number(text) : NaN;
  if (!(value >= least && value <= most))
    throw new UsageError(`--${name}=${text} is no number from ${least} to ${most}`);
  return value;
}

/** Indices of a plan's list, whose length is `there`. */
function list(name: string, text: string | undefined, there: number): number[] | undefined {
  if (text === undefined) return undefined;
  if (there === 0 && text !== 'none') throw new UsageError(`--${name}=${text}, but this run has none`);
  return text === 'none' ? [] : text.split(',').map((part) => count(name, part.trim(), 0, there - 1));
}

/** One seed after the other, made when its turn comes. */
function* selectionsFrom(first: number, seeds: number, steps: number): Iterable<Selection> {
  for (let index = 0; index < seeds; index++) yield { seed: first + index, steps };
}

/** Tells of a run which failed, and how to repeat it. */
function report({ problems, tail }: Outcome, selection: Selection): void {
  out(`FAILED seed ${selection.seed}:`);
  for (const problem of problems) out(`  ${problem}`);
  const { faults } = selectedPlan(selection);
  for (const fault of faults) out(`  fault: ${JSON.stringify(fault)}`);
  for (const line of tail.filter((one) => / (ERROR|CRITICAL) /.test(one)).slice(-10)) out(`  log: ${line}`);
  out(`  to repeat it: ${commandOf(selection)}`);
  if (selection.onlySteps === undefined) out(`  to shorten it: ${commandOf(selection)} --shrink`);
}

async function many(selections: Iterable<Selection>, seeds: number, jobs: number): Promise<number> {
  let done = 0;
  let failed = 0;
  await runAll(selections, Math.min(jobs, seeds), (outcome, selection) => {
    done += 1;
    if (outcome.problems.length > 0) {
      failed += 1;
      report(outcome, selection);
    }
    if (done % 20 === 0 || done === seeds) progress(`${done} of ${seeds} seeds, ${failed} failed`);
  });
  out(`${done - failed} seeds passed, ${failed} failed`);
  return failed === 0 ? 0 : 1;
}

/** Throws UsageError when the file can't be written. */
async function openLog(path: string): Promise<WriteStream> {
  const file = createWriteStream(path);
  try {
    await once(file, 'open');
  } catch (error) {
    throw new UsageError(`--log=${path}: ${error instanceof Error ? error.message : String(error)}`);
  }
  return file;
}

async function one(selection: Selection, logFile: string | undefined): Promise<number> {
  const file = logFile === undefined ? undefined : await openLog(logFile);
  const outcome = await runPlan(selectedPlan(selection), file && ((line) => void file.write(`${line}\n`)));
  await new Promise<void>((resolve) => (file === undefined ? resolve() : file.end(resolve)));
  if (outcome.problems.length > 0) report(outcome, selection);
  const answers = Object.entries(outcome.outcomes).map(([what, times]) => `${times} ${what}`);
  out(
    `seed ${selection.seed}: ${answers.join(', ')}; ${Math.round(outcome.age / 1000)} s of its time, ${outcome.lines} lines of log, SHA-256 ${outcome.digest}`,
  );
  out(outcome.problems.length > 0 ? '0 seeds passed, 1 failed' : '1 seeds passed, 0 failed');
  return outcome.problems.length > 0 ? 1 : 0;
}

/** Answers the exit status: 0 when all is well, 1 when a run failed, 2 for arguments which make no sense. */
async function main(args: readonly string[]): Promise<number> {
  try {
    const values = readArgs(args);
    if (values.help === true) {
      process.stdout.write(usage);
      return 0;
    }
    const seed = count('seed', values.seed, 0, mostSeed);
    const seeds = count('seeds', values.seeds, 1, mostSeed - seed + 1);
    const steps = count('steps', values.steps, 1, mostSteps);
    const jobs = count('jobs', values.jobs, 1, 1000);
    if (seeds !== 1) {
      for (const name of ['log', 'shrink', 'only-steps', 'only-faults'] as const)
        if (values[name] !== undefined) throw new UsageError(`--${name} wants one seed`);
      return await many(selectionsFrom(seed, seeds, steps), seeds, jobs);
    }
    const plan = planOf(seed, steps);
    const onlySteps = list('only-steps', values['only-steps'], plan.steps.length);
    const onlyFaults = list('only-faults', values['only-faults'], plan.faults.length);
    const selection = { seed, steps, ...(onlySteps && { onlySteps }), ...(onlyFaults && { onlyFaults }) };
    if (values.shrink !== true) return await one(selection, values.log);
    const shortest = await shrink(selection, (some) => runPlan(selectedPlan(some)), progress);
    if (shortest === selection) progress('the run passes, there is nothing to shorten');
    else out(commandOf(shortest));
    return await one(shortest, values.log);
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    process.stderr.write(`simulate: ${error.message}\n${usage}`);
    return 2;
  }
}

process.exitCode = await main(process.argv.slice(2));
