import { createHash, createHmac, timingSafeEqual } from 'node:crypto';

/** Compares in a time which does not depend on where the texts differ. */
export function equalInConstantTime(a: string, b: string): boolean {
  const digest = (text: string): Buffer => createHash('sha256').update(text).digest();
  return timingSafeEqual(digest(a), digest(b));
}

/** RFC 3986: everything but `A-Za-z0-9-_.~` is percent-encoded. */
export function percentEncode(text: string): string {
  return encodeURIComponent(text).replace(/[!'()*]/g, (c) => `%${c.charCodeAt(0).toString(16).toUpperCase()}`);
}

/** Day, region, service and `aws4_request`. */
export type ScopeV4 = readonly [date: string, region: string, service: string, terminator: string];

/** Signs texts in hex with the key of a scope, which is derived once. */
export function signerV4(secret: string, scope: ScopeV4): (text: string) => string {
  const hmac = (key: string | Buffer, text: string): Buffer => createHmac('sha256', key).update(text).digest();
  const key = scope.reduce<string | Buffer>(hmac, `AWS4${secret}`);
  return (text) => hmac(key, text).toString('hex');
}

/**
 * The hex signature of a canonical request with AWS Signature Version 4, made at `stamp` (yyyymmddThhmmssZ).
 * https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv.html
 */
export function signatureV4(secret: string, stamp: string, scope: ScopeV4, canonicalRequest: string): string {
  const hash = createHash('sha256').update(canonicalRequest).digest('hex');
  return signerV4(secret, scope)(`AWS4-HMAC-SHA256\n${stamp}\n${scope.join('/')}\n${hash}`);
}

/** Parts of an S3 request which its signature of version 2 covers. */
export interface S3RequestParts {
  readonly method: string;
  /** The path as sent, not decoded. */
  readonly path: string;
  /** Decoded pairs of the query; a subresource such as `?acl` has a null value. */
  readonly query: readonly (readonly [name: string, value: string | null])[];
  /** By lower-case name. */
  readonly headers: Readonly<Record<string, string>>;
}

/** Parts of a query which name a part of a bucket or object, and so are signed. */
const subresources = new Set([
  'acl',
  'cors',
  'defaultObjectAcl',
  'delete',
  'lifecycle',
  'location',
  'logging',
  'notification',
  'partNumber',
  'policy',
  'replication',
  'requestPayment',
  'response-cache-control',
  'response-content-disposition',
  'response-content-encoding',
  'response-content-language',
  'response-content-type',
  'response-expires',
  'restore',
  'storageClass',
  'tagging',
  'torrent',
  'uploadId',
  'uploads',
  'versionId',
  'versioning',
  'versions',
  'website',
]);

/**
 * The signature of an S3 request with version 2: HMAC-SHA1, base64. `expires` stands in place of the date in a request
 * which is signed in its query. https://docs.aws.amazon.com/AmazonS3/latest/API/RESTAuthentication.html
 */
export function s3SignatureV2(secret: string, request: S3RequestParts, expires?: string): string {
  const { headers } = request;
  const amz = Object.keys(headers)
    .filter((name) => name.startsWith('x-amz-'))
    .sort()
    .map((name) => `${name}:${headers[name]!.trim().replace(/\s*\r?\n\s*/g, ' ')}\n`)
    .join('');
  const date = expires ?? ('x-amz-date' in headers ? '' : (headers['date'] ?? ''));
  const sub = request.query
    .filter(([name]) => subresources.has(name))
    .sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0))
    .map(([name, value]) => (value === null ? name : `${name}=${value}`))
    .join('&');
  const text = [
    request.method,
    headers['content-md5'] ?? '',
    headers['content-type'] ?? '',
    date,
    `${amz}${request.path}${sub === '' ? '' : `?${sub}`}`,
  ].join('\n');
  return createHmac('sha1', secret).update(text, 'latin1').digest('base64');
}
