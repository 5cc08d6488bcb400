import { readXml, type XmlElement } from '../common/boundedXml.js';
import { checkForm, checksumNames } from './checksums.js';
import { badRequest } from './refusal.js';
import { uploadLimits, type NamedPart } from './uploadStore.js';

/** Bytes of the longest document: so many parts, each with its ETag and a checksum. */
export const largestCompletion = 4 * 1024 * 1024;

/** The parts which a client says that its upload has, in its order. Throws S3Refusal. */
export function readCompleteRequest(body: Buffer): NamedPart[] {
  const malformed = badRequest('MalformedXML', 'The XML you provided was not well-formed or did not name parts');
  const root = readXml(body, { depth: 4, elements: 10 * uploadLimits.parts }, () => malformed);
  const parts = root.children.filter((child) => child.name === 'Part').map(partOf);
  const isNone = root.name !== 'CompleteMultipartUpload' || parts.length === 0 || parts.length > uploadLimits.parts;
  if (isNone || parts.includes(null)) throw malformed;
  return parts as NamedPart[];
}

/** Null for what is no part. Throws S3Refusal for a checksum which is none. */
function partOf({ children }: XmlElement): NamedPart | null {
  const text = (name: string): string | undefined => children.find((child) => child.name === name)?.text.trim();
  const number = /^\d{1,5}$/.test(text('PartNumber') ?? '') ? Number(text('PartNumber')) : 0;
  const etag = text('ETag')?.replace(/^"|"$/g, '');
  if (number < 1 || etag === undefined) return null;
  const checksums: NamedPart['checksums'] = new Map(
    checksumNames.flatMap((name) => {
      const value = text(`Checksum${name.toUpperCase()}`);
      if (value !== undefined) checkForm(name, value);
      return value === undefined ? [] : [[name, value] as const];
    }),
  );
  return { number, etag, checksums };
}
