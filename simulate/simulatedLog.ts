import { createHash } from 'node:crypto';
import { currentLogContext, loggerOf, type Log, type Logger } from '../common/log.js';
import { dbTime } from '../common/time.js';
import type { World } from './world.js';

/** Lines which a log remembers. */
const kept = 3000;

/**
 * Every line which the daemons of a world log, and what the world itself notes, in order. Remembers the newest lines and
 * a digest of all, so that a long run needs no more memory than a short one.
 */
export class SimulatedLog implements Log {
  /** The newest lines. */
  readonly lines: string[] = [];
  /** Lines which tell of a defect in a program: a TypeError, or CRITICAL. */
  readonly defects: string[] = [];
  readonly #hash = createHash('sha256');
  #count = 0;

  /** @param onLine is told of each line */
  constructor(
    private readonly world: World,
    private readonly onLine?: (line: string) => void,
  ) {}

  get count(): number {
    return this.#count;
  }

  /** SHA-256 of all lines so far, in hexadecimal. */
  get digest(): string {
    return this.#hash.copy().digest('hex');
  }

  /** A line of the world's own: a request, a fault. */
  note(text: string): void {
    this.#write(`${dbTime(this.world.now())} ${text}`);
  }

  logger(name: string): Logger {
    return this.of('')(name);
  }

  /** The loggers of one daemon. */
  of(daemon: string): (name: string) => Logger {
    return (name) =>
      loggerOf((level, message, error) => {
        const context = currentLogContext();
        const who = context === undefined ? '-' : `${context.requestId} ${context.userId} ${context.projectId}`;
        const reason = error instanceof Error ? ` (${error.name}: ${error.message})` : '';
        const line = `${dbTime(this.world.now())} ${level} ${daemon} ${name} [${who}] ${message}${reason}`;
        this.#write(line);
        if (level === 'CRITICAL' || isDefect(error)) this.defects.push(`${line}\n${(error as Error)?.stack ?? ''}`);
      });
  }

  reopen(): void {}

  async close(): Promise<void> {}

  #write(line: string): void {
    this.#hash.update(line).update('\n');
    this.#count += 1;
    this.lines.push(line);
    if (this.lines.length > 2 * kept) this.lines.splice(0, kept);
    this.onLine?.(line);
  }
}

/** Errors which nobody throws on purpose. */
function isDefect(error: unknown): boolean {
  return error instanceof TypeError || error instanceof ReferenceError || error instanceof RangeError;
}
