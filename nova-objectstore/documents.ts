import { isoTimeOf } from '../common/time.js';
import type { Bucket, Listing, StoredObject, Wish } from './bucketStore.js';
import type { PendingUpload, UploadedPart } from './uploadStore.js';

const namespace = 'http://doc.s3.amazonaws.com/2006-03-01';
/** What every document begins with. */
export const documentHead = '<?xml version="1.0" encoding="UTF-8"?>\n';

/** Keys hold no character which XML forbids (names.ts); what a client claims in a query may. */
function text(value: string): string {
  const escaped = value.replace(/[&<>"]/g, (c) => ({ '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' })[c]!);
  // eslint-disable-next-line no-control-regex -- control characters are the point
  return escaped.replace(/[\u0000-\u0008\u000b\u000c\u000e-\u001f\ufffe\uffff]/g, '\ufffd').replace(/\r/g, '&#13;');
}

const element = (name: string, value: string | number): string => `<${name}>${text(String(value))}</${name}>`;
const document = (root: string, inner: string): string =>
  `${documentHead}<${root} xmlns="${namespace}">${inner}</${root}>`;
const time = (ms: number): string => isoTimeOf(ms).replace(/Z$/, '.000Z');

/** All buckets which a caller sees. */
export function bucketsDocument(buckets: readonly Bucket[]): string {
  const items = buckets.map(
    ({ name, modified }) => `<Bucket>${element('CreationDate', time(modified))}${element('Name', name)}</Bucket>`,
  );
  return document('ListAllMyBucketsResult', `<Buckets>${items.join('')}</Buckets>`);
}

/** What a client asks for in the query of a listing, beside the keys. */
export interface ListingForm {
  readonly bucket: string;
  readonly wish: Wish;
  /** Nova's own: keys alone. */
  readonly terse: boolean;
  /** `list-type=2`, of today's clients. */
  readonly isVersion2: boolean;
  readonly encodingType: string | null;
  readonly continuationToken: string | null;
}

/** Keys of a bucket (nova 2011.3, nova/objectstore/s3server.py; `Marker` is the last key, as there). */
export function listingDocument(form: ListingForm, listing: Listing): string {
  const { wish } = form;
  const encode = encoderOf(form.encodingType);
  const parts = [
    element('Name', form.bucket),
    element('MaxKeys', wish.maxKeys),
    element('Prefix', encode(wish.prefix)),
    ...(form.isVersion2
      ? [
          element('KeyCount', listing.objects.length + listing.prefixes.length),
          ...(form.continuationToken === null ? [] : [element('ContinuationToken', form.continuationToken)]),
          ...(listing.isTruncated ? [element('NextContinuationToken', listing.last)] : []),
        ]
      : [
          element('Marker', encode(listing.last === '' ? wish.marker : listing.last)),
          ...(listing.isTruncated && wish.delimiter !== '' ? [element('NextMarker', encode(listing.last))] : []),
        ]),
    ...(wish.delimiter === '' ? [] : [element('Delimiter', encode(wish.delimiter))]),
    ...(form.encodingType === 'url' ? [element('EncodingType', 'url')] : []),
    element('IsTruncated', String(listing.isTruncated)),
    ...listing.objects.map((object) => contents(object, encode, form.terse)),
    ...listing.prefixes.map((prefix) => `<CommonPrefixes>${element('Prefix', encode(prefix))}</CommonPrefixes>`),
  ];
  return document('ListBucketResult', parts.join(''));
}

function contents(object: StoredObject, encode: (key: string) => string, terse: boolean): string {
  const key = element('Key', encode(object.key));
  if (terse) return `<Contents>${key}</Contents>`;
  return (
    `<Contents>${element('LastModified', time(object.modified))}${key}${element('Size', object.size)}` +
    `${element('ETag', `"${object.etag}"`)}${element('StorageClass', 'STANDARD')}</Contents>`
  );
}

const encodeKey = (key: string): string => encodeURIComponent(key).replace(/%2F/g, '/');
const encoderOf = (encodingType: string | null): ((key: string) => string) =>
  encodingType === 'url' ? encodeKey : (key) => key;

/** There is one place; today's clients take an empty one for the default region. */
export const locationDocument = (): string => document('LocationConstraint', '');

/** The owner may do everything; there are no other grants. */
export function aclDocument(owner: string): string {
  const who = `${element('ID', owner)}${element('DisplayName', owner)}`;
  return document(
    'AccessControlPolicy',
    `<Owner>${who}</Owner><AccessControlList><Grant>` +
      `<Grantee xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:type="CanonicalUser">${who}</Grantee>` +
      '<Permission>FULL_CONTROL</Permission></Grant></AccessControlList>',
  );
}

/** What came of a request to delete several objects. */
export function deletedDocument(
  results: readonly { readonly key: string; readonly error: { code: string; message: string } | null }[],
  quiet: boolean,
): string {
  const parts = results.map(({ key, error }) => {
    if (error !== null) {
      return `<Error>${element('Key', key)}${element('Code', error.code)}${element('Message', error.message)}</Error>`;
    }
    return quiet ? '' : `<Deleted>${element('Key', key)}</Deleted>`;
  });
  return document('DeleteResult', parts.join(''));
}

/** No object has tags. */
export const taggingDocument = (): string => document('Tagging', '<TagSet></TagSet>');

/** An object, or a part, which was made of another one. */
export function copiedDocument(root: 'CopyObjectResult' | 'CopyPartResult', etag: string, modified: number): string {
  return document(root, `${element('LastModified', time(modified))}${element('ETag', `"${etag}"`)}`);
}

/** An upload in parts which has begun. */
export function startedDocument(bucket: string, key: string, id: string): string {
  const parts = [element('Bucket', bucket), element('Key', key), element('UploadId', id)];
  return document('InitiateMultipartUploadResult', parts.join(''));
}

/** An upload whose parts are an object now. */
export function completedDocument(location: string, bucket: string, key: string, etag: string): string {
  const where = [element('Location', location), element('Bucket', bucket), element('Key', key)];
  return document('CompleteMultipartUploadResult', `${where.join('')}${element('ETag', `"${etag}"`)}`);
}

/** The parts of an upload which have arrived. */
export function partsDocument(
  form: { bucket: string; key: string; id: string; marker: number; most: number; encodingType: string | null },
  { parts, isTruncated }: { readonly parts: readonly UploadedPart[]; readonly isTruncated: boolean },
): string {
  const items = parts.map(
    ({ number, md5, size, modified }) =>
      `<Part>${element('PartNumber', number)}${element('LastModified', time(modified))}` +
      `${element('ETag', `"${md5}"`)}${element('Size', size)}</Part>`,
  );
  const about = [
    element('Bucket', form.bucket),
    ...encodingElement(form.encodingType),
    element('Key', encoderOf(form.encodingType)(form.key)),
    element('UploadId', form.id),
    element('StorageClass', 'STANDARD'),
    element('PartNumberMarker', form.marker),
    element('NextPartNumberMarker', parts.at(-1)?.number ?? form.marker),
    element('MaxParts', form.most),
    element('IsTruncated', String(isTruncated)),
  ];
  return document('ListPartsResult', [...about, ...items].join(''));
}

/** The unfinished uploads of a bucket. `next` is the last one of the listing when there are more. */
export function uploadsDocument(
  form: {
    bucket: string;
    prefix: string;
    keyMarker: string;
    idMarker: string;
    delimiter: string;
    most: number;
    encodingType: string | null;
  },
  found: {
    readonly uploads: readonly PendingUpload[];
    readonly prefixes: readonly string[];
    readonly next: { readonly key: string; readonly id: string } | null;
  },
): string {
  const encode = encoderOf(form.encodingType);
  const { next } = found;
  const about = [
    element('Bucket', form.bucket),
    ...encodingElement(form.encodingType),
    element('KeyMarker', encode(form.keyMarker)),
    element('UploadIdMarker', form.idMarker),
    ...(next === null ? [] : [element('NextKeyMarker', encode(next.key))]),
    // S3 has this one always, and boto 2.0 can't do without.
    element('NextUploadIdMarker', next?.id ?? ''),
    ...(form.delimiter === '' ? [] : [element('Delimiter', encode(form.delimiter))]),
    element('Prefix', encode(form.prefix)),
    element('MaxUploads', form.most),
    element('IsTruncated', String(next !== null)),
  ];
  const items = found.uploads.map(
    ({ key, id, initiated }) =>
      `<Upload>${element('Key', encode(key))}${element('UploadId', id)}${element('StorageClass', 'STANDARD')}` +
      `${element('Initiated', time(initiated))}</Upload>`,
  );
  const prefixes = found.prefixes.map((each) => `<CommonPrefixes>${element('Prefix', encode(each))}</CommonPrefixes>`);
  return document('ListMultipartUploadsResult', [...about, ...items, ...prefixes].join(''));
}

const encodingElement = (encodingType: string | null): string[] =>
  encodingType === 'url' ? [element('EncodingType', 'url')] : [];

/** Why a request failed. */
export function errorDocument(code: string, message: string, resource: string, requestId: string): string {
  const parts = [element('Code', code), element('Message', message), element('Resource', resource)];
  return `${documentHead}<Error>${parts.join('')}${element('RequestId', requestId)}</Error>`;
}
