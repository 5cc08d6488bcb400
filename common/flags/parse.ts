import { StartupError } from '../errors.js';
import { flagFilesOf, readFlagFile, type FlagLine, type ReadText } from './files.js';
import { flagDefinitions, type FlagName } from './flags.js';
import { resolveName } from './names.js';
import { illegalValue, parseValue } from './texts.js';
import type { FlagDefinition } from './types.js';

/** A command line and what it may read. */
export interface CommandLine {
  /** Arguments after the program's name. */
  argv: readonly string[];
  /** Files to try, in order, when no argument contains `flagfile`: the first which exists is read. */
  defaultFiles?: readonly string[];
  /** Reads a flag file; throws Node's errors. The file system's when absent. */
  readText?: ReadText;
}

export interface ParsedFlags {
  /** Values of the flags which were given, not interpolated. */
  values: Partial<Record<FlagName, unknown>>;
  /** Everything from the first argument on which is no flag. */
  positionals: string[];
  /** Lines for the operator: what was skipped in flag files. */
  warnings: string[];
  /** Options which name no flag of ours; tolerated. */
  unknown: string[];
  /** The files which were read, in order. */
  files: string[];
  /** What the user asks to see instead of running the program. */
  show: 'help' | 'helpshort' | 'version' | null;
}

/** Options which are no flags of a daemon: what they ask for. `helpxml` shows the plain help. */
const shows: Readonly<Record<string, ParsedFlags['show']>> = {
  help: 'help',
  helpxml: 'help',
  helpshort: 'helpshort',
  version: 'version',
};

/**
 * Parses a command line and its flag files as python-gflags 1.3 to 1.6 do (operators' files of ten years are to work):
 * booleans as `--name` and `--noname`, unique prefixes, unknown flags tolerated, the first positional ends the flags.
 * The command line wins over files; among files, and among a file's includes, the last occurrence wins. Unlike gflags a
 * line of a file which is no option is skipped with a warning instead of ending everything after it, and a file which
 * cannot be read is an error. Throws StartupError.
 */
export function parseFlags(line: CommandLine): ParsedFlags {
  const parser = new Parser();
  const command = splitCommandLine(line.argv);
  const named = flagFilesOf(line, command.flagFiles);
  for (const file of named) {
    const content = readFlagFile(file, line.readText);
    parser.files.push(...content.files);
    parser.warnings.push(...content.warnings);
    for (const option of content.lines) parser.take(option);
  }
  for (const option of command.options) parser.take(option);
  return { ...parser.result(), positionals: command.positionals };
}

/** Values gathered from options in their effective order. */
class Parser {
  readonly files: string[] = [];
  readonly warnings: string[] = [];
  readonly #values = new Map<string, unknown>();
  readonly #unknown: string[] = [];
  #show: ParsedFlags['show'] = null;

  take(option: FlagLine): void {
    if (option.name === 'undefok') return;
    const show = shows[option.name];
    if (show !== undefined) {
      this.#show = show;
      return;
    }
    const found = resolveName(option.name, flagDefinitions);
    if (found === null) {
      this.#unknown.push(option.name);
      return;
    }
    const flag = flagDefinitions[found.name]!;
    const value = located(option, () => valueOf(found.name, flag, found.negated, option.value));
    const before = this.#values.get(found.name);
    const appends = flag.kind === 'multistring' && Array.isArray(before);
    this.#values.set(found.name, appends ? [...(before as unknown[]), ...(value as unknown[])] : value);
  }

  result(): Omit<ParsedFlags, 'positionals'> {
    const values = Object.fromEntries(this.#values) as ParsedFlags['values'];
    return { values, warnings: this.warnings, unknown: this.#unknown, files: this.files, show: this.#show };
  }
}

function valueOf(name: string, flag: FlagDefinition<unknown>, negated: boolean, text: string | null): unknown {
  if (flag.kind !== 'boolean') {
    if (text === null) throw illegalValue(name, flag, null);
    return parseValue(name, flag, text);
  }
  if (negated && text !== null) throw illegalValue(`no${name}`, flag, text);
  return text === null ? !negated : parseValue(name, flag, text);
}

/** Adds to an error where in a flag file its option stands. */
function located<T>(option: FlagLine, work: () => T): T {
  try {
    return work();
  } catch (error) {
    if (option.where === null || !(error instanceof StartupError)) throw error;
    throw new StartupError(`${error.message} (${option.where})`);
  }
}

interface SplitCommandLine {
  options: FlagLine[];
  flagFiles: string[];
  positionals: string[];
}

/** Tells options, their separate values, flag files and positionals apart. */
function splitCommandLine(argv: readonly string[]): SplitCommandLine {
  const result: SplitCommandLine = { options: [], flagFiles: [], positionals: [] };
  for (let index = 0; index < argv.length; index += 1) {
    const word = argv[index]!;
    if (word === '--') {
      result.positionals.push(...argv.slice(index + 1));
      break;
    }
    if (!word.startsWith('-') || word === '-') {
      result.positionals.push(...argv.slice(index));
      break;
    }
    if (!word.startsWith('--')) {
      takeShortOption(word, result);
      continue;
    }
    const option = splitOption(word);
    if (option.value === null && wantsValue(option.name)) {
      index += 1;
      option.value = argv[index] ?? null;
    }
    if (option.name === 'flagfile') {
      if (option.value === null || option.value === '') throw new StartupError('--flagfile names no file');
      result.flagFiles.push(option.value);
    } else {
      result.options.push(option);
    }
  }
  return result;
}

/** There are no one-letter flags but `-?`; unknown letters are tolerated, `-verbose` is a mistake worth a sentence. */
function takeShortOption(word: string, result: SplitCommandLine): void {
  if (word === '-?') result.options.push({ name: 'help', value: null, where: null });
  else if (word.length > 2)
    throw new StartupError(
      `option ${word.slice(0, 2)} not recognized: flags begin with two dashes, --${word.slice(1)}`,
    );
}

/** `--name=value` or `--name` as a name and a value. */
function splitOption(word: string): FlagLine {
  const equals = word.indexOf('=');
  if (equals === -1) return { name: word.slice(2), value: null, where: null };
  return { name: word.slice(2, equals), value: word.slice(equals + 1), where: null };
}

/** Whether the next argument is the value of this option. */
function wantsValue(option: string): boolean {
  if (option === 'flagfile' || option === 'undefok') return true;
  const found = resolveName(option, flagDefinitions);
  return found !== null && flagDefinitions[found.name]!.kind !== 'boolean';
}
