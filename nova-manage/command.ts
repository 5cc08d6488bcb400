import type { Db } from '../common/db/db.js';
import type { ImageService } from '../common/images/imageService.js';
import type { Rpc } from '../common/rpc/rpc.js';
import type { Runtime } from '../common/runtime/runtime.js';

/** What a command works with. Database and bus are opened when a command first asks for them. */
export interface ManageEnvironment {
  readonly runtime: Runtime;
  /** Writes one line to standard output. */
  print(line: string): void;
  /** The database, at the schema version which this release needs. Throws StartupError. */
  database(): Promise<Db>;
  /** The database, whatever is in it. */
  rawDatabase(): Promise<Db>;
  rpc(): Promise<Rpc>;
  images(): ImageService;
  /** Writes bytes to standard output as they are. */
  write?(data: Buffer): void;
}

/** One argument: a positional slot which an option fills as well. */
export interface Argument {
  readonly name: string;
  /** `--user`; takes a value unless the argument is a switch. */
  readonly option?: `--${string}`;
  readonly required?: boolean;
  readonly help: string;
  /** An option without a value; never positional. */
  readonly isSwitch?: boolean;
  /** Its value is nobody's to see in a process list. */
  readonly secret?: boolean;
}

/** The values of a command's arguments by name; a switch which is on is `true`. */
export type ArgumentValues = Readonly<Record<string, string | undefined>>;

/** One `nova-manage category action`. */
export interface Command {
  readonly summary: string;
  /** Those of the command itself. `--help` and `--json` are every command's; one which lists `json` here prints its own. */
  readonly arguments: readonly Argument[];
  /** Answers the exit status; nothing is 0. */
  run(environment: ManageEnvironment, values: ArgumentValues): Promise<number | void>;
}

/** The commands of a category by action. `onCategory` runs when no action is named. */
export interface Category {
  readonly commands: Readonly<Record<string, Command>>;
  readonly onCategory?: Command;
}

/** The command line doesn't fit the command: too many or too few arguments, or one given twice. */
export class ArgumentCountError extends Error {}
/** An option which the command doesn't have, or which lacks its value. */
export class OptionError extends Error {}

/** What keeps a command from being done, said on standard output without a CRITICAL line. */
export class CommandError extends Error {
  constructor(
    message: string,
    readonly status = 1,
  ) {
    super(message);
  }
}

const helpArgument: Argument = {
  name: 'help',
  option: '--help',
  help: 'show this help message and exit',
  isSwitch: true,
};
const jsonArgument: Argument = { name: 'json', option: '--json', help: 'print JSON', isSwitch: true };

/** A switch which makes a command print JSON of its own shape; for commands without it the printed lines are put into it. */
export const json = jsonArgument;

/** Prints `data` as JSON where that is asked for, else what `print` prints. */
export function printOrJson(
  environment: ManageEnvironment,
  values: ArgumentValues,
  data: unknown,
  print: () => void,
): void {
  if (values['json']) environment.print(JSON.stringify(data, null, 2));
  else print();
}

/**
 * Reads what follows the action: options and positionals in any order. `--opt value` and `--opt=value` fill the slot of
 * the same argument. Throws OptionError and ArgumentCountError. Answers undefined when help is asked for.
 */
export function readArguments(command: Command, argv: readonly string[]): ArgumentValues | undefined {
  const known = [...command.arguments.filter((argument) => argument !== jsonArgument), jsonArgument, helpArgument];
  const values: Record<string, string> = {};
  const positionals: string[] = [];
  for (let at = 0; at < argv.length; at++) {
    const word = argv[at]!;
    if (word === '-h') return undefined;
    if (!word.startsWith('--') || word === '--') {
      if (word !== '--') positionals.push(word);
      continue;
    }
    const [option, inline] = splitOption(word);
    const argument = findOption(known, option);
    if (argument === helpArgument) return undefined;
    if (argument.isSwitch) {
      if (inline !== undefined) throw new OptionError(`${argument.option} option does not take a value`);
      values[argument.name] = 'true';
      continue;
    }
    const value = inline ?? argv[++at];
    if (value === undefined) throw new OptionError(`${argument.option} option requires an argument`);
    values[argument.name] = value;
  }
  const slots = command.arguments.filter((argument) => !argument.isSwitch);
  if (positionals.length > slots.length) throw new ArgumentCountError(`at most ${slots.length} arguments are expected`);
  positionals.forEach((value, index) => {
    const { name } = slots[index]!;
    if (name in values) throw new ArgumentCountError(`${name} is given twice`);
    values[name] = value;
  });
  const absent = slots.filter((argument) => argument.required && values[argument.name] === undefined);
  if (absent.length > 0) throw new ArgumentCountError(`missing: ${absent.map((argument) => argument.name).join(', ')}`);
  return values;
}

