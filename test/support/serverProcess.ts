import { execFileSync, spawn, type ChildProcess } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';

/** A TCP port on 127.0.0.1 which nobody listens on at the moment. */
export function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const address = server.address();
      const port = typeof address === 'object' && address !== null ? address.port : 0;
      server.close(() => resolve(port));
    });
  });
}

/** The ids of the account a server which refuses root has to run under; nothing when the tests don't run as root. */
export function accountOf(user: string): { uid: number; gid: number } | undefined {
  if (process.getuid?.() !== 0) return undefined;
  const id = (option: string): number => Number(execFileSync('id', [option, user], { encoding: 'utf8' }));
  return { uid: id('-u'), gid: id('-g') };
}

/** Repeats `attempt` until it succeeds; throws its last error after a minute. */
export async function eventually<T>(attempt: () => Promise<T>, seconds = 60): Promise<T> {
  const end = Date.now() + seconds * 1000;
  for (;;) {
    try {
      return await attempt();
    } catch (error) {
      if (Date.now() > end) throw error;
    }
    await sleep(50);
  }
}

/** A server which the tests started, and which ends with them. */
export class ServerProcess {
  #child: ChildProcess | undefined;
  #output = '';

  constructor(
    private readonly file: string,
    private readonly args: readonly string[],
    private readonly options: { account?: { uid: number; gid: number } | undefined; stopSignal?: NodeJS.Signals } = {},
  ) {
    process.once('exit', () => this.#child?.kill('SIGKILL'));
  }

  /** What it wrote, for the message of a failure. */
  get output(): string {
    return this.#output;
  }

  /** Undefined while it does not run. */
  get pid(): number | undefined {
    return this.#child?.pid;
  }

  /** Starts it and waits until `ready` succeeds; a server which ends meanwhile is started again (after a kill its old memory may still be in use). */
  async start(ready: () => Promise<unknown>): Promise<void> {
    await eventually(async () => {
      if (this.#child === undefined || this.#child.exitCode !== null || this.#child.signalCode !== null) this.#spawn();
      await ready();
    }).catch((error: unknown) => {
      throw new Error(`${this.file} does not start: ${String(error)}\n${this.#output.slice(-4000)}`);
    });
  }

  #spawn(): void {
    const child = spawn(this.file, this.args, { ...this.options.account, stdio: ['ignore', 'pipe', 'pipe'], cwd: '/' });
    const keep = (chunk: Buffer): void => {
      this.#output = (this.#output + chunk.toString()).slice(-20_000);
    };
    child.stdout.on('data', keep);
    child.stderr.on('data', keep);
    child.on('error', (error) => keep(Buffer.from(error.message)));
    this.#child = child;
  }

  /** Ends it in order, or at once with SIGKILL, and waits until it is gone. */
  async end(signal: NodeJS.Signals = this.options.stopSignal ?? 'SIGTERM'): Promise<void> {
    const child = this.#child;
    this.#child = undefined;
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
    const gone = new Promise<void>((resolve) => child.once('exit', () => resolve()));
    // A power failure takes them all: PostgreSQL's backends outlive their parent for a moment and would still answer.
    const workers = signal === 'SIGKILL' ? childrenOf(child.pid!) : [];
    child.kill(signal);
    for (const pid of workers) killIfThere(pid);
    await gone;
    for (const pid of workers) while (existsSync(`/proc/${pid}`) && parentOf(pid) !== 0) await sleep(5);
  }
}

/** The processes which a process started and which are still there. */
export function childrenOf(pid: number): number[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .filter((candidate) => parentOf(candidate) === pid);
}

/** A process's parent; 0 when it is gone or only its exit status is left. */
function parentOf(pid: number): number {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    const [state, parent] = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    return state === 'Z' ? 0 : Number(parent);
  } catch {
    return 0;
  }
}

function killIfThere(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch {
    // It has ended by itself.
  }
}
