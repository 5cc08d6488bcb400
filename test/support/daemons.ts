import { spawn, type ChildProcess } from 'node:child_process';
import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { projectRoot } from '../../common/projectRoot.js';

export interface SpawnOptions {
  /** The program serves once its output matches; ` is ready` (the daemons' own last line of a start) when absent. */
  ready?: RegExp;
  /** Milliseconds to wait for that; 60 s when absent. */
  deadlineMs?: number;
  /** Working directory; a daemon looks for nova.conf there. The root folder when absent. */
  cwd?: string;
  env?: Readonly<Record<string, string>>;
}

/** How a program ended. */
export interface Ended {
  code: number | null;
  signal: NodeJS.Signals | null;
}

/** A program of ours in a process of its own. */
export class DaemonProcess {
  readonly #child: ChildProcess;
  readonly #ended: Promise<Ended>;
  #output = '';
  #hasEnded = false;
  readonly #listeners = new Set<() => void>();

  constructor(
    readonly binary: string,
    flags: readonly string[],
    options: SpawnOptions = {},
  ) {
    const [program, ...args] = commandOf(binary);
    const env = { ...process.env, ...options.env };
    this.#child = spawn(program!, [...args, ...flags], {
      cwd: options.cwd ?? '/',
      env,
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    for (const stream of [this.#child.stdout!, this.#child.stderr!]) {
      stream.setEncoding('utf8').on('data', (text: string) => {
        this.#output += text;
        this.#notify();
      });
    }
    this.#ended = new Promise((resolve) => {
      this.#child.once('error', () => resolve({ code: null, signal: null }));
      // `close` and not `exit`: then the output is complete.
      this.#child.once('close', (code, signal) => resolve({ code, signal }));
    });
    void this.#ended.then(() => {
      this.#hasEnded = true;
      this.#notify();
    });
  }

  /** What it wrote to stdout and stderr so far. */
  get output(): string {
    return this.#output;
  }
  get pid(): number {
    return this.#child.pid!;
  }
  get hasEnded(): boolean {
    return this.#hasEnded;
  }

  /** Waits until the output matches. Throws, with the output, when the program ends or time runs out before. */
  async until(pattern: RegExp, deadlineMs = 60_000): Promise<RegExpMatchArray> {
    return new Promise((resolve, reject) => {
      const finish = (settle: () => void): void => {
        clearTimeout(timer);
        this.#listeners.delete(look);
        settle();
      };
      const fail = (what: string): void =>
        finish(() => reject(new Error(`${this.binary} ${what} ${pattern}:\n${this.#output.slice(-4000)}`)));
      const look = (): void => {
        const match = pattern.exec(this.#output);
        if (match !== null) finish(() => resolve(match));
        else if (this.#hasEnded) fail('ended before its output matched');
      };
      const timer = setTimeout(() => fail('did not say in time'), deadlineMs);
      this.#listeners.add(look);
      look();
    });
  }

  /** Resolves when it has ended by itself or by a signal. */
  ended(): Promise<Ended> {
    return this.#ended;
  }

  signal(signal: NodeJS.Signals): void {
    this.#child.kill(signal);
  }

  /** SIGTERM, and SIGKILL when that does not help in time. */
  async stop(graceMs = 30_000): Promise<Ended> {
    this.#child.kill('SIGTERM');
    const timer = setTimeout(() => this.#child.kill('SIGKILL'), graceMs);
    const result = await this.#ended;
    clearTimeout(timer);
    return result;
  }

  /** kill -9. */
  async kill(): Promise<Ended> {
    this.#child.kill('SIGKILL');
    return this.#ended;
  }

  #notify(): void {
    for (const listener of [...this.#listeners]) listener();
  }
}

/** The built program where these tests are built too, the source through tsx otherwise. */
export function commandOf(binary: string): string[] {
  const root = projectRoot();
  const builtTests = import.meta.url.includes('/dist/test/');
  if (builtTests && existsSync(join(root, 'dist', binary, 'main.js'))) return [join(root, 'bin', binary)];
  const tsx = pathToFileURL(createRequire(join(root, 'package.json')).resolve('tsx')).href;
  return [process.execPath, '--import', tsx, join(root, 'test', 'support', 'runSource.ts'), binary];
}

/** Starts a program and waits until it serves. Throws, with its output, when it does not. */
export async function spawnDaemon(
  binary: string,
  flags: readonly string[],
  options: SpawnOptions = {},
): Promise<DaemonProcess> {
  const daemon = new DaemonProcess(binary, flags, options);
  try {
    await daemon.until(options.ready ?? / is ready/, options.deadlineMs);
    return daemon;
  } catch (error) {
    await daemon.kill();
    throw error;
  }
}

/** Runs a program to its end, e.g. `nova-manage`. */
export async function runProgramToEnd(
  binary: string,
  flags: readonly string[],
  options: SpawnOptions = {},
): Promise<Ended & { output: string }> {
  const daemon = new DaemonProcess(binary, flags, options);
  const timer = setTimeout(() => void daemon.kill(), options.deadlineMs ?? 60_000);
  const ended = await daemon.ended();
  clearTimeout(timer);
  return { ...ended, output: daemon.output };
}
