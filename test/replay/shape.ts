import { xmlLeaves } from '../support/xmlLeaves.js';

/** An answer as far as it is compared. */
export interface Shape {
  /** Status and kind: the name of the document without its action, the error with its text, or the content type. */
  readonly head: string;
  /** `path: value` of each leaf. */
  readonly leaves: readonly string[];
}

export interface AnswerText {
  readonly status: number;
  readonly type: string;
  readonly text: string;
  readonly etag?: string | undefined;
}

/** What differs from run to run, as the type that it has. */
const masks: readonly (readonly [RegExp, string])[] = [
  [/\b[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\b/g, '<uuid>'],
  [/\b\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?Z?/g, '<time>'],
  [/\br-[0-9a-z]{8}\b/g, 'r-*'],
  [/\bsg-[0-9a-f]{8}\b/g, 'sg-*'],
  [/^([0-9a-f]{2}:){15}[0-9a-f]{2}$/, '<fingerprint>'],
  [/^SHA256:[\w+/]+$/, '<fingerprint>'],
  [/^ssh-rsa \S+ \S+$/, '<public key>'],
  [/^UEsDB[\w+/]+=*$/, '<zip>'],
  [/^-----BEGIN [\s\S]*-----$/, '<pem>'],
  [/\b10\.0\.\d+\.\d+\b/g, '<fixed>'],
  [/\b1\.2\.3\.\d+\b/g, '<floating>'],
  [/('(?:parent_)?group_id': )\d+/g, '$1<id>'],
  [/\binstance \|\d+\|/, 'instance |<id>|'],
  // Which host an instance gets is known soon after the answer, or just before it.
  [/ \((\w+), (?:None|cloud1)\)$/, ' ($1, <host>)'],
  [/^unknown zone$/, 'nova'],
  [/^(enabled :-\)) None$/, '$1 <time>'],
  [/^(\d+|<fixed>) slots=\d+$/, '$1 slots=<n>'],
  [/^server-\d+$/, 'server-<n>'],
  [/^Server \d+$/, 'Server <n>'],
  [/\bhttp:\/\/(cloud1|127\.0\.0\.1|localhost):\d+/g, 'http://<host>'],
];

function masked(text: string, known: ReadonlySet<string>): string {
  const plain = text
    .replaceAll('&lt;', '<')
    .replaceAll('&gt;', '>')
    .replaceAll('&quot;', '"')
    .replaceAll('&#39;', "'")
    .replaceAll('&amp;', '&');
  const named = plain.replace(/\b(i|vol|snap|ami|aki|ari)-[0-9a-f]{8}\b/g, (id, kind) =>
    known.has(id) ? id : `${kind}-*`,
  );
  return masks.reduce((value, [what, name]) => value.replace(what, name), named);
}

/**
 * The answer's shape. Ids are types as well, but for those `known` to stand for the same on both sides. What is no XML
 * counts line by line, each line once.
 */
export function shapeOf({ status, type, text, etag }: AnswerText, known: ReadonlySet<string> = new Set()): Shape {
  const error = /<Code>(.*?)<\/Code><Message>(.*?)<\/Message>/s.exec(text);
  if (error !== null) return { head: `${status} ${error[1]}: ${masked(error[2]!, known)}`, leaves: [] };
  if (status >= 400) return { head: `${status} ${type}`, leaves: [] };
  const leaves = [`type: ${type}`, ...(etag === undefined ? [] : [`etag: ${etag}`])];
  if (!text.startsWith('<?xml')) {
    const lines = text.split('\n').map((line) => `line: ${masked(line, known)}`);
    return { head: `${status} text`, leaves: [...leaves, ...new Set(lines)] };
  }
  const found = xmlLeaves(text);
  for (const { path, text: value } of found) leaves.push(`${path.replace(/^[^/]+\//, '')}: ${masked(value, known)}`);
  return { head: `${status} ${found[0]?.path.split('/')[0] ?? 'nothing'}`, leaves };
}

/** Values which stand for a state or a choice, and so are compared where an answer stands in for another one. */
const isFixed = (path: string): boolean => /(^|\/)(state|name|status|return|isPublic|progress)$/i.test(path);

/** The shape with types in place of values, but for fixed ones, and each leaf once: other things were listed. */
export function typesOf(shape: Shape): Shape {
  const typed = shape.leaves.map((leaf) => {
    const at = leaf.indexOf(': ');
    const [path, value] = [leaf.slice(0, at), leaf.slice(at + 2)];
    if (value === '' || /^-$|^<\w+>$|^[\w-]+\*$/.test(value) || isFixed(path)) return leaf;
    if (/^-?\d+$/.test(value)) return `${path}: <number>`;
    return /^(true|false)$/.test(value) ? `${path}: <boolean>` : `${path}: <text>`;
  });
  const head = shape.head.replace(/\bonly run \d+ /, 'only run <number> ').replace(/\b(ami|aki|ari)-\*/g, '<image>');
  return { head, leaves: [...new Set(typed)] };
}

/** What the one list has more of than the other. */
function surplus(more: readonly string[], less: readonly string[]): string[] {
  const rest = [...less];
  return more.filter((leaf) => {
    const at = rest.indexOf(leaf);
    if (at >= 0) rest.splice(at, 1);
    return at < 0;
  });
}

/** The differences: `HEAD => HEAD`, or `- leaf` which only the recorded answer has and `+ leaf` which only ours has. */
export function differences(recorded: Shape, ours: Shape): string[] {
  if (recorded.head !== ours.head) return [`${recorded.head} => ${ours.head}`];
  return [
    ...surplus(recorded.leaves, ours.leaves).map((leaf) => `- ${leaf}`),
    ...surplus(ours.leaves, recorded.leaves).map((leaf) => `+ ${leaf}`),
  ];
}
