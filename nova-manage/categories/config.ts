import { isSecretFlag, shownValue } from '../../common/flags/dump.js';
import type { Flags } from '../../common/flags/flags.js';
import { type Category, type Command, json, printOrJson } from '../command.js';

/** Flags with a value, by name. */
function given(flags: Flags): [name: string, value: unknown][] {
  const present = Object.entries(flags).filter(([, value]) => value !== null && value !== undefined);
  return present.sort(([a], [b]) => (a < b ? -1 : 1));
}

/** A flag as a flag file has it; one line a value where each occurrence adds one. Secrets are masked. */
function flagLines(name: string, value: unknown): string[] {
  if (typeof value === 'boolean') return [value ? `--${name}` : `--no${name}`];
  return [`--${name}=${shownValue(name, value)}`];
}

const list: Command = {
  summary: 'List all configuration parameters (and their values), as a flag file has them; secrets are masked',
  arguments: [json],
  async run(environment, values) {
    const flags = given(environment.runtime.flags);
    const plain = (name: string, value: unknown): unknown =>
      isSecretFlag(name) || name === 'sql_connection' ? shownValue(name, value) : value;
    const data = Object.fromEntries(flags.map(([name, value]) => [name, plain(name, value)]));
    printOrJson(environment, values, data, () => {
      flags.flatMap(([name, value]) => flagLines(name, value)).forEach((line) => environment.print(line));
    });
  },
};

/** `nova-manage config` (nova 2011.3, bin/nova-manage ConfigCommands). */
export const config: Category = { commands: { list } };
