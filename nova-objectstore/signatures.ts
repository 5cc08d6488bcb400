import {
  equalInConstantTime,
  percentEncode,
  s3SignatureV2,
  signatureV4,
  signerV4,
  type S3RequestParts,
} from '../common/auth/signing.js';
import { readStreamingForm, type ChunkSigner } from './awsChunked.js';
import { accessDenied, badRequest, S3Refusal } from './refusal.js';

/** An S3 request of which nothing is trusted yet. */
export type S3Request = S3RequestParts & {
  /** The path decoded once. */
  readonly decodedPath: string;
};

/** Who signed a request, by his own account; not checked yet. */
export interface Claim {
  /** `ACCESS` or `ACCESS:PROJECT`. */
  readonly accessKey: string;
  /** Milliseconds since the epoch; undefined when there is no readable time. */
  readonly signedAt: number | undefined;
  readonly expiresAt: number | undefined;
  /** SHA-256 (hex) which the body must have; undefined when the signature covers none. */
  readonly bodySha256: string | undefined;
  /** Throws S3Refusal (403) unless the request was signed with this secret. */
  verify(secret: string): void;
  /** How the chunks of the body were signed with this secret; null when they were not. */
  chunkSigner(secret: string): ChunkSigner | null;
}

const noChunks = (): null => null;

const wrongSignature = (): S3Refusal =>
  new S3Refusal(
    403,
    'SignatureDoesNotMatch',
    'The request signature we calculated does not match the signature you provided. Check your key and signing method.',
  );

/** The claim of a request: version 2 or 4, in the header or in the query. Throws S3Refusal when there is none. */
export function readClaim(request: S3Request): Claim {
  const authorization = request.headers['authorization'];
  const query = new Map(request.query);
  if (authorization !== undefined) {
    if (/^AWS4-HMAC-SHA256\s/.test(authorization)) return headerV4(request, authorization);
    return headerV2(request, authorization);
  }
  if (query.has('X-Amz-Algorithm')) return queryV4(request, query);
  if (query.has('Signature') || query.has('AWSAccessKeyId')) return queryV2(request, query);
  throw accessDenied('The request is not signed');
}

function headerV2(request: S3Request, authorization: string): Claim {
  // From the right: the access key may hold a colon.
  const match = /^AWS\s+(.+):([A-Za-z0-9+/=]+)\s*$/.exec(authorization);
  if (match === null)
    throw badRequest('InvalidArgument', 'The Authorization header is neither AWS nor AWS4-HMAC-SHA256');
  const [, accessKey, signature] = match;
  const date = Date.parse(request.headers['x-amz-date'] ?? request.headers['date'] ?? '');
  return {
    accessKey: accessKey!,
    signedAt: Number.isNaN(date) ? undefined : date,
    expiresAt: undefined,
    bodySha256: undefined,
    verify: (secret) => requireEqual(signature!, signaturesV2(secret, request)),
    chunkSigner: noChunks,
  };
}

function queryV2(request: S3Request, query: ReadonlyMap<string, string | null>): Claim {
  const [accessKey, signature, expires] = ['AWSAccessKeyId', 'Signature', 'Expires'].map((name) => query.get(name));
  if (!accessKey || !signature || !/^\d{1,12}$/.test(expires ?? '')) {
    throw accessDenied('A signed query needs AWSAccessKeyId, Expires and Signature');
  }
  return {
    accessKey,
    signedAt: undefined,
    expiresAt: Number(expires) * 1000,
    bodySha256: undefined,
    verify: (secret) => requireEqual(signature, signaturesV2(secret, request, expires!)),
    chunkSigner: noChunks,
  };
}

/** As sent; for a bucket without a slash behind it with one too, which boto3 signs and doesn't send. */
function signaturesV2(secret: string, request: S3Request, expires?: string): string[] {
  const paths = /^\/[^/]+$/.test(request.path) ? [request.path, `${request.path}/`] : [request.path];
  return paths.map((path) => s3SignatureV2(secret, { ...request, path }, expires));
}

// Version 4: https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-auth-using-authorization-header.html

function headerV4(request: S3Request, authorization: string): Claim {
  const fields = new Map<string, string>();
  for (const part of authorization.replace(/^\S+\s+/, '').split(',')) {
    const [, name, value] = /^\s*(\w+)=(.*?)\s*$/.exec(part) ?? [];
    if (name !== undefined) fields.set(name, value!);
  }
  const hash = request.headers['x-amz-content-sha256'];
  if (hash === undefined) throw badRequest('MissingSecurityHeader', 'The header x-amz-content-sha256 is missing');
  const date = request.headers['x-amz-date'] ?? request.headers['date'] ?? '';
  return claimV4(request, { fields, date, hash, expires: undefined });
}

function queryV4(request: S3Request, query: ReadonlyMap<string, string | null>): Claim {
  const fields = new Map(
    ['Credential', 'SignedHeaders', 'Signature'].map((name) => [name, query.get(`X-Amz-${name}`) ?? '']),
  );
  const expires = query.get('X-Amz-Expires') ?? '';
  if (query.get('X-Amz-Algorithm') !== 'AWS4-HMAC-SHA256' || !/^\d{1,9}$/.test(expires)) {
    throw badRequest('AuthorizationQueryParametersError', 'X-Amz-Algorithm or X-Amz-Expires is missing or wrong');
  }
  return claimV4(request, {
    fields,
    date: query.get('X-Amz-Date') ?? '',
    hash: 'UNSIGNED-PAYLOAD',
    expires: Number(expires),
  });
}

