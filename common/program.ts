import { dirname } from 'node:path';
import { errorText, NovaError } from './errors.js';
import { dumpFlags } from './flags/dump.js';
import { defaultFlagFiles } from './flags/files.js';
import type { FlagName, Flags } from './flags/flags.js';
import { fullHelp, shortHelp, type Usage } from './flags/help.js';
import { parseFlags, type ParsedFlags } from './flags/parse.js';
import { flagsFrom } from './flags/values.js';
import { logFileOf, openLog } from './log/open.js';
import type { NovaLog } from './log/novaLog.js';
import { hideSecrets } from './processTitle.js';
import { novaVersion, productVersion } from './projectRoot.js';
import { RealRuntime } from './runtime/real.js';
import { within } from './service/timers.js';
import { listUnderWay, processState } from './underWay.js';

/** What a program does once its flags are read and its log is open. */
export interface ProgramOptions {
  usage: Usage;
  /** False: no flag file is read but those which are named. */
  searchFlagFiles?: boolean;
  /** The values to run with, from those which were given: the program's own defaults under them. */
  values?(given: ParsedFlags['values']): Promise<Partial<Record<FlagName, unknown>>>;
  /** Runs before the log is opened: makes its folder. */
  prepare?(flags: Flags): Promise<void>;
  /** What SIGHUP does: logs are reopened, or the program stops (its terminal was closed). `reopen` when absent. */
  hangup?: 'reopen' | 'stop';
  /** Starts the program; resolves when it serves. */
  start(program: Program): Promise<RunningProgram>;
}

export interface Program {
  readonly runtime: RealRuntime;
  readonly flags: Flags;
  readonly log: NovaLog;
  /** Ends the program because of an error, as if its start had failed. */
  readonly fail: (error: unknown) => void;
}

export interface RunningProgram {
  /** Ends its work; bounded by the flag drain_timeout and a little more. */
  stop(): Promise<void>;
}

/** Milliseconds within which a second signal is the first one's echo: npm sends Ctrl-C on to a child which has it already. */
const echoMs = 500;
/** Lines which SIGUSR1 writes of what is under way. */
const mostShown = 100;
/** Seconds beyond drain_timeout after which a program that stops is ended whatever it still does. */
const closingSeconds = 10;

/**
 * Runs a program from its command line to its end: `--help`, flag files, log, signals, exit status. SIGTERM and SIGINT
 * stop it in order (exit 0; a second one ends it at once), SIGHUP reopens logs, SIGUSR1 logs what it is doing. What keeps it from starting is one
 * sentence on stderr and exit 1; an error which nobody caught is a CRITICAL line and exit 1.
 */
export async function runProgram(options: ProgramOptions): Promise<void> {
  const { binary } = options.usage;
  hideSecrets();
  let opened: { parsed: ParsedFlags; flags: Flags; log: NovaLog };
  try {
    const parsed = parseFlags({ argv: process.argv.slice(2), defaultFiles: flagFiles(options) });
    if (parsed.show !== null) {
      process.stdout.write(helpText(options.usage, parsed.show));
      return;
    }
    const flags = flagsFrom((await options.values?.(parsed.values)) ?? parsed.values);
    await options.prepare?.(flags);
    opened = { parsed, flags, log: await openLog(flags, binary, { now: realNow }) };
  } catch (error) {
    process.stderr.write(`${binary}: ${startSentence(error) ?? stackOf(error)}\n`);
    process.exitCode = 1;
    return;
  }
  await new ProgramRun(options, opened.flags, opened.log).run(opened.parsed);
}

function flagFiles(options: ProgramOptions): string[] {
  if (options.searchFlagFiles === false) return [];
  return defaultFlagFiles(dirname(process.argv[1] ?? ''));
}

function helpText(usage: Usage, show: 'help' | 'helpshort' | 'version'): string {
  if (show === 'version') return `${usage.binary} ${productVersion()} (Nova ${novaVersion})\n`;
  return show === 'help' ? fullHelp(usage) : shortHelp(usage);
}

/** One sentence for the operator about an error which has its cause outside of the program; null for a defect. */
function startSentence(error: unknown): string | null {
  if (error instanceof NovaError) return oneLine(error.message);
  const { code, syscall, address, port } = error as NodeJS.ErrnoException & { address?: string; port?: number };
  if (!(error instanceof Error) || code === undefined || syscall === undefined) return null;
  if (code === 'EADDRINUSE') return `The port ${port} of ${address} is in use by another program`;
  if (code === 'ENOSPC') return `The disk is full: ${oneLine(error.message)}`;
  return oneLine(error.message);
}

