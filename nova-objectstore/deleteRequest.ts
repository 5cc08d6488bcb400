import { readXml } from '../common/boundedXml.js';
import { badRequest } from './refusal.js';

/** The keys in a request to delete several objects, at most 1000 as in S3. Throws S3Refusal. */
export function readDeleteRequest(body: Buffer): { keys: string[]; quiet: boolean } {
  const malformed = badRequest('MalformedXML', 'The XML you provided was not well-formed or did not name keys');
  const root = readXml(body, { depth: 4, elements: 5000 }, () => malformed);
  const objects = root.children.filter((child) => child.name === 'Object');
  const keys = objects.map((object) => object.children.find((child) => child.name === 'Key')?.text ?? '');
  if (root.name !== 'Delete' || keys.length === 0 || keys.length > 1000 || keys.includes('')) throw malformed;
  return { keys, quiet: root.children.some((child) => child.name === 'Quiet' && child.text.trim() === 'true') };
}
