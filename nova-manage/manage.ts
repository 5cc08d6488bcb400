import { errorText, StartupError } from '../common/errors.js';
import { categories } from './categories/index.js';
import {
  ArgumentCountError,
  type ArgumentValues,
  type Category,
  type Command,
  CommandError,
  commandHelp,
  commandUsage,
  json,
  type ManageEnvironment,
  OptionError,
  readArguments,
  shownArguments,
} from './command.js';
import { versionText } from './version.js';

/** The streams of the process, so that tests can read them. */
export interface ManageOutput {
  out(line: string): void;
  err(line: string): void;
}

/**
 * Runs `nova-manage` on the words after the global flags and answers the exit status: 0 done, 1 failed, 2 not
 * understood (nova 2011.3, bin/nova-manage).
 */
export async function manage(
  words: readonly string[],
  environment: ManageEnvironment,
  output: ManageOutput,
): Promise<number> {
  const [categoryWord, ...rest] = words;
  if (categoryWord === undefined) {
    [
      '',
      `OpenStack Nova version: ${versionText}`,
      '',
      'nova-manage category action [<args>]',
      'Available categories:',
    ].forEach(output.out);
    Object.keys(categories).forEach((name) => output.out(`\t${name}`));
    return 2;
  }
  const categoryName = match(categoryWord, Object.keys(categories), output);
  if (categoryName === undefined) return 2;
  const category = categories[categoryName]!;
  const chosen = chooseAction(categoryName, category, rest, output);
  if (chosen === undefined) return 2;
  return runCommand(categoryName, chosen.action, chosen.command, chosen.words, environment, output);
}

/** The words after the global flags as a process list may show them: the values of secret arguments masked. */
export function shownWords(words: readonly string[]): string[] {
  const [categoryWord = '', actionWord = '', ...rest] = words;
  const [categoryName] = namesLike(categoryWord, Object.keys(categories));
  const commands = categoryName === undefined ? {} : categories[categoryName]!.commands;
  const [action] = namesLike(actionWord, Object.keys(commands));
  const shown = action === undefined ? rest : shownArguments(commands[action]!, rest);
  return [...words.slice(0, 2), ...shown];
}

function chooseAction(
  categoryName: string,
  category: Category,
  words: readonly string[],
  output: ManageOutput,
): { action: string; command: Command; words: readonly string[] } | undefined {
  const [actionWord, ...rest] = words;
  const names = Object.keys(category.commands).sort();
  if (actionWord === undefined || (category.onCategory && actionWord.startsWith('-'))) {
    if (category.onCategory) return { action: '', command: category.onCategory, words };
    output.out('nova-manage category action [<args>]');
    output.out(`Available actions for ${categoryName} category:`);
    names.forEach((name) => output.out(`\t${name}`));
    return undefined;
  }
  const action = match(actionWord, names, output);
  return action === undefined ? undefined : { action, command: category.commands[action]!, words: rest };
}

/** The one name which begins with the word, in any case; an exact match is preferred. Says so when there isn't one. */
function match(word: string, names: readonly string[], output: ManageOutput): string | undefined {
  const found = namesLike(word, names);
  if (found[0] === word.toLowerCase() || found.length === 1) return found[0];
  output.out(found.length === 0 ? `${word} does not match any options:` : `${word} matched multiple options:`);
  (found.length === 0 ? names : found).forEach((name) => output.out(`\t${name}`));
  return undefined;
}

/** The names which begin with the word, in any case; an exact match is the first. */
function namesLike(word: string, names: readonly string[]): string[] {
  const lower = word.toLowerCase();
  return names
    .filter((name) => name === lower)
    .concat(names.filter((name) => name !== lower && name.startsWith(lower)));
}

async function runCommand(
  category: string,
  action: string,
  command: Command,
  words: readonly string[],
  environment: ManageEnvironment,
  output: ManageOutput,
): Promise<number> {
  let values: ArgumentValues | undefined;
  try {
    values = readArguments(command, words);
    if (values === undefined) {
      commandHelp(category, action, command).forEach(output.out);
      return 0;
    }
    if (values['json'] === undefined || command.arguments.includes(json)) {
      return (await command.run(environment, values)) ?? 0;
    }
    const lines: string[] = [];
    const status = (await command.run({ ...environment, print: (line) => void lines.push(line) }, values)) ?? 0;
    output.out(JSON.stringify({ status, output: lines }, null, 2));
    return status;
  } catch (error) {
    const usage = commandUsage(category, action, command);
    if (error instanceof OptionError) {
      output.err(usage[0]!);
      output.err('');
      output.err(`nova-manage: error: ${error.message}`);
      return 2;
    }
    if (error instanceof ArgumentCountError) {
      output.out('Possible wrong number of arguments supplied');
      output.out(command.summary);
      usage.forEach(output.out);
      output.err(`nova-manage: ${error.message}`);
      return 1;
    }
    if (values?.['json'] !== undefined) {
      const status = error instanceof CommandError ? error.status : 1;
      output.out(JSON.stringify({ status, error: errorText(error) }, null, 2));
      return status;
    }
    if (error instanceof CommandError) {
      output.out(error.message);
      return error.status;
    }
    if (error instanceof StartupError) {
      output.err(`nova-manage: ${error.message}`);
      return 1;
    }
    output.out('Command failed, please check log for more info');
    environment.runtime.log
      .logger('nova')
      .critical(errorText(error), environment.runtime.flags.verbose ? error : undefined);
    return 1;
  }
}
