import { parseStringPromise } from 'xml2js';
import { Invalid } from './errors.js';

/** An element. Namespaces and attributes are left out. */
export interface XmlElement {
  /** Without prefix. */
  readonly name: string;
  /** Its own text, that of children not included. */
  readonly text: string;
  readonly children: readonly XmlElement[];
}

export interface XmlLimits {
  /** Levels of elements. */
  readonly depth: number;
  readonly elements: number;
}

/**
 * Reads a document which somebody sent; the caller bounds its bytes. Throws Invalid for one that is not well-formed, has
 * more elements or levels than the limits allow, or brings its own definitions (which could grow without bound).
 */
export async function parseBoundedXml(body: Buffer, limits: XmlLimits): Promise<XmlElement> {
  let text: string;
  try {
    text = new TextDecoder('utf-8', { fatal: true }).decode(body);
  } catch {
    throw new Invalid('The XML is not encoded in UTF-8');
  }
  if (/<!(DOCTYPE|ENTITY)/i.test(text)) throw new Invalid('The XML has a document type, which is not accepted');
  let tags = 0;
  for (let at = text.indexOf('<'); at !== -1; at = text.indexOf('<', at + 1)) {
    if (++tags > 2 * limits.elements + 10) throw new Invalid(`The XML has more than ${limits.elements} elements`);
  }
  let parsed: unknown;
  try {
    const options = { explicitChildren: true, preserveChildrenOrder: true, strict: true };
    parsed = await parseStringPromise(text, options);
  } catch {
    throw new Invalid('The XML is not well-formed');
  }
  const [root] = parsed === null || typeof parsed !== 'object' ? [] : Object.values(parsed as object);
  if (root === undefined) throw new Invalid('The XML is empty');
  const count = { elements: 0 };
  return readElement(Object.keys(parsed as object)[0]!, root, limits, 1, count);
}

function readElement(
  name: string,
  raw: unknown,
  limits: XmlLimits,
  level: number,
  count: { elements: number },
): XmlElement {
  if (level > limits.depth) throw new Invalid(`The XML has more than ${limits.depth} levels`);
  if (++count.elements > limits.elements) throw new Invalid(`The XML has more than ${limits.elements} elements`);
  const plain = name.replace(/^.*:/, '');
  if (typeof raw === 'string') return { name: plain, text: raw, children: [] };
  const node = raw as { _?: unknown; $$?: unknown };
  const children = Array.isArray(node.$$) ? (node.$$ as { '#name': string }[]) : [];
  return {
    name: plain,
    text: typeof node._ === 'string' ? node._ : '',
    children: children.map((child) => readElement(child['#name'], child, limits, level + 1, count)),
  };
}
