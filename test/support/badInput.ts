import type { ParamShape, ParamSpecs } from '../../nova-api/ec2/params.js';
import type { RequestParams } from './apiRequests.js';

/** One parameter of an action: its dotted name with indexes, and what it is. */
export interface Leaf {
  readonly name: string;
  readonly shape: ParamShape & { kind: unknown };
  /** It and everything around it is required. */
  readonly required: boolean;
  /** The list it is in, by name, when it is an element of one. */
  readonly list: string | undefined;
}

/** Every single parameter of an action. */
export function leavesOf(specs: ParamSpecs): Leaf[] {
  return Object.entries(specs).flatMap(([name, { shape }]) => leaves(name, shape, shape.required === true, undefined));
}

function leaves(name: string, shape: ParamShape, required: boolean, inList: string | undefined): Leaf[] {
  if ('kind' in shape) return [{ name, shape, required, list: inList }];
  if ('element' in shape) return leaves(`${name}.1`, shape.element, required, name);
  return Object.entries(shape.members).flatMap(([member, inner]) =>
    leaves(`${name}.${member}`, inner, required && inner.required === true, undefined),
  );
}

/** What a request with something wrong in it must lead to. */
export type Wish =
  /** Refused, or accepted where the value makes sense or no difference. */
  | 'any'
  /** Refused, whatever the action. */
  | 'refused'
  /** Another project's: refused, or without effect for that project, and not shown. */
  | 'hidden';

/** A request with something wrong in it: the form body, and what it is called. */
export interface BadRequest {
  readonly what: string;
  /** Made when it is asked for: of most requests of a list one is sent. */
  readonly body: () => Buffer;
  readonly wish: Wish;
}

const encode = (text: string): string => encodeURIComponent(text);
type Pairs = [string, string][];
/** A form body of names and values which are percent-encoded already. */
const form = (pairs: Pairs): Buffer =>
  Buffer.from(pairs.map(([name, value]) => `${name}=${value}`).join('&'), 'latin1');
const pairsOf = (params: RequestParams): Pairs =>
  Object.entries(params).map(([name, value]) => [encode(name), encode(value)]);

/** Texts which no parameter may trip over; stored and shown again they stay what they are. */
const oddTexts: Readonly<Record<string, string>> = {
  quotes: `'; DROP TABLE instances; --`,
  condition: `x' OR '1'='1`,
  markup: `<a b="c">&amp;]]></a>`,
  template: '%s %(name)s ${name} {0}',
  path: '../../../../etc/passwd',
  prototype: '__proto__',
  beyond_ascii: 'naïve 名前 \u{1f600}',
  lines: 'one\r\ntwo\ttabbed',
  blanks: '   ',
};
/** Bytes in percent-encoding which are refused wherever they are. */
const badBytes: Readonly<Record<string, string>> = {
  'a NUL': '%00',
  'an escape character': '%1B%5B31m',
  'no UTF-8': '%FF%FE',
  'half a UTF-8 character': '%E5%90',
  'a surrogate': '%ED%A0%80',
  'an overlong slash': '%C0%AF',
  'a raw byte': '\u00ff',
  'a non-character': '%EF%BF%BF',
};

/**
 * For each parameter of an action every wrong thing there is to try. `foreign` answers what another project has of the
 * kind of a value; undefined for what belongs to nobody.
 */
export function* badRequests(
  specs: ParamSpecs,
  good: RequestParams,
  foreign: (value: string) => string | undefined = () => undefined,
): Generator<BadRequest> {
  for (const leaf of leavesOf(specs)) {
    yield* badValues(leaf, good);
    const others = foreign(good[leaf.name] ?? '');
    if (others !== undefined) yield anothers(leaf.name, others, good);
  }
  yield* badNames(good);
}

/** Without what would keep the parameter from being looked at: a group's id counts before its name. */
function anothers(name: string, value: string, good: RequestParams): BadRequest {
  const id = name.replace(/GroupName$/, 'GroupId');
  const kept = Object.entries(good).filter(
    ([key]) => !/\.(NoDevice|VirtualName)$/.test(key) && (key !== id || id === name),
  );
  const body = (): Buffer => form(pairsOf({ ...Object.fromEntries(kept), [name]: value }));
  return { what: `${name}: another project's`, body, wish: 'hidden' };
}

