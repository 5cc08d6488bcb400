import { AsyncLocalStorage } from 'node:async_hooks';
import type { Context } from './context.js';

/** Level names and numbers of nova 2011.3 (nova/log.py); AUDIT stands between INFO and WARNING. */
export const logLevels = { DEBUG: 10, INFO: 20, AUDIT: 21, WARNING: 30, ERROR: 40, CRITICAL: 50 } as const;
export type LogLevel = keyof typeof logLevels;

/** Writes lines under one dotted name, e.g. `nova.compute.manager`. */
export interface Logger {
  debug(message: string): void;
  info(message: string): void;
  audit(message: string): void;
  warn(message: string): void;
  /** `error`'s stack follows as TRACE lines. */
  error(message: string, error?: unknown): void;
  critical(message: string, error?: unknown): void;
}

/** A logger whose lines go to `write`. */
export function loggerOf(write: (level: LogLevel, message: string, error?: unknown) => void): Logger {
  const at =
    (level: LogLevel) =>
    (message: string, error?: unknown): void =>
      write(level, message, error);
  return {
    debug: at('DEBUG'),
    info: at('INFO'),
    audit: at('AUDIT'),
    warn: at('WARNING'),
    error: at('ERROR'),
    critical: at('CRITICAL'),
  };
}

/** The log of one daemon. */
export interface Log {
  logger(name: string): Logger;
  /** Opens the file anew after a rotation (SIGHUP). */
  reopen(): void;
  /** Writes out what is buffered. */
  close(): Promise<void>;
}

const requestContext = new AsyncLocalStorage<Context>();

/** Runs `work` so that its log lines carry the context's request id, user and project. */
export function withLogContext<T>(context: Context, work: () => T): T {
  return requestContext.run(context, work);
}

/** The context whose work is running, when there is one. */
export function currentLogContext(): Context | undefined {
  return requestContext.getStore();
}
