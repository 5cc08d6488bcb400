import { fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';

/** A program of the bench in a process of its own. */
export interface Child {
  readonly pid: number;
  stop(): Promise<void>;
}

/** Runs a module beside this one with an argument; resolves with what it sends first. Its end is this process's, too. */
export async function startChild<T>(module: string, argument: object): Promise<{ child: Child; ready: T }> {
  const path = fileURLToPath(new URL(module, import.meta.url));
  const process = fork(path, [JSON.stringify(argument)], { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] });
  const gone = once(process, 'exit');
  const [ready] = (await Promise.race([
    once(process, 'message'),
    gone.then(([code]) => Promise.reject(new Error(`${module} ended with ${String(code)}`))),
  ])) as [T];
  const stop = async (): Promise<void> => {
    process.kill();
    await gone;
  };
  return { child: { pid: process.pid!, stop }, ready };
}

/** In a child: its argument. */
export function argumentOfChild<T>(): T {
  return JSON.parse(process.argv[2] ?? '{}') as T;
}

/** In a child: says that it is ready, and ends with its parent. */
export function sayReady(message: object): void {
  process.once('disconnect', () => process.exit());
  process.send?.(message);
}
