import { ApiError } from '../../common/errors.js';
import { text, type Param } from './params.js';

/** `add` or `remove`; `fallback` when the request doesn't say. */
export function operationParam(fallback: 'add' | 'remove'): Param<'add' | 'remove'> {
  return {
    shape: { kind: 'text' },
    read(node, path) {
      const value = text.read(node, path) ?? fallback;
      if (value !== 'add' && value !== 'remove') throw new ApiError('operation must be add or remove');
      return value;
    },
  };
}
