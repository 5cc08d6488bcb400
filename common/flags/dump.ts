import { flagDefinitions, type Flags } from './flags.js';
import type { FlagDefinition } from './types.js';

/** A flag whose value is never shown: declared secret, or named like one. */
export function isSecretFlag(name: string, flag: FlagDefinition<unknown> | undefined = flagDefinitions[name]): boolean {
  return flag?.secret === true || /password$|secret|_key(_id)?$/.test(name);
}

/** A database URL without its credentials: `postgresql://***@db/nova`. */
function maskUrl(url: string): string {
  return url.replace(/^([\w+.-]+:\/\/)[^/]*@/, '$1***@').replace(/([?&](?:password|passwd|user)=)[^&]*/gi, '$1***');
}

/** A flag's value as an operator may see it; lists comma-joined, no value as Python shows it. */
export function shownValue(name: string, value: unknown): string {
  if (value === null || value === undefined) return 'None';
  if (name === 'sql_connection') return maskUrl(String(value));
  if (isSecretFlag(name)) return '***';
  if (typeof value === 'boolean') return value ? 'True' : 'False';
  return Array.isArray(value) ? value.join(',') : String(value);
}

/** Every flag as `name : value`, by name, secrets masked (nova 2011.3 logs this at DEBUG when a daemon starts). */
export function dumpFlags(flags: Flags): string[] {
  return Object.entries(flags)
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, value]) => `${name} : ${shownValue(name, value)}`);
}
