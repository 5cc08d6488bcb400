import { PythonError } from '../errors.js';
import type { MethodSpec } from './types.js';

/**
 * Checks the names of a message's arguments as Python does when it calls `method(self, context, **args)`. Throws a
 * TypeError with the text of Python 2.7: callers of 2011.3 see it as `failure[1]`.
 */
export function checkArguments(method: string, spec: MethodSpec, args: Readonly<Record<string, unknown>>): void {
  const optional = spec.optional ?? [];
  if (!spec.open) {
    const unknown = Object.keys(args).find((name) => !spec.required.includes(name) && !optional.includes(name));
    if (unknown !== undefined) {
      throw new PythonError('TypeError', `${method}() got an unexpected keyword argument '${unknown}'`);
    }
  }
  const given = (names: readonly string[]): number => names.filter((name) => Object.hasOwn(args, name)).length;
  if (given(spec.required) === spec.required.length) return;
  // self and context are arguments too; those behind ** are not counted
  const wanted = spec.required.length + 2;
  const has = 2 + given(spec.required) + (spec.open ? 0 : given(optional));
  const exactly = spec.open || optional.length === 0 ? 'exactly' : 'at least';
  throw new PythonError('TypeError', `${method}() takes ${exactly} ${wanted} arguments (${has} given)`);
}
