import type { Flags } from '../flags/flags.js';
import { currentLogContext, loggerOf, logLevels, type Log, type Logger, type LogLevel } from '../log.js';
import type { Clock } from '../runtime/runtime.js';
import { asctime, compileFormat, jsonTime, type LineFields, type LineFormat } from './format.js';
import { Levels } from './levels.js';
import { redact } from './redact.js';
import type { Sink } from './sink.js';
import type { SyslogSink } from './syslogSink.js';

/** The flags which a log reads. */
export type LogFlags = Pick<
  Flags,
  | 'verbose'
  | 'default_log_levels'
  | 'logging_context_format_string'
  | 'logging_default_format_string'
  | 'logging_debug_format_suffix'
  | 'logging_exception_prefix'
  | 'log_json'
>;

export interface NovaLogOptions {
  /** Program name; told in JSON lines. */
  program: string;
  flags: LogFlags;
  clock: Clock;
  pid: number;
  sink: Sink;
  syslog?: SyslogSink;
}

/**
 * A log in Nova's line format (nova 2011.3, nova/log.py), or as JSON objects with `--log_json`. Every line passes the
 * redactor. Further lines of a message and stack traces begin with the TRACE prefix, so that no user's text can pass
 * for a line of its own. Throws StartupError for formats and levels which are none.
 */
export class NovaLog implements Log {
  readonly #options: NovaLogOptions;
  readonly #levels: Levels;
  readonly #contextFormat: LineFormat;
  readonly #defaultFormat: LineFormat;
  readonly #debugSuffix: LineFormat;
  readonly #tracePrefix: LineFormat;

  constructor(options: NovaLogOptions) {
    const { flags } = options;
    const compile = (flag: keyof LogFlags): LineFormat => compileFormat(flag, String(flags[flag]));
    this.#options = options;
    this.#levels = new Levels(flags.verbose, flags.default_log_levels);
    this.#contextFormat = compile('logging_context_format_string');
    this.#defaultFormat = compile('logging_default_format_string');
    this.#debugSuffix = compile('logging_debug_format_suffix');
    this.#tracePrefix = compile('logging_exception_prefix');
  }

  logger(name: string): Logger {
    const least = this.#levels.of(name);
    return loggerOf((level, message, error) => {
      if (logLevels[level] >= least) this.#write(level, name, message, error);
    });
  }

  reopen(): void {
    this.#options.sink.reopen();
  }

  /** Writes out what waits, at once; for a process which is about to end. */
  flushSync(): void {
    this.#options.sink.flushSync();
  }

  async close(): Promise<void> {
    await this.#options.sink.close();
    await this.#options.syslog?.close();
  }

  #write(level: LogLevel, name: string, message: string, error: unknown): void {
    const { clock, pid, flags, sink, syslog } = this.#options;
    const now = clock.now();
    const context = currentLogContext();
    const trace = error === undefined ? null : redact(stackOf(error));
    const fields: LineFields = {
      asctime: flags.log_json ? jsonTime(now) : asctime(now),
      levelname: level,
      name,
      message: redact(message),
      process: pid,
      request_id: context?.requestId ?? null,
      user_id: context?.userId ?? null,
      project_id: context?.projectId ?? null,
    };
    const text = flags.log_json ? this.#json(fields, trace) : this.#lines(fields, trace);
    sink.write(text);
    syslog?.write(level, text);
  }

  #json(fields: LineFields, trace: string | null): string {
    const { asctime: time, levelname: level, name: logger, message, process: pid, ...context } = fields;
    const inRequest = context.request_id === null ? {} : context;
    const line = { time, level, program: this.#options.program, pid, logger, ...inRequest, message };
    return `${JSON.stringify(trace === null ? line : { ...line, trace })}\n`;
  }

  #lines(fields: LineFields, trace: string | null): string {
    const [first = '', ...more] = printable(fields.message).split('\n');
    const format = fields.request_id === null ? this.#defaultFormat : this.#contextFormat;
    const line = { ...fields, message: first };
    const suffix = fields.levelname === 'DEBUG' ? ` ${this.#debugSuffix(line)}` : '';
    const prefix = this.#tracePrefix(line);
    // Python ends a formatted traceback with a newline, which gives a last, empty TRACE line.
    const traceLines = trace === null ? [] : [...printable(trace).split('\n'), ''];
    return `${[format(line) + suffix, ...[...more, ...traceLines].map((text) => prefix + text)].join('\n')}\n`;
  }
}

/** Control characters but newline and tab, as escapes: a log is read on terminals. */
function printable(text: string): string {
  return text.replace(
    // eslint-disable-next-line no-control-regex -- control characters are what is looked for
    /[\u0000-\u0008\u000b-\u001f\u007f\u0085\u2028\u2029]/g,
    (char) => `\\x${char.charCodeAt(0).toString(16).padStart(2, '0')}`,
  );
}

function stackOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const cause = error.cause === undefined ? '' : `\nCaused by: ${stackOf(error.cause)}`;
  return `${error.stack ?? `${error.name}: ${error.message}`}${cause}`;
}
