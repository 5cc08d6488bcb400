import { StartupError } from '../errors.js';
import { logLevels, type LogLevel } from '../log.js';

/** Python's other names of levels. */
const aliases: Readonly<Record<string, LogLevel>> = { WARN: 'WARNING', FATAL: 'CRITICAL' };

/**
 * Levels per logger: `verbose` decides for all, `default_log_levels` (`name=LEVEL`) for a dotted name and those below it,
 * the longest name first. Throws StartupError for an entry of another form.
 */
export class Levels {
  readonly #rules: readonly (readonly [name: string, level: number])[];
  readonly #base: number;

  constructor(verbose: boolean, defaultLogLevels: readonly string[]) {
    this.#base = verbose ? logLevels.DEBUG : logLevels.INFO;
    this.#rules = defaultLogLevels.map(parseRule).sort((a, b) => b[0].length - a[0].length);
  }

  /** The lowest level number which the logger writes. */
  of(logger: string): number {
    return this.#rules.find(([name]) => logger === name || logger.startsWith(`${name}.`))?.[1] ?? this.#base;
  }
}

function parseRule(entry: string): readonly [string, number] {
  const [name = '', word = ''] = entry.split('=').map((part) => part.trim());
  const upper = word.toUpperCase();
  const level = aliases[upper] ?? upper;
  if (name === '' || !Object.hasOwn(logLevels, level)) {
    throw new StartupError(
      `--default_log_levels: ${entry} is not of the form logger=LEVEL with one of ${Object.keys(logLevels).join(', ')}`,
    );
  }
  return [name, logLevels[level as LogLevel]];
}
