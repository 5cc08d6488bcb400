/** One thing in which our cloud is not like the recorded one. */
export interface Difference {
  /** The place: a message and the path inside it, or a row and its column. */
  readonly what: string;
  /** JSON text; `absent` where there is nothing. */
  readonly ours: string;
  readonly original: string;
}

const absent = 'absent';

/** JSON text of a value for a report, shortened. */
export function shown(value: unknown): string {
  if (value === undefined) return absent;
  const text = JSON.stringify(value);
  return text.length > 300 ? `${text.slice(0, 300)}…` : text;
}

/** Texts which are different in every run, by what they look like. What is left of them is their form. */
const forms: readonly (readonly [RegExp, string])[] = [
  [/^\d{4}-\d\d-\d\d([T ])\d\d:\d\d:\d\d(\.\d+)?(Z?)$/, 'time with $1$3'],
  [/^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}$/, 'uuid'],
  [/^[0-9a-f]{32}$/, '32 hex digits'],
  [/^02:16:3e(:[0-9a-f]{2}){3}$/, 'mac'],
  [/^r-[0-9a-z]{8}$/, 'reservation'],
  [/^ssh-rsa [A-Za-z0-9+/=]+( .*)?\n$/, 'key'],
  [/^SHA256:.*$|^([0-9a-f]{2}:){15}[0-9a-f]{2}$/, 'fingerprint'],
  [/^(server-|Server )\d+$/, '$1number'],
  [/^ip-10-\d+-\d+-\d+$/, 'host of an address'],
];

/** Keys whose numbers name rows of this run, and whose addresses were chosen in this run. */
const chosen =
  /^(id|(instance|volume|snapshot|security_group|fixed_ip|virtual_interface|network|parent_group|group|migration)_id)$/;
const address = /^(ip|address|fixed_address|floating_address|public_ip|result)$/;

/** What stays of a leaf when all that varies from run to run is taken away. */
export function masked(key: string, value: unknown): unknown {
  if (typeof value === 'number' && chosen.test(key)) return 'a number';
  if (typeof value !== 'string') return value;
  if (address.test(key) && /^\d+\.\d+\.\d+\.\d+$/.test(value)) return 'an address';
  for (const [form, replacement] of forms) if (form.test(value)) return `<${value.replace(form, replacement)}>`;
  return value;
}

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** Every leaf in which two JSON values differ, after masking. Key order counts for nothing. */
export function differences(what: string, ours: unknown, original: unknown, key = ''): Difference[] {
  if (isObject(ours) && isObject(original)) {
    const keys = [...new Set([...Object.keys(original), ...Object.keys(ours)])];
    return keys.flatMap((name) => differences(`${what}.${name}`, ours[name], original[name], name));
  }
  if (Array.isArray(ours) && Array.isArray(original)) {
    const length = Math.max(ours.length, original.length);
    return Array.from({ length }, (_, index) =>
      differences(`${what}[${index}]`, (ours as unknown[])[index], (original as unknown[])[index], key),
    ).flat();
  }
  const same = JSON.stringify(masked(key, ours)) === JSON.stringify(masked(key, original));
  return same ? [] : [{ what, ours: shown(ours), original: shown(original) }];
}

/** Pairs the elements of two lists in order, by their labels; what has no partner stands alone. */
export function aligned<T>(ours: readonly T[], original: readonly T[], label: (element: T) => string): [T?, T?][] {
  const a = ours.map(label);
  const b = original.map(label);
  // longest[i][j]: the longest common subsequence of a from i and b from j
  const longest = Array.from({ length: a.length + 1 }, () => new Array<number>(b.length + 1).fill(0));
  for (let i = a.length - 1; i >= 0; i--) {
    for (let j = b.length - 1; j >= 0; j--) {
      longest[i]![j] = a[i] === b[j] ? longest[i + 1]![j + 1]! + 1 : Math.max(longest[i + 1]![j]!, longest[i]![j + 1]!);
    }
  }
  const pairs: [T?, T?][] = [];
  let i = 0;
  let j = 0;
  while (i < a.length || j < b.length) {
    if (i < a.length && j < b.length && a[i] === b[j]) pairs.push([ours[i++], original[j++]]);
    else if (j >= b.length || (i < a.length && longest[i + 1]![j]! >= longest[i]![j + 1]!))
      pairs.push([ours[i++], undefined]);
    else pairs.push([undefined, original[j++]]);
  }
  return pairs;
}