const oneLine = (text: string): string => text.replace(/\s*\n\s*/g, ' ').trim();
const stackOf = (error: unknown): string => (error instanceof Error ? (error.stack ?? error.message) : String(error));
const realNow = (): number => Date.now(); // eslint-disable-line no-restricted-syntax -- the log's clock, before there is a runtime

/** A program with flags and a log, from its start to its end. */
class ProgramRun {
  readonly #program: Program;
  readonly #options: ProgramOptions;
  #running: RunningProgram | null = null;
  #endingSince: number | null = null;

  constructor(options: ProgramOptions, flags: Flags, log: NovaLog) {
    this.#options = options;
    const runtime = new RealRuntime({ binary: options.usage.binary, flags, log });
    const fail = (error: unknown): void => {
      if (this.#endingSince === null) void this.#fail(error, startSentence(error));
    };
    this.#program = { flags, log, runtime, fail };
  }

  async run(parsed: ParsedFlags): Promise<void> {
    this.#handleEvents();
    this.#logFlags(parsed);
    try {
      this.#running = await this.#options.start(this.#program);
    } catch (error) {
      if (this.#endingSince === null) await this.#fail(error, startSentence(error));
    }
  }

  #handleEvents(): void {
    process.on('SIGTERM', () => void this.#stop('SIGTERM', 143));
    process.on('SIGINT', () => void this.#stop('SIGINT', 130));
    process.on('SIGHUP', () => {
      if (this.#options.hangup === 'stop') void this.#stop('SIGHUP', 129);
      else this.#program.log.reopen();
    });
    // without a listener Node.js would open its debugger
    process.on('SIGUSR1', () => this.#logState());
    process.on('uncaughtException', (error) => void this.#fail(error, null));
    process.on('unhandledRejection', (error) => void this.#fail(error, null));
  }

  #logState(): void {
    const { log, runtime } = this.#program;
    const logger = log.logger('nova.service');
    logger.info(`State: ${processState()}`);
    const lines = listUnderWay(runtime.clock, mostShown);
    for (const line of lines) logger.info(`Under way: ${line}`);
    if (lines.length === 0) logger.info('Under way: nothing');
  }

  #logFlags(parsed: ParsedFlags): void {
    const logger = this.#program.log.logger('nova');
    for (const warning of parsed.warnings) logger.warn(warning);
    if (parsed.unknown.length > 0)
      logger.debug(`Flags which are not known here: ${[...new Set(parsed.unknown)].join(', ')}`);
    if (!this.#program.flags.verbose) return;
    logger.debug('Full set of FLAGS:');
    for (const line of dumpFlags(this.#program.flags)) logger.debug(line);
  }

  /** Stops in order; when that is under way already, or nothing runs yet, ends at once. */
  async #stop(signal: string, statusAtOnce: number): Promise<void> {
    const { log, runtime, flags } = this.#program;
    if (this.#endingSince !== null) {
      if (runtime.clock.now() - this.#endingSince < echoMs) return;
      log.flushSync();
      process.exit(statusAtOnce);
    }
    this.#endingSince = runtime.clock.now();
    log.logger('nova.service').info(`${signal} received, stopping`);
    try {
      const ended = await within(
        runtime,
        (flags.drain_timeout + closingSeconds) * 1000,
        this.#running?.stop() ?? Promise.resolve(),
      );
      if (!ended) log.logger('nova.service').warn('Ended before everything had stopped');
    } catch (error) {
      log.logger('nova.service').error(`Error while stopping: ${errorText(error)}`, error);
    }
    await this.#exit(0);
  }

  /** Ends because of an error: a sentence when its cause is outside, else the error as it is. */
  async #fail(error: unknown, sentence: string | null): Promise<void> {
    const { log, flags, runtime } = this.#program;
    const { binary } = this.#options.usage;
    const text = sentence ?? `${error instanceof Error ? `${error.name}: ` : ''}${errorText(error)}`;
    const logsToStderr = logFileOf(flags, binary) === null;
    if (sentence === null || !logsToStderr) log.logger('nova').critical(text, flags.verbose ? error : undefined);
    if (sentence !== null || !logsToStderr) process.stderr.write(`${binary}: ${oneLine(text)}\n`);
    this.#endingSince = runtime.clock.now();
    await this.#exit(1);
  }

  async #exit(status: number): Promise<void> {
    const { log, runtime } = this.#program;
    await within(runtime, 2000, log.close());
    process.exit(status);
  }
}
