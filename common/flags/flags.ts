import type { FlagDefinition } from './types.js';
import { flagModules } from './definitions.js';

type Modules = typeof flagModules;
type UnionToIntersection<U> = (U extends unknown ? (value: U) => void : never) extends (value: infer I) => void
  ? I
  : never;
type AllDefinitions = UnionToIntersection<Modules[keyof Modules]>;
type ValueOf<D> = D extends FlagDefinition<infer T> ? T : never;

/** The value of every flag, interpolated, by name. Immutable; a daemon gets its own. */
export type Flags = { readonly [K in keyof AllDefinitions]: ValueOf<AllDefinitions[K]> };
export type FlagName = keyof Flags;

/** Every definition by name. */
export const flagDefinitions: Readonly<Record<string, FlagDefinition<unknown>>> = Object.assign(
  {},
  ...Object.values(flagModules),
) as Record<string, FlagDefinition<unknown>>;
