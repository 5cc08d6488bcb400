import { isSecretFlag, shownValue } from './dump.js';
import { flagDefinitions } from './flags.js';

/** The words of a command line as a process list may show them: secrets in flags masked, in `--name=value` and `--name value`. */
export function shownCommandLine(words: readonly string[]): string[] {
  return words.map((word, index) => {
    const [, flag, value] = /^(--?[\w-]+)=([\s\S]*)$/.exec(word) ?? [];
    if (flag !== undefined) return `${flag}=${shown(flag, value!)}`;
    const before = words[index - 1] ?? '';
    return /^--?[\w-]+$/.test(before) ? shown(before, word) : word;
  });
}

/** A value as everybody may see it. A flag may be named by the beginning of its name. */
function shown(flag: string, value: string): string {
  const name = flag.replace(/^--?/, '').replaceAll('-', '_');
  if ('sql_connection'.startsWith(name)) return shownValue('sql_connection', value);
  const isSecret =
    isSecretFlag(name) || Object.keys(flagDefinitions).some((one) => one.startsWith(name) && isSecretFlag(one));
  return isSecret ? '***' : value;
}
