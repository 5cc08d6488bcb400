import type { FlagDefinition } from './types.js';

/** A flag which an option names; `negated` for `--noverbose`. */
export interface NamedFlag {
  name: string;
  negated: boolean;
}

/**
 * The flag which `--<option>` names: its exact name, `no<name>` of a boolean, or a prefix of either which is unique among
 * all flags. Null when none or several match: such an option is unknown, which is no error.
 */
export function resolveName(
  option: string,
  definitions: Readonly<Record<string, FlagDefinition<unknown>>>,
): NamedFlag | null {
  if (Object.hasOwn(definitions, option)) return { name: option, negated: false };
  const booleans = Object.keys(definitions).filter((name) => definitions[name]!.kind === 'boolean');
  const positive = option.startsWith('no') ? option.slice(2) : '';
  if (positive !== '' && booleans.includes(positive)) return { name: positive, negated: true };
  if (option === '') return null;
  const matches: NamedFlag[] = [
    ...Object.keys(definitions)
      .filter((name) => name.startsWith(option))
      .map((name) => ({ name, negated: false })),
    ...booleans.filter((name) => `no${name}`.startsWith(option)).map((name) => ({ name, negated: true })),
  ];
  return matches.length === 1 ? matches[0]! : null;
}
