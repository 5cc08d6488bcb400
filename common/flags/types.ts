/** The six kinds of a gflags flag (python-gflags 1.3 – 1.6). */
export type FlagKind = 'string' | 'integer' | 'boolean' | 'list' | 'float' | 'multistring';

/** A flag's definition. `T` is the type of its value once parsed. */
export interface FlagDefinition<T> {
  readonly kind: FlagKind;
  readonly default: T;
  readonly help: string;
  /** Smallest integer or float accepted. */
  readonly minimum?: number;
  /** Never shown in logs, `config list` or error texts. */
  readonly secret?: boolean;
  /** Not one of 2011.3. */
  readonly ours?: boolean;
}

interface Extra {
  minimum?: number;
  secret?: boolean;
  ours?: boolean;
}

/** A text flag. `$name` in its value is replaced by another flag's value. */
export const string = (value: string, help: string, extra: Extra = {}): FlagDefinition<string> => ({
  kind: 'string',
  default: value,
  help,
  ...extra,
});
/** A text flag which may be unset (null). */
export const optional = (help: string, extra: Extra = {}): FlagDefinition<string | null> => ({
  kind: 'string',
  default: null,
  help,
  ...extra,
});
export const integer = (value: number, help: string, extra: Extra = {}): FlagDefinition<number> => ({
  kind: 'integer',
  default: value,
  help,
  ...extra,
});
export const float = (value: number, help: string, extra: Extra = {}): FlagDefinition<number> => ({
  kind: 'float',
  default: value,
  help,
  ...extra,
});
export const boolean = (value: boolean, help: string, extra: Extra = {}): FlagDefinition<boolean> => ({
  kind: 'boolean',
  default: value,
  help,
  ...extra,
});
/** Comma separated; the last occurrence replaces the earlier ones. */
export const list = (value: readonly string[], help: string, extra: Extra = {}): FlagDefinition<readonly string[]> => ({
  kind: 'list',
  default: value,
  help,
  ...extra,
});
/** Each occurrence adds one value. */
export const multistring = (
  value: readonly string[],
  help: string,
  extra: Extra = {},
): FlagDefinition<readonly string[]> => ({ kind: 'multistring', default: value, help, ...extra });