/** What follows the action as a process list may show it: the values of secret arguments masked, however they are given. */
export function shownArguments(command: Command, argv: readonly string[]): string[] {
  const slots = command.arguments.filter((argument) => !argument.isSwitch);
  const masked = (argument: Argument | undefined, value: string): string => (argument?.secret ? '***' : value);
  let place = 0;
  let awaiting: Argument | undefined;
  return argv.map((word) => {
    if (awaiting !== undefined) {
      const argument = awaiting;
      awaiting = undefined;
      return masked(argument, word);
    }
    if (word === '--') return word;
    if (!word.startsWith('--')) return masked(slots[place++], word);
    const [option, inline] = splitOption(word);
    const argument = optionsLike(slots, option)[0];
    if (inline !== undefined) return `${option}=${masked(argument, inline)}`;
    awaiting = argument;
    return word;
  });
}

function splitOption(word: string): [string, string | undefined] {
  const equals = word.indexOf('=');
  return equals < 0 ? [word, undefined] : [word.slice(0, equals), word.slice(equals + 1)];
}

/** The argument of an option, or of an unambiguous beginning of one. */
function findOption(known: readonly Argument[], option: string): Argument {
  const matches = optionsLike(known, option);
  if (matches.length > 1) {
    throw new OptionError(`ambiguous option: ${option} (${matches.map((argument) => argument.option).join(', ')}?)`);
  }
  if (matches.length === 0) throw new OptionError(`no such option: ${option}`);
  return matches[0]!;
}

/** The argument whose option this is, else all whose options begin so. */
function optionsLike(known: readonly Argument[], option: string): Argument[] {
  const exact = known.find((argument) => argument.option === option);
  return exact ? [exact] : known.filter((argument) => argument.option?.startsWith(option));
}

/** Usage and options, as 2011.3 prints them. */
export function commandUsage(category: string, action: string, command: Command): string[] {
  const options = command.arguments.filter((argument) => argument.option !== undefined && argument !== jsonArgument);
  const rows = [
    ['-h, --help', helpArgument.help],
    ...options.map((argument) => [
      argument.isSwitch ? argument.option! : `${argument.option}=<${argument.name}>`,
      argument.help,
    ]),
  ];
  const width = Math.max(...rows.map(([left]) => left!.length));
  const unnamed = command.arguments.filter((argument) => argument.option === undefined);
  return [
    `Usage: nova-manage ${category} ${action} <args> [options]`,
    '',
    ...(unnamed.length > 0
      ? ['Arguments:', ...unnamed.map((argument) => `  ${argument.name.padEnd(width)}  ${argument.help}`), '']
      : []),
    'Options:',
    ...rows.map(([left, right]) => `  ${left!.padEnd(width)}  ${right}`),
  ];
}

/** The lines which `--help` prints: what the command does, its usage and options, and how arguments may be given. */
export function commandHelp(category: string, action: string, command: Command): string[] {
  const slots = command.arguments.filter((argument) => !argument.isSwitch);
  const order = slots.map(({ name, required }) => (required ? `<${name}>` : `[<${name}>]`)).join(' ');
  const filled = slots.some((argument) => argument.option !== undefined);
  return [
    ...commandUsage(category, action, command),
    '',
    '  --json  print JSON, for programs',
    '',
    command.summary,
    ...(slots.length > 0
      ? [
          `Arguments in order: ${order}`,
          ...(filled ? ['Each may be given in its place, or by its option; not both ways.'] : []),
        ]
      : []),
  ];
}

/** A value as Python's print shows it: nothing is `None`. */
export function shown(value: string | number | boolean | null | undefined): string {
  if (value === null || value === undefined) return 'None';
  if (typeof value === 'boolean') return value ? 'True' : 'False';
  return String(value);
}
