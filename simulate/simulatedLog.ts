import { createHash } from 'node:crypto';
import { DBError } from '../common/errors.js';
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
  /** Lines which tell of a defect in a program: a TypeError, CRITICAL, a wrong statement, what the API did not expect. */
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
        if (level === 'CRITICAL' || isDefect(error) || isUnexpected(message))
          this.defects.push(`${line}\n${(error as Error)?.stack ?? ''}`);
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

/** What the faults of a simulation say. */
const simulated = '(simulated: ';

/** Errors which nobody throws on purpose, and statements which the database doesn't understand or want. */
function isDefect(error: unknown): boolean {
  if (error instanceof DBError) return error.reason === 'other' && !error.message.includes(simulated);
  return error instanceof TypeError || error instanceof ReferenceError || error instanceof RangeError;
}

/**
 * The API answers what it did not expect with `UnknownError`, status 400, and this line. That a back end or a database
 * fails is expected here; an answer which doesn't come in time, and a commit of which nobody knows, have lines of their own.
 */
function isUnexpected(message: string): boolean {
  return message.includes('Unexpected error raised') && !message.includes(simulated);
}
