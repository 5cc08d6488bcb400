import { flagModules } from './definitions.js';
import type { FlagDefinition } from './types.js';

/** What `--help` says first. */
export interface Usage {
  /** The program's name. */
  binary: string;
  /** One sentence: what the program does. */
  summary: string;
  /** What follows the name on the usage line; `[--flag=value …]` when absent. */
  synopsis?: string;
  /** Defaults which differ for this program. */
  defaults?: Readonly<Record<string, unknown>>;
}

/** Usage without the flags: the answer to `--helpshort`. */
export function shortHelp(usage: Usage): string {
  return `${usage.summary}\n\nusage: ${usage.binary} ${usage.synopsis ?? '[--flag=value ...]'}\n`;
}

/** Usage and every flag, grouped by the module which reads it: the answer to `--help`. */
export function fullHelp(usage: Usage): string {
  const parts = [
    shortHelp(usage),
    'Flags are given as --name=value on the command line or one a line in --flagfile=FILE;',
    'booleans as --name and --noname. The command line wins over files.',
  ];
  for (const [module, flags] of Object.entries(flagModules)) {
    parts.push(`\n${module}:`);
    for (const [name, flag] of Object.entries(flags as Record<string, FlagDefinition<unknown>>)) {
      parts.push(flagHelp(name, flag, usage.defaults?.[name] ?? flag.default));
    }
  }
  return `${parts.join('\n')}\n`;
}

function flagHelp(name: string, flag: FlagDefinition<unknown>, value: unknown): string {
  const spelling = flag.kind === 'boolean' ? `--[no]${name}` : `--${name}`;
  return `  ${spelling}: ${flag.help}\n    (${flag.kind}; default: ${defaultText(flag, value)})`;
}

function defaultText(flag: FlagDefinition<unknown>, value: unknown): string {
  if (value === null) return 'none';
  if (flag.kind === 'boolean') return value ? 'true' : 'false';
  if (Array.isArray(value)) return value.length === 0 ? 'empty' : `'${value.join(',')}'`;
  return typeof value === 'number' ? String(value) : `'${String(value)}'`;
}
