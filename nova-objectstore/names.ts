import { createHash } from 'node:crypto';
import { badRequest, S3Refusal } from './refusal.js';

/** Bytes of the longest names. A bucket's is a folder's name; S3 gives keys so many. */
const longest = { bucket: 255, key: 1024 } as const;

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** Decodes the `%xx` of a path or query. Throws S3Refusal for what is no UTF-8. */
export function decodePercent(text: string): string {
  if (!/[%\u0080-\uffff]/.test(text)) return text;
  if (/%(?![0-9a-f]{2})/i.test(text)) throw badRequest('InvalidURI', 'The URI has a % which no two hex digits follow');
  const bytes = text.replace(/%([0-9a-f]{2})/gi, (_, hex: string) => String.fromCharCode(parseInt(hex, 16)));
  try {
    return utf8.decode(Buffer.from(bytes, 'latin1'));
  } catch {
    throw badRequest('InvalidURI', 'The URI is not encoded in UTF-8');
  }
}

/** Bucket and key of a decoded path: `/BUCKET/KEY`, `/BUCKET/`, `/BUCKET` or `/`. A key may hold slashes. */
export function splitPath(path: string): { bucket: string; key: string } | null {
  const rest = path.replace(/^\//, '');
  if (rest === '') return null;
  const slash = rest.indexOf('/');
  return slash === -1 ? { bucket: rest, key: '' } : { bucket: rest.slice(0, slash), key: rest.slice(slash + 1) };
}

// eslint-disable-next-line no-control-regex -- control characters are the point
const control = /[\u0000-\u001f\u007f\ufffe\uffff]/;

/**
 * Whether a bucket may have this name, which is its folder's name too: it stays within the folder of buckets, and is not
 * one of ours, which begin with a dot. 2011.3 took capitals, blanks and letters of all languages; so do we.
 */
export function isBucketName(name: string): boolean {
  return name !== '' && !/^\.|[/\\]/.test(name) && !control.test(name) && Buffer.byteLength(name) <= longest.bucket;
}

/** Throws S3Refusal for a key which can't be kept. */
export function checkKey(key: string): void {
  if (Buffer.byteLength(key) > longest.key) {
    throw new S3Refusal(400, 'KeyTooLongError', `A key has at most ${longest.key} bytes of UTF-8`);
  }
  if (control.test(key)) throw badRequest('InvalidArgument', 'A key holds no control characters');
}

/** Keys which 2011.3 can have stored: their file has their name. */
export function isPlainKey(key: string): boolean {
  return !/^\.|\//.test(key) && Buffer.byteLength(key) <= 255;
}

export const sha256 = (text: string): string => createHash('sha256').update(text).digest('hex');

/** How the name of a file begins whose key is no file name. */
export const hashedPrefix = '.key-';

/** The file of a key in its bucket's folder. No part of a key becomes a part of a path. */
export function fileOfKey(key: string): string {
  return isPlainKey(key) ? key : `${hashedPrefix}${sha256(key)}`;
}
