/* eslint-disable no-restricted-imports, no-restricted-globals -- processes and their time limit are outside of every world */
import { fork, type ChildProcess } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import type { Outcome } from './run.js';
import type { Selection } from './selection.js';

const workerFile = fileURLToPath(new URL('./worker.js', import.meta.url));
/** Runs after which a process is replaced, so that no leak of one adds up overnight. */
const runsPerProcess = 200;

export interface PoolOptions {
  /** What a process runs. */
  readonly file?: string;
  /** Milliseconds of real time after which a run is taken to hang. */
  readonly limitMs?: number | undefined;
}

/** Runs selections in `jobs` processes side by side; tells each outcome as it comes, and resolves when all have. */
export async function runAll(
  selections: Iterable<Selection>,
  jobs: number,
  onOutcome: (outcome: Outcome, selection: Selection) => void,
  { file = workerFile, limitMs = 600_000 }: PoolOptions = {},
): Promise<void> {
  const waiting = selections[Symbol.iterator]();
  const lane = async (): Promise<void> => {
    let worker: ChildProcess | undefined;
    let runs = 0;
    for (let next = waiting.next(); next.done !== true; next = waiting.next()) {
      if (worker === undefined || !isAlive(worker) || runs >= runsPerProcess) {
        letGo(worker);
        worker = fork(file, { execArgv: ['--enable-source-maps'] });
        // Whoever waits for it hears of its end.
        worker.on('error', () => undefined);
        runs = 0;
      }
      runs += 1;
      onOutcome(await runIn(worker, next.value, limitMs), next.value);
    }
    letGo(worker);
  };
  await Promise.all(Array.from({ length: Math.max(1, jobs) }, lane));
}

/** The channel to a process which has just ended may seem to be there still. */
function isAlive(worker: ChildProcess): boolean {
  return worker.connected && worker.exitCode === null && worker.signalCode === null;
}

/** A process which crashed or was killed has let go by itself. */
function letGo(worker: ChildProcess | undefined): void {
  if (worker?.connected === true) worker.disconnect();
}

/** One run in a process; one which hangs, or takes its process along, has failed. */
function runIn(worker: ChildProcess, selection: Selection, limitMs: number): Promise<Outcome> {
  return new Promise((resolve) => {
    const failed = (problem: string): Outcome => ({
      seed: selection.seed,
      problems: [`the run: ${problem}`],
      digest: '',
      lines: 0,
      tail: [],
      outcomes: {},
      age: 0,
    });
    const settle = (outcome: Outcome): void => {
      clearTimeout(timer);
      worker.off('message', settle).off('exit', onExit).off('error', onError);
      resolve(outcome);
    };
    const onExit = (code: number | null, signal: string | null): void =>
      settle(failed(`its process ended (${signal ?? code})`));
    const onError = (error: Error): void => {
      letGo(worker);
      settle(failed(`its process could not be used: ${error.message}`));
    };
    const timer = setTimeout(() => {
      worker.off('exit', onExit);
      letGo(worker);
      worker.kill('SIGKILL');
      settle(failed(`did not end within ${limitMs / 1000} seconds`));
    }, limitMs);
    worker.on('message', settle).on('exit', onExit).on('error', onError);
    worker.send(selection);
  });
}