function* badValues(leaf: Leaf, good: RequestParams): Generator<BadRequest> {
  const { name, shape } = leaf;
  const rest = pairsOf(Object.fromEntries(Object.entries(good).filter(([key]) => key !== name)));
  const raw = (what: string, value: () => string, wish: Wish): BadRequest => ({
    what: `${name}: ${what}`,
    body: () => form([...rest, [encode(name), value()]]),
    wish,
  });
  const bad = (what: string, value: string, wish: Wish = 'any'): BadRequest => raw(what, () => encode(value), wish);

  yield { what: `${name}: missing`, body: () => form(rest), wish: leaf.required ? 'refused' : 'any' };
  yield bad('empty', '');
  yield bad('64 KiB', 'x'.repeat(65_536), 'refused');
  yield bad('as long as can be', 'x'.repeat(65_535));
  yield bad('256 characters', 'y'.repeat(256));
  for (const [what, bytes] of Object.entries(badBytes)) yield raw(what, () => bytes, 'refused');
  for (const [what, text] of Object.entries(oddTexts))
    yield bad(what, text, shape.kind === 'text' || shape.kind === 'base64' || what === 'blanks' ? 'any' : 'refused');

  const numbers = shape.kind === 'integer' ? ['-1', '0', '2147483647'] : ['-1', '0', '7'];
  for (const number of numbers) yield bad(number, number);
  const strict: Wish = shape.kind === 'integer' ? 'refused' : 'any';
  for (const number of [
    '2147483648',
    '-2147483649',
    '9'.repeat(40),
    '1e3',
    '0x10',
    'NaN',
    'Infinity',
    '1,5',
    '١',
    'one',
  ]) {
    yield bad(number, number, strict);
  }
  if (shape.kind === 'boolean') for (const value of ['yes', '2', 'truee', 'None']) yield bad(value, value, 'refused');
  if (Array.isArray(shape.kind)) yield* badIds(shape.kind as string[], bad);

  const value = good[name] ?? '1';
  const twice = (first: string, second: string) => (): Buffer =>
    form([...rest, [encode(name), encode(first)], [encode(name), encode(second)]]);
  yield { what: `${name}: twice, the last one good`, body: twice('\u{1f600}', value), wish: 'any' };
  yield { what: `${name}: twice, the last one odd`, body: twice(value, oddTexts['markup']!), wish: 'any' };
  for (const inner of ['1', 'Name', '__proto__', '1.Name.2.constructor']) {
    yield {
      what: `${name}: with ${inner} below`,
      body: () => form([...rest, [encode(`${name}.${inner}`), encode(value)]]),
      wish: 'any',
    };
  }
  if (leaf.list !== undefined) yield* badIndexes(leaf.list, value, rest);
}

function* badIds(
  prefixes: readonly string[],
  bad: (what: string, value: string, wish: Wish) => BadRequest,
): Generator<BadRequest> {
  const prefix = prefixes[0]!;
  const another = prefix === 'vol' ? 'i' : 'vol';
  const malformed = [
    `${prefix}-`,
    `${prefix}-xyz`,
    `${prefix}-123456789`,
    `${prefix}-ffffffff`,
    `${prefix}--1`,
    `${prefix}-1 `,
    ` ${prefix}-1`,
    `${prefix}-0x1`,
    `${prefix}00000001`,
    '1',
    `${another}-00000001`,
    'ami-00000001',
    '6fb6a6a2-7d3f-4c38-a0b8-5a4b3b2c9f10',
  ];
  for (const id of malformed) yield bad(`the id ${JSON.stringify(id)}`, id, 'refused');
  for (const id of [`${prefix}-7fffffff`, `${prefix}-00000000`, `${prefix.toUpperCase()}-1`])
    yield bad(`the id ${id}`, id, 'any');
}

function* badIndexes(list: string, value: string, rest: Pairs): Generator<BadRequest> {
  for (const index of ['0', '7', '999999999', '9'.repeat(25), '-1', '01', '1.1', 'x', '__proto__', '']) {
    yield {
      what: `${list}: index ${index}`,
      body: () => form([...rest, [encode(`${list}.${index}`), encode(value)]]),
      wish: 'any',
    };
  }
  const gaps: Pairs = ['3', '900', '20'].map((index) => [encode(`${list}.${index}`), encode(value)]);
  yield { what: `${list}: with gaps`, body: () => form([...rest, ...gaps]), wish: 'any' };
  yield { what: `${list}: not numbered`, body: () => form([...rest, [encode(list), encode(value)]]), wish: 'any' };
  const many = (): Pairs => Array.from({ length: 1001 }, (_, index) => [encode(`${list}.${index + 1}`), encode(value)]);
  yield { what: `${list}: 1001 of them`, body: () => form([...rest, ...many()]), wish: 'refused' };
}

/** Parameter names which no action has. */
function* badNames(good: RequestParams): Generator<BadRequest> {
  const pairs = pairsOf(good);
  const extra = (what: string, names: readonly string[], wish: Wish): BadRequest => ({
    what,
    body: () => form([...pairs, ...names.map((name): [string, string] => [name, '1'])]),
    wish,
  });
  yield extra(
    'names of prototypes',
    ['__proto__', 'constructor.prototype.x', 'hasOwnProperty', 'Filter.__proto__.Name'],
    'any',
  );
  yield extra('a name of dots', ['....', '.'], 'any');
  yield extra('a deep name', [Array.from({ length: 100 }, () => 'A').join('.')], 'any');
  yield extra('a long name', ['n'.repeat(256)], 'refused');
  yield extra('a name beyond ASCII', ['%E5%90%8D'], 'refused');
  yield extra('an empty name', [''], 'refused');
  yield extra('a name with a blank', ['a+b'], 'refused');
}
