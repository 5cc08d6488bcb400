import { StartupError } from '../errors.js';
import type { FlagDefinition } from './types.js';

/** What a flag of each kind takes, as an error text says it. */
const expectations = {
  string: 'a text',
  integer: 'an integer',
  float: 'a number',
  boolean: 'true, t, 1, false, f or 0',
  list: 'a comma separated list',
  multistring: 'a text',
} as const;

/** A value which the flag does not take. Names the flag, the value (unless secret) and what is expected. */
export function illegalValue(name: string, flag: FlagDefinition<unknown>, text: string | null): StartupError {
  const value = text === null ? '' : flag.secret ? '=***' : `=${text}`;
  const least = flag.minimum === undefined ? '' : `, at least ${flag.minimum}`;
  const got = text === null ? 'has no value' : 'is not a legal value';
  return new StartupError(
    `IllegalFlagValue: flag --${name}${value} ${got}: it takes ${expectations[flag.kind]}${least}`,
  );
}

/**
 * One flag's value from its text (python-gflags 1.3: integers decimal or 0x…, lists split at commas with each element
 * stripped, an empty list from an empty text). A multistring's single value comes as a list of one. Throws StartupError.
 */
export function parseValue(name: string, flag: FlagDefinition<unknown>, text: string): unknown {
  switch (flag.kind) {
    case 'string':
      return text;
    case 'multistring':
      return [text];
    case 'list':
      return text.trim() === '' ? [] : text.split(',').map((item) => item.trim());
    case 'boolean': {
      const lower = text.toLowerCase();
      if (['true', 't', '1'].includes(lower)) return true;
      if (['false', 'f', '0'].includes(lower)) return false;
      throw illegalValue(name, flag, text);
    }
    case 'integer':
    case 'float': {
      const value = parseNumber(flag.kind, text.trim());
      if (value === null || (flag.minimum !== undefined && value < flag.minimum)) throw illegalValue(name, flag, text);
      return value;
    }
  }
}

function parseNumber(kind: 'integer' | 'float', text: string): number | null {
  const sign = text.startsWith('-') ? -1 : 1;
  const digits = text.replace(/^[-+]/, '');
  if (/^0x[0-9a-f]+$/i.test(digits)) return kind === 'integer' ? safe(sign * Number.parseInt(digits, 16)) : null;
  if (kind === 'integer') return /^\d+$/.test(digits) ? safe(sign * Number(digits)) : null;
  if (!/^(\d+\.?\d*|\.\d+)(e[-+]?\d+)?$/i.test(digits)) return null;
  const value = sign * Number(digits);
  return Number.isFinite(value) ? value : null;
}

function safe(value: number): number | null {
  return Number.isSafeInteger(value) ? value : null;
}