interface FieldsV4 {
  fields: ReadonlyMap<string, string>;
  date: string;
  hash: string;
  /** Seconds. */
  expires: number | undefined;
}

function claimV4(request: S3Request, { fields, date, hash, expires }: FieldsV4): Claim {
  const malformed = (what: string): S3Refusal =>
    badRequest('AuthorizationHeaderMalformed', `The signature lacks ${what}`);
  const parts = (fields.get('Credential') ?? '').split('/');
  const [day, region, service, terminator] = parts.slice(-4);
  const accessKey = parts.slice(0, -4).join('/');
  if (accessKey === '' || terminator !== 'aws4_request') throw malformed('a Credential');
  const signedHeaders = (fields.get('SignedHeaders') ?? '').toLowerCase().split(';');
  if (!signedHeaders.includes('host')) throw malformed('the header host in SignedHeaders');
  const signature = fields.get('Signature') ?? '';
  if (!/^[0-9a-f]{64}$/i.test(signature)) throw malformed('a Signature');
  const isHash = /^[0-9a-f]{64}$/i.test(hash);
  if (/^STREAMING-/.test(hash)) readStreamingForm(hash);
  else if (!isHash && hash !== 'UNSIGNED-PAYLOAD') {
    throw badRequest('InvalidDigest', 'x-amz-content-sha256 is no SHA-256');
  }
  const time = /^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/.exec(date);
  const signedAt = Date.parse(time ? `${time.slice(1, 4).join('-')}T${time.slice(4, 7).join(':')}Z` : date);
  if (Number.isNaN(signedAt)) throw malformed('a date (X-Amz-Date, yyyymmddThhmmssZ)');
  // eslint-disable-next-line no-restricted-syntax -- formats a given time, reads no clock
  const stamp = new Date(signedAt).toISOString().replace(/[-:]|\.\d+/g, '');
  return {
    accessKey,
    signedAt,
    expiresAt: expires === undefined ? undefined : signedAt + expires * 1000,
    bodySha256: isHash ? hash.toLowerCase() : undefined,
    verify(secret) {
      if (!stamp.startsWith(day!)) throw wrongSignature();
      const scope = [day!, region!, service!, terminator] as const;
      const candidates = canonicalRequests(request, signedHeaders, hash);
      requireEqual(
        signature.toLowerCase(),
        candidates.map((canonical) => signatureV4(secret, stamp, scope, canonical)),
      );
    },
    chunkSigner(secret) {
      if (!/^STREAMING-AWS4-HMAC-SHA256-/.test(hash)) return null;
      const scope = [day!, region!, service!, terminator] as const;
      const sign = signerV4(secret, scope);
      // A chunk's text names the SHA-256 of nothing in front of that of its bytes.
      const nothing = { PAYLOAD: `${emptySha256}\n`, TRAILER: '' };
      return {
        seed: signature.toLowerCase(),
        sign: (kind, previous, sum) =>
          sign(`AWS4-HMAC-SHA256-${kind}\n${stamp}\n${scope.join('/')}\n${previous}\n${nothing[kind]}${sum}`),
      };
    },
  };
}

const emptySha256 = 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855';

/**
 * The path as sent, and as a client encodes it by the book: some sign the one, some the other. The lines of the headers in
 * the order of their names, and as boto 2 sorts them: whole, so that `x-amz-copy-source-range:` is before
 * `x-amz-copy-source:`.
 */
function canonicalRequests(request: S3Request, signedHeaders: readonly string[], hash: string): string[] {
  const query = request.query
    .filter(([name]) => name !== 'X-Amz-Signature')
    .map(([name, value]) => [percentEncode(name), percentEncode(value ?? '')] as const)
    .sort((a, b) => byteOrder(a[0], b[0]) || byteOrder(a[1], b[1]))
    .map(([name, value]) => `${name}=${value}`)
    .join('&');
  const value = (name: string): string => latin1ToUtf8(request.headers[name] ?? '');
  const lines = signedHeaders.map((name) => `${name}:${value(name).trim().replace(/ {2,}/g, ' ')}\n`);
  const headers = new Set([lines.join(''), [...lines].sort(byteOrder).join('')]);
  const encoded = request.decodedPath.split('/').map(percentEncode).join('/');
  return [...new Set([request.path, encoded])].flatMap((path) =>
    [...headers].map((each) => [request.method, path, query, each, signedHeaders.join(';'), hash].join('\n')),
  );
}

const byteOrder = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);
const latin1ToUtf8 = (text: string): string => Buffer.from(text, 'latin1').toString('utf8');

/** Throws S3Refusal unless one of the candidates is the signature; every candidate is compared. */
function requireEqual(signature: string, candidates: readonly string[]): void {
  let good = false;
  for (const candidate of candidates) good = equalInConstantTime(signature, candidate) || good;
  if (!good) throw wrongSignature();
}
