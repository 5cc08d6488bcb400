/* eslint-disable no-restricted-imports -- /dev/log is a datagram socket, which Node.js lacks; logger(1) speaks to it */
import { spawn, type ChildProcess } from 'node:child_process';
import { StartupError } from '../errors.js';
import type { LogLevel } from '../log.js';

/** syslog's severities (RFC 5424, 6.2.1) in facility user (1). */
const priority = (level: LogLevel): number =>
  8 + { DEBUG: 7, INFO: 6, AUDIT: 5, WARNING: 4, ERROR: 3, CRITICAL: 2 }[level];

/** Sends lines to /dev/log through one logger(1), which is started again when it ends. */
export class SyslogSink {
  readonly #program: string;
  #child: ChildProcess | null = null;
  #closed = false;

  constructor(program: string) {
    this.#program = program;
  }

  /** Starts logger(1). Throws StartupError when there is none. */
  async open(): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      const child = this.#spawn();
      child.once('spawn', resolve);
      child.once('error', () =>
        reject(new StartupError('--use_syslog needs the program logger (Debian package bsdutils)')),
      );
    });
  }

  write(level: LogLevel, text: string): void {
    if (this.#closed) return;
    const stdin = (this.#child ?? this.#spawn()).stdin;
    // A logger which doesn't read must not fill the daemon's memory.
    if (stdin === null || stdin.writableLength > 1024 * 1024) return;
    for (const line of text.trimEnd().split('\n')) stdin.write(`<${priority(level)}>${line}\n`);
  }

  async close(): Promise<void> {
    this.#closed = true;
    const child = this.#child;
    if (child === null) return;
    await new Promise<void>((resolve) => {
      child.once('close', () => resolve());
      child.stdin?.end();
    });
  }

  #spawn(): ChildProcess {
    const child = spawn('logger', ['--tag', this.#program, '--prio-prefix'], { stdio: ['pipe', 'ignore', 'ignore'] });
    child.stdin.on('error', () => undefined);
    const forget = (): void => {
      if (this.#child === child) this.#child = null;
    };
    child.on('error', forget);
    child.on('close', forget);
    this.#child = child;
    return child;
  }
}
