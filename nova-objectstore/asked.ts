import type { DoorRequest } from '../common/http/door.js';
import type { Runtime } from '../common/runtime/runtime.js';
import type { Admission } from './access.js';
import type { ByteRange, StoredObject } from './bucketStore.js';
import { decodePercent } from './names.js';
import { badRequest, S3Refusal } from './refusal.js';
import type { S3Request } from './signatures.js';

/** One request, read and decoded, of somebody who was let in. */
export interface Asked extends S3Request, Admission {
  readonly bucket: string;
  /** Empty when the request is about the bucket. */
  readonly key: string;
  readonly options: ReadonlyMap<string, string | null>;
  readonly body: DoorRequest['body'];
  readonly patience: Patience;
}

/** How long bytes are waited for which are no object's, in milliseconds. */
export interface Patience {
  readonly after: Runtime['after'];
  /** For a whole document. */
  readonly documentMs: number;
  /** For the rest of a body whose request is refused. */
  readonly drainMs: number;
}

/** Bytes of metadata which S3 lets an object have. */
const largestMetadata = 2048;

export function readParts(request: DoorRequest): S3Request {
  const relative = request.url.replace(/^https?:\/\/[^/?]*/i, '').replace(/#.*$/s, '');
  const mark = relative.indexOf('?');
  const path = (mark === -1 ? relative : relative.slice(0, mark)) || '/';
  const query = (mark === -1 ? '' : relative.slice(mark + 1))
    .split('&', 1000)
    .filter((part) => part !== '')
    .map((part): [string, string | null] => {
      const equals = part.indexOf('=');
      const decode = (text: string): string => decodePercent(text.replaceAll('+', ' '));
      return equals === -1 ? [decode(part), null] : [decode(part.slice(0, equals)), decode(part.slice(equals + 1))];
    });
  return { method: request.method, path, decodedPath: decodePercent(path), query, headers: request.headers };
}

/** A whole number of the query, from 0; `fallback` without one. Throws S3Refusal. */
export function countOf({ options }: Pick<Asked, 'options'>, name: string, fallback: number): number {
  const text = options.get(name) ?? '';
  if (text === '') return fallback;
  const count = /^\d{1,10}$/.test(text) ? Number(text) : NaN;
  if (!(count <= 2 ** 31 - 1)) throw badRequest('InvalidArgument', `${name} is no integer from 0 to 2147483647`);
  return count;
}

/** One range of bytes (RFC 9110, 14.2). Null for none, and for what is no such range, which counts as none. */
export function readRange(header: string | undefined, size: number): ByteRange | null {
  const match = /^bytes=(\d{0,15})-(\d{0,15})$/.exec(header?.trim() ?? '');
  if (match === null || (match[1] === '' && match[2] === '')) return null;
  const [, first, last] = match as unknown as [string, string, string];
  const start = first === '' ? Math.max(0, size - Number(last)) : Number(first);
  const end = first === '' || last === '' ? size - 1 : Math.min(Number(last), size - 1);
  if (first !== '' && last !== '' && Number(last) < Number(first)) return null;
  if (start >= size) throw new S3Refusal(416, 'InvalidRange', 'The requested range is not satisfiable');
  return { start, end };
}

export function objectHeaders(object: StoredObject): Record<string, string> {
  // eslint-disable-next-line no-restricted-syntax -- formats a given time, reads no clock
  const modified = new Date(object.modified).toUTCString();
  return {
    'content-type': object.contentType ?? 'application/unknown',
    'last-modified': modified,
    etag: `"${object.etag}"`,
    'accept-ranges': 'bytes',
    // What a user stored is nothing which a browser should run.
    'x-content-type-options': 'nosniff',
    ...Object.fromEntries(Object.entries(object.metadata).map(([name, value]) => [`x-amz-meta-${name}`, value])),
  };
}

/** Type and metadata which a request gives an object. Throws S3Refusal. */
export function givenHeaders(headers: Readonly<Record<string, string>>): {
  contentType: string | null;
  metadata: Record<string, string>;
} {
  // Without prototype: `__proto__` is a name like any other.
  const metadata = Object.create(null) as Record<string, string>;
  let size = 0;
  for (const [name, value] of Object.entries(headers)) {
    if (!name.startsWith('x-amz-meta-')) continue;
    metadata[name.slice('x-amz-meta-'.length)] = value;
    size += name.length + value.length;
  }
  if (size > largestMetadata) throw badRequest('MetadataTooLarge', `Metadata has at most ${largestMetadata} bytes`);
  return { contentType: headers['content-type'] || null, metadata };
}

export function notAllowed(method: string): S3Refusal {
  return new S3Refusal(405, 'MethodNotAllowed', `The method ${method.slice(0, 20)} is not allowed here`);
}
