import { Parser } from 'xml2js';
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

/** As {@link parseBoundedXml}, throwing what `refusal` makes of the reason. */
export function readXml(body: Buffer, limits: XmlLimits, refusal: (reason: Invalid) => Error): XmlElement {
  try {
    return parseBoundedXml(body, limits);
  } catch (error) {
    throw refusal(error instanceof Invalid ? error : new Invalid('no XML'));
  }
}

/**
 * Reads a document which somebody sent; the caller bounds its bytes. Throws Invalid for one that is not well-formed, has
 * something beside its one root element, more elements or levels than the limits allow, or brings its own definitions
 * (which could grow without bound).
 */
export function parseBoundedXml(body: Buffer, limits: XmlLimits): XmlElement {
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
  const [root, ...others] = rootsOf(text);
  if (root === undefined) throw new Invalid('The XML is empty');
  if (others.length > 0) throw new Invalid('The XML has more than one root element');
  const [name, content] = Object.entries(root)[0]!;
  return readElement(name, content, limits, 1, { elements: 0 });
}

/** All root elements of a text: the parser's promise would be content with the first, whatever came after it. */
function rootsOf(text: string): object[] {
  const parser = new Parser({ explicitChildren: true, preserveChildrenOrder: true, strict: true });
  const roots: object[] = [];
  let isWrong = false;
  parser.on('end', (root: unknown) => {
    if (typeof root === 'object' && root !== null) roots.push(root);
  });
  parser.on('error', () => {
    isWrong = true;
  });
  try {
    parser.parseString(text);
  } catch {
    isWrong = true;
  }
  if (isWrong) throw new Invalid('The XML is not well-formed');
  return roots;
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
