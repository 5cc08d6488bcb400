import { InvalidInput } from '../../common/errors.js';
import type { KnownHost } from '../manager/capabilities.js';

/** A value of a query for one host; a list is what `not` answers. */
type Value = unknown;
type Evaluate = (host: KnownHost) => Value;

/** The first argument against each of the others; with less than two arguments false. */
const compared =
  (fits: (first: Value, other: Value) => boolean) =>
  (values: readonly Value[]): boolean =>
    values.length >= 2 && values.slice(1).every((other) => fits(values[0], other));

const number = (fits: (a: number, b: number) => boolean): ((values: readonly Value[]) => boolean) =>
  compared((a, b) => typeof a === typeof b && fits(a as number, b as number));

const operators: Readonly<Record<string, (values: readonly Value[]) => Value>> = {
  '=': compared((a, b) => a === b),
  '<': number((a, b) => a < b),
  '>': number((a, b) => a > b),
  '<=': number((a, b) => a <= b),
  '>=': number((a, b) => a >= b),
  in: compared((list, item) =>
    Array.isArray(list)
      ? list.includes(item)
      : typeof list === 'string' && typeof item === 'string' && list.includes(item),
  ),
  not: (values) => values.map((value) => !truth(value)),
  or: (values) => values.some(truth),
  and: (values) => values.every(truth),
};

/** More nested than this is no query. */
const deepest = 32;

/**
 * A query `[operator, argument, …]` made ready for many hosts (nova 2011.3, nova/scheduler/host_filter.py JsonFilter):
 * operators = < > in <= >= not or and; arguments are values, queries, and `$service.capability.…`, which are left out where
 * the host says nothing there. Throws InvalidInput for what is no query.
 */
export function compileQuery(query: unknown): (host: KnownHost) => boolean {
  const evaluate = compile(query, 0);
  return (host) => truth(evaluate(host));
}

function compile(query: unknown, depth: number): Evaluate {
  if (!Array.isArray(query) || depth > deepest) throw new InvalidInput('a host query must be a list, not too deep');
  if (query.length === 0) return () => true;
  const [name, ...rest] = query as unknown[];
  const operator = typeof name === 'string' && Object.hasOwn(operators, name) ? operators[name] : undefined;
  if (operator === undefined) throw new InvalidInput(`there is no operator ${String(name).slice(0, 50)}`);
  const args = rest.map((arg): Evaluate => {
    if (Array.isArray(arg)) return compile(arg, depth + 1);
    if (typeof arg === 'string' && arg.startsWith('$')) return lookUp(arg.slice(1).split('.'));
    return () => arg;
  });
  return (host) => {
    const values: Value[] = [];
    for (const arg of args) {
      const value = arg(host);
      if (value !== null && value !== undefined) values.push(value);
    }
    return operator(values);
  };
}

function lookUp([service = '', ...path]: readonly string[]): Evaluate {
  return (host) => {
    let value: unknown = host.service(service);
    for (const name of path) {
      if (typeof value !== 'object' || value === null || !Object.hasOwn(value, name)) return null;
      value = (value as Record<string, unknown>)[name];
    }
    return value;
  };
}

/** Python's truth, and of a list whether one of it is true. */
function truth(value: Value): boolean {
  return Array.isArray(value) ? value.some(truth) : Boolean(value);
}
