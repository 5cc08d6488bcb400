import { ApiError, InvalidEc2Id } from '../../common/errors.js';

/** A request's parameters by dotted name, the last of a repeated one. */
export type RawParams = ReadonlyMap<string, string>;

/** Parameters as a tree: `A.B.C=v` is a → b → c. */
interface Node {
  value?: string;
  children?: Map<string, Node>;
}

/** What values of a single parameter are. `ids` name the prefixes of an EC2 id. */
export type ParamKind = 'text' | 'integer' | 'boolean' | 'base64' | readonly string[];
/** What a parameter is seen from outside; documentation and tests which walk every action read it. */
export type ParamShape =
  | { readonly kind: ParamKind; readonly required?: true }
  /** `Name.1`, `Name.2`, …; with `required` at least one. */
  | { readonly element: ParamShape; readonly required?: true }
  /** `Name.Member`. */
  | { readonly members: Readonly<Record<string, ParamShape>>; readonly required?: true };

/** Reads one parameter (or group of parameters) out of the tree. Undefined when the request doesn't have it. */
export interface Param<T> {
  readonly shape: ParamShape;
  read(node: Node | undefined, path: string): T;
}
export type ParamsOf<S> = { [K in keyof S]: S[K] extends Param<infer T> ? T : never };
export type ParamSpecs = Readonly<Record<string, Param<unknown>>>;

/** A parameter which is missing. */
function missing(path: string): ApiError {
  return new ApiError(`The request must contain the parameter ${path}`, 'MissingParameter');
}
/** A parameter of the wrong form. */
function malformed(path: string, value: string, wish: string): ApiError {
  return new ApiError(
    `Value (${value.slice(0, 100)}) for parameter ${path} is invalid. ${wish}`,
    'InvalidParameterValue',
  );
}

/** Text as sent; undefined when absent. Clients send an empty value for what they leave out, so that is absent as well. */
export const text: Param<string | undefined> = {
  shape: { kind: 'text' },
  read: (node) => (node?.value === undefined || node.value === '' ? undefined : node.value),
};
/** Text as sent, where an empty value means something. */
export const anyText: Param<string | undefined> = { shape: { kind: 'text' }, read: (node) => node?.value };

/** A whole number, decimal, within the range. */
export function integer(minimum = -(2 ** 31), maximum = 2 ** 31 - 1): Param<number | undefined> {
  return {
    shape: { kind: 'integer' },
    read(node, path) {
      const value = text.read(node, path);
      if (value === undefined) return undefined;
      const number = /^\s*[+-]?\d{1,15}\s*$/.test(value) ? Number(value) : NaN;
      if (!(number >= minimum && number <= maximum)) {
        throw malformed(path, value, `An integer from ${minimum} to ${maximum} is expected.`);
      }
      return number;
    },
  };
}

/** true or false, in any case. */
export const bool: Param<boolean | undefined> = {
  shape: { kind: 'boolean' },
  read(node, path) {
    const value = text.read(node, path)?.toLowerCase();
    if (value === undefined) return undefined;
    if (value === 'true' || value === '1') return true;
    if (value === 'false' || value === '0') return false;
    throw malformed(path, value, 'true or false is expected.');
  },
};

/** An EC2 id of one of the given prefixes, e.g. `i-0000000a`, as its integer. */
export function ec2Id(...prefixes: readonly string[]): Param<number | undefined> {
  return {
    shape: { kind: prefixes },
    read(node, path) {
      const value = text.read(node, path);
      return value === undefined ? undefined : parseEc2Id(value, prefixes);
    },
  };
}

/** The integer in an EC2 id. Throws InvalidEc2Id unless it is `<prefix>-<1 to 8 hex digits>`. */
export function parseEc2Id(value: string, prefixes: readonly string[]): number {
  const match = /^([a-z]+)-([0-9a-f]{1,8})$/i.exec(value);
  const number = match && prefixes.includes(match[1]!.toLowerCase()) ? parseInt(match[2]!, 16) : NaN;
  if (!(number <= 2 ** 31 - 1)) throw new InvalidEc2Id(value.slice(0, 100), prefixes[0]);
  return number;
}

/** A parameter without which the action can't do anything. */
export function required<T>(param: Param<T | undefined>): Param<T> {
  return {
    shape: { ...param.shape, required: true },
    read(node, path) {
      const value = param.read(node, path);
      if (value === undefined) throw missing(path);
      return value;
    },
  };
}

/** `Name.1`, `Name.2`, … in numeric order, gaps and a start at 0 allowed; or a single `Name`. Empty when absent. */
export function list<T>(element: Param<T | undefined>, limit = 1000): Param<T[]> {
  return {
    shape: { element: element.shape },
    read(node, path) {
      if (node === undefined) return [];
      const numbered = [...(node.children ?? [])]
        .filter(([key]) => /^\d{1,9}$/.test(key))
        .map(([key, child]) => [Number(key), child] as const)
        .sort((a, b) => a[0] - b[0]);
      if (numbered.length > limit) {
        throw new ApiError(`At most ${limit} values are accepted for ${path}`, 'InvalidParameterValue');
      }
      const single = node.value === undefined ? [] : [element.read({ value: node.value }, path)];
      const values = [...single, ...numbered.map(([number, child]) => element.read(child, `${path}.${number}`))];
      return values.filter((value): value is Exclude<typeof value, undefined> => value !== undefined);
    },
  };
}

/** At least one value. */
export function someOf<T>(element: Param<T | undefined>): Param<T[]> {
  const all = list(element);
  return {
    shape: { ...all.shape, required: true },
    read(node, path) {
      const values = all.read(node, path);
      if (values.length === 0) throw missing(`${path}.1`);
      return values;
    },
  };
}

/** A group of parameters: `Placement.AvailabilityZone`. Undefined when no parameter of it is there. */
export function group<S extends ParamSpecs>(specs: S): Param<ParamsOf<S> | undefined> {
  return {
    shape: { members: Object.fromEntries(Object.entries(specs).map(([name, param]) => [name, param.shape])) },
    read: (node, path) => (node?.children === undefined ? undefined : readAll(specs, node, `${path}.`)),
  };
}

/** Whether the parameter is there at all, with whatever value. */
export const present: Param<boolean> = { shape: { kind: 'text' }, read: (node) => node !== undefined };

function readAll<S extends ParamSpecs>(specs: S, node: Node, prefix: string): ParamsOf<S> {
  const values: Record<string, unknown> = {};
  for (const [name, param] of Object.entries(specs)) {
    values[name] = param.read(node.children?.get(name), `${prefix}${name}`);
  }
  return values as ParamsOf<S>;
}

/** Reads an action's parameters. What no spec names is ignored. Throws ApiError which names the parameter. */
export function readParams<S extends ParamSpecs>(specs: S, raw: RawParams): ParamsOf<S> {
  const root: Node = { children: new Map() };
  for (const [name, value] of raw) {
    let node = root;
    for (const part of name.split('.').slice(0, 8)) {
      node.children ??= new Map();
      let child = node.children.get(part);
      if (child === undefined) node.children.set(part, (child = {}));
      node = child;
    }
    node.value = value;
  }
  return readAll(specs, root, '');
}
