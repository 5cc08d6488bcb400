import type { Asked } from './asked.js';
import type { ByteRange, StoredObject } from './bucketStore.js';
import { checkKey, decodePercent, splitPath } from './names.js';
import { badRequest, notImplemented, S3Refusal } from './refusal.js';

/** An object which is copied, and the bytes of it which are; they must be read or returned. */
export interface CopySource {
  readonly object: StoredObject;
  readonly bytes: AsyncIterable<Uint8Array>;
}

/** The object which `x-amz-copy-source` names: `/BUCKET/KEY`, percent-encoded, the first slash optional. Throws S3Refusal. */
export function copySource(header: string): { bucket: string; key: string } {
  const [path, ...query] = header.trim().split('?') as [string, ...string[]];
  if (query.length > 0) throw notImplemented('A copy of a version');
  const place = splitPath(`/${decodePercent(path).replace(/^\//, '')}`);
  if (place === null || place.bucket === '' || place.key === '') {
    throw badRequest('InvalidArgument', 'x-amz-copy-source is no BUCKET/KEY');
  }
  checkKey(place.key);
  return place;
}

/** Throws S3Refusal unless the object is as the headers `x-amz-copy-source-if-*` want it. */
export function checkConditions({ headers }: Pick<Asked, 'headers'>, object: StoredObject): void {
  const wish = (name: string): string | undefined => headers[`x-amz-copy-source-if-${name}`];
  const names = (list: string): boolean =>
    list.split(',').some((each) => ['*', object.etag].includes(each.trim().replace(/^"|"$/g, '')));
  // Times of HTTP have whole seconds.
  const changedAfter = (time: string): boolean => Math.floor(object.modified / 1000) * 1000 > Date.parse(time);
  const [match, noneMatch, since, notSince] = ['match', 'none-match', 'modified-since', 'unmodified-since'].map(wish);
  const holds =
    (match === undefined || names(match)) &&
    (noneMatch === undefined || !names(noneMatch)) &&
    (since === undefined || Number.isNaN(Date.parse(since)) || changedAfter(since)) &&
    // An ETag which matches says more than a time.
    (notSince === undefined || match !== undefined || !changedAfter(notSince));
  if (!holds) {
    throw new S3Refusal(412, 'PreconditionFailed', 'At least one of the pre-conditions you specified did not hold');
  }
}

/** The bytes of the source which `x-amz-copy-source-range` names; null for all. Throws S3Refusal. */
export function copyRange({ headers }: Pick<Asked, 'headers'>, { size }: StoredObject): ByteRange | null {
  const header = headers['x-amz-copy-source-range'];
  if (header === undefined) return null;
  const [, start, end] = /^bytes=(\d{1,15})-(\d{1,15})$/.exec(header.trim())?.map(Number) ?? [];
  if (start === undefined || end === undefined || start > end || end >= size) {
    throw badRequest(
      'InvalidArgument',
      `x-amz-copy-source-range is not bytes=FIRST-LAST of the ${size} bytes there are`,
    );
  }
  return { start, end };
}
