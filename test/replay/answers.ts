import { parseStringPromise } from 'xml2js';
import type { Reads } from './clientReads.js';

/** An answer which was no error. */
export interface Answer {
  readonly exchange: string;
  readonly action: string;
  readonly text: string;
}

type Node = string | { readonly [name: string]: readonly Node[] };

const document = (text: string): Promise<Node> =>
  parseStringPromise(text, { explicitRoot: false, ignoreAttrs: true, emptyTag: '' }) as Promise<Node>;

/** The elements at a path below a node. */
function at(node: Node, path: string): readonly Node[] {
  return path
    .split('/')
    .filter(Boolean)
    .reduce<readonly Node[]>(
      (nodes, name) => nodes.flatMap((one) => (typeof one === 'string' ? [] : (one[name] ?? []))),
      [node],
    );
}

/** What a client would miss in answers, and what the table says of them that isn't so. */
export async function missing(
  reads: Readonly<Record<string, readonly Reads[]>>,
  answers: readonly Answer[],
): Promise<string[]> {
  const wrong: string[] = [];
  for (const [action, tables] of Object.entries(reads)) {
    const own = await Promise.all(
      answers.filter((one) => one.action === action).map(async (one) => ({ ...one, node: await document(one.text) })),
    );
    if (own.length === 0) wrong.push(`${action}: no answer`);
    for (const { of, always, sometimes = [], never = [] } of tables) {
      const things = own.flatMap(({ exchange, node }) => at(node, of).map((thing) => ({ exchange, thing })));
      if (things.length === 0) wrong.push(`${action}: no ${of}`);
      const where = (path: string): string => `${action} ${of}: ${path}`;
      for (const path of always)
        for (const { exchange, thing } of things)
          if (at(thing, path).length === 0) wrong.push(`${where(path)} is not in ${exchange}`);
      const has = (path: string): boolean => things.some(({ thing }) => at(thing, path).length > 0);
      wrong.push(...sometimes.filter((path) => !has(path)).map((path) => `${where(path)} is in no answer`));
      wrong.push(...never.filter(has).map((path) => `${where(path)} is there`));
    }
  }
  return wrong;
}

const time = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$/;
/** Elements whose text parsers convert, and fail where they can't: by the end of their paths. */
const forms: readonly (readonly [RegExp, RegExp])[] = [
  [/\/(launchTime|createTime|startTime|attachTime|timestamp|creationDate)$/, time],
  [/\/(\w+State\/code|size|volumeSize|fromPort|toPort|amiLaunchIndex)$/, /^-?\d+$/],
  [/\/(isPublic|deleteOnTermination|return)$/, /^(true|false)$/],
];

/** What would make a client's parser fail: a time, number or boolean which is none, a `requestId` too few or too many. */
export async function unreadable({ exchange, text }: Answer): Promise<string[]> {
  const wrong: string[] = [];
  const visit = (path: string, node: Node): void => {
    if (typeof node === 'string') {
      const form = forms.find(([paths]) => paths.test(path))?.[1];
      if (form?.test(node) === false) wrong.push(`${exchange}: ${path} is "${node}"`);
      return;
    }
    for (const [child, nodes] of Object.entries(node)) for (const one of nodes) visit(`${path}/${child}`, one);
  };
  const root = await document(text);
  const ids = at(root, 'requestId').length;
  if (ids !== 1) wrong.push(`${exchange}: ${ids} requestId`);
  visit('', root);
  // euca2ools 3 puts these two together for such an image.
  for (const image of at(root, 'imagesSet/item'))
    for (const name of ['name', 'imageOwnerId'])
      if (at(image, 'rootDeviceType')[0] === 'ebs' && (at(image, name)[0] ?? '') === '')
        wrong.push(`${exchange}: an image of a snapshot without ${name}`);
  return wrong;
}
