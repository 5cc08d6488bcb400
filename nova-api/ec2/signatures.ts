import { createHash, createHmac } from 'node:crypto';
import { equalInConstantTime, percentEncode, signatureV4 } from '../../common/auth/signing.js';
import { formPairs, type Ec2Request } from './request.js';
import { Refusal, badRequest, missingParameter, wrongSignature } from './refusal.js';

/** Signature versions 0, 1, 2 (nova 2011.3, nova/auth/signer.py) and 4 (AWS Signature Version 4). */
export type SignatureVersion = 0 | 1 | 2 | 4;

/** What a request says about who signed it and how; not checked yet. */
export interface Claim {
  readonly version: SignatureVersion;
  /** `ACCESS` or `ACCESS:PROJECT`, as sent. */
  readonly accessKey: string;
  /** Milliseconds since the epoch at which it was signed; undefined when there is no time or an unreadable one. */
  readonly signedAt: number | undefined;
  /** Milliseconds since the epoch at which it ends, when the client set an end and signed it. */
  readonly expiresAt: number | undefined;
  /** Throws Refusal (403) unless the request was signed with this secret. */
  verify(secret: string): void;
}

/**
 * The claim of a request. `strict: false` (no-auth) takes any signature version and method. Throws Refusal (400) when a
 * protocol parameter is missing or senseless.
 */
export function readClaim(request: Ec2Request, options: { strict: boolean } = { strict: true }): Claim {
  const authorization = request.headers['authorization'];
  if (authorization !== undefined && /^AWS4-/i.test(authorization))
    return claimV4(request, headerFieldsV4(authorization, request));
  if (request.params.has('X-Amz-Algorithm')) return claimV4(request, queryFieldsV4(request));
  return claimOfParameters(request, options.strict);
}

/** `%Y-%m-%dT%H:%M:%S`, with or without fraction and `Z` (boto 1.9 sends none). Undefined when it is no such time. */
export function parseTimestamp(text: string | undefined): number | undefined {
  const match = /^(\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2})(?:\.\d{1,9})?Z?$/.exec(text?.trim() ?? '');
  const ms = match ? Date.parse(`${match[1]}Z`) : NaN;
  return Number.isNaN(ms) ? undefined : ms;
}

/** Passes when any of the candidates is the signature; every candidate is compared. */
function verifyAny(signature: string, candidates: Iterable<string>): void {
  let good = false;
  for (const candidate of candidates) good = equalInConstantTime(signature, candidate) || good;
  if (!good) throw wrongSignature();
}

const byteOrder = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);

/** The path as received, and with runs of `/` collapsed, which is what 2011.3 saw. */
function pathsOf(request: Ec2Request): string[] {
  const collapsed = request.path.replace(/\/{2,}/g, '/');
  return collapsed === request.path ? [request.path] : [request.path, collapsed];
}

/** The Host header as received, in lower case, and both without port. */
function hostsOf(request: Ec2Request): string[] {
  const received = (request.headers['host'] ?? '').trim();
  const bare = /^(\[[^\]]*\]|[^:]*):\d+$/.exec(received)?.[1] ?? received;
  return [...new Set([received, received.toLowerCase(), bare, bare.toLowerCase()])];
}

// Versions 0, 1 and 2: everything is in the parameters.

function claimOfParameters(request: Ec2Request, strict: boolean): Claim {
  const { params } = request;
  const need = (name: string): string => {
    const value = params.get(name);
    if (value === undefined) throw missingParameter(name);
    return value;
  };
  const accessKey = need('AWSAccessKeyId');
  if (accessKey === '') throw missingParameter('AWSAccessKeyId');
  const signature = need('Signature');
  const version = need('SignatureVersion').trim();
  const method = version === '1' || version === '0' ? 'HmacSHA1' : need('SignatureMethod');
  // Only version 0 signs no end; a request with Expires has no Timestamp.
  if (!params.has('Expires') || version === '0') need('Timestamp');
  if (strict && !/^[012]$/.test(version))
    throw badRequest(`Signature version ${version.slice(0, 20)} is not 0, 1, 2 or 4`);
  const algorithm = new Map([
    ['hmacsha1', 'sha1'],
    ['hmacsha256', 'sha256'],
  ]).get(method.toLowerCase());
  if (strict && algorithm === undefined) throw badRequest('SignatureMethod is neither HmacSHA1 nor HmacSHA256');
  return {
    version: Number(version) as SignatureVersion,
    accessKey,
    signedAt: parseTimestamp(params.get('Timestamp')),
    // Version 0 signs Action and Timestamp alone: whoever replays a request could give it any end.
    expiresAt: version === '0' ? undefined : parseTimestamp(params.get('Expires')),
    verify(secret) {
      const mac = (text: string): string =>
        createHmac(algorithm ?? 'sha256', secret)
          .update(text)
          .digest('base64');
      if (version === '0') verifyAny(signature, [mac(`${params.get('Action') ?? ''}${params.get('Timestamp') ?? ''}`)]);
      else if (version === '1') verifyAny(signature, [mac(stringToSignV1(params))]);
      else verifyAny(signature, [...stringsToSignV2(request)].map(mac));
    },
  };
}

const signedParams = (params: Ec2Request['params']): [string, string][] =>
  [...params].filter(([name]) => name !== 'Signature');

function stringToSignV1(params: Ec2Request['params']): string {
  return signedParams(params)
    .sort((a, b) => byteOrder(a[0].toLowerCase(), b[0].toLowerCase()))
    .map(([name, value]) => name + value)
    .join('');
}

function* stringsToSignV2(request: Ec2Request): Generator<string> {
  const query = signedParams(request.params)
    .sort((a, b) => byteOrder(a[0], b[0]))
    .map(([name, value]) => `${percentEncode(name)}=${percentEncode(value)}`)
    .join('&');
  for (const host of hostsOf(request)) {
    for (const path of pathsOf(request)) yield `${request.method}\n${host}\n${path}\n${query}`;
  }
}

// Version 4. https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv.html

interface FieldsV4 {
  credential: string;
  signedHeaders: readonly string[];
  signature: string;
  /** `yyyymmddThhmmssZ`, or the Date header's text. */
  date: string;
  /** Seconds; only in the query form. */
  expires?: number;
}

const incomplete = (what: string): Refusal => new Refusal(400, 'IncompleteSignature', `The signature lacks ${what}`);

/** A header's value as the client signed it: UTF-8, trimmed, inner runs of blanks as one. */
function headerText(request: Ec2Request, name: string): string {
  const value = Buffer.from(request.headers[name] ?? '', 'latin1').toString('utf8');
  return value.trim().replace(/ {2,}/g, ' ');
}

function headerFieldsV4(authorization: string, request: Ec2Request): FieldsV4 {
  const [, algorithm, rest] = /^(\S+)\s*(.*)$/s.exec(authorization.trim()) ?? [];
  if (algorithm?.toUpperCase() !== 'AWS4-HMAC-SHA256')
    throw badRequest('The signature algorithm is not AWS4-HMAC-SHA256');
  const fields = new Map<string, string>();
  for (const part of (rest ?? '').split(',')) {
    const [, name, value] = /^\s*(\w+)=(.*?)\s*$/s.exec(part) ?? [];
    if (name !== undefined) fields.set(name, value!);
  }
  const field = (name: string): string => {
    const value = fields.get(name);
    if (value === undefined || value === '') throw incomplete(name);
    return value;
  };
  return {
    credential: field('Credential'),
    signedHeaders: field('SignedHeaders').toLowerCase().split(';'),
    signature: field('Signature'),
    date: headerText(request, 'x-amz-date') || headerText(request, 'date'),
  };
}

function queryFieldsV4({ params }: Ec2Request): FieldsV4 {
  const field = (name: string): string => {
    const value = params.get(name);
    if (value === undefined || value === '') throw incomplete(name);
    return value;
  };
  if (field('X-Amz-Algorithm') !== 'AWS4-HMAC-SHA256') throw badRequest('X-Amz-Algorithm is not AWS4-HMAC-SHA256');
  const expires = params.get('X-Amz-Expires');
  if (expires !== undefined && !/^\d{1,9}$/.test(expires)) throw badRequest('X-Amz-Expires is no number of seconds');
  return {
    credential: field('X-Amz-Credential'),
    signedHeaders: field('X-Amz-SignedHeaders').toLowerCase().split(';'),
    signature: field('X-Amz-Signature'),
    date: field('X-Amz-Date'),
    expires: expires === undefined ? undefined : Number(expires),
  };
}

function claimV4(request: Ec2Request, fields: FieldsV4): Claim {
  // From the right: the access key may hold slashes. Region and service are whatever the client takes them to be.
  const parts = fields.credential.split('/');
  const [date, region, service, terminator] = parts.slice(-4);
  const accessKey = parts.slice(0, -4).join('/');
  if (accessKey === '' || terminator !== 'aws4_request')
    throw incomplete('a credential KEY/DATE/REGION/SERVICE/aws4_request');
  if (!fields.signedHeaders.includes('host')) throw incomplete('the header host in SignedHeaders');
  const basic = /^(\d{4})(\d{2})(\d{2})T(\d{2})(\d{2})(\d{2})Z$/.exec(fields.date);
  const time = basic ? `${basic.slice(1, 4).join('-')}T${basic.slice(4, 7).join(':')}Z` : fields.date;
  const ms = Date.parse(time);
  if (Number.isNaN(ms)) throw incomplete('a date (X-Amz-Date, yyyymmddThhmmssZ)');
  // eslint-disable-next-line no-restricted-syntax -- formats a given time, reads no clock
  const stamp = new Date(ms).toISOString().replace(/[-:]|\.\d+/g, '');
  return {
    version: 4,
    accessKey,
    signedAt: ms,
    expiresAt: fields.expires === undefined ? undefined : ms + fields.expires * 1000,
    verify(secret) {
      if (!stamp.startsWith(date!)) throw wrongSignature();
      const scope = [date!, region!, service!, terminator!] as const;
      const signatures = canonicalRequestsV4(request, fields.signedHeaders).map((canonical) =>
        signatureV4(secret, stamp, scope, canonical),
      );
      verifyAny(fields.signature.toLowerCase(), signatures);
    },
  };
}

function canonicalRequestsV4(request: Ec2Request, signedHeaders: readonly string[]): string[] {
  const query = formPairs(request.query)
    .filter(([name]) => name !== 'X-Amz-Signature')
    .map(([name, value]) => [percentEncode(name), percentEncode(value)] as const)
    .sort((a, b) => byteOrder(a[0], b[0]) || byteOrder(a[1], b[1]))
    .map(([name, value]) => `${name}=${value}`)
    .join('&');
  const headers = signedHeaders.map((name) => `${name}:${headerText(request, name)}\n`).join('');
  const bodyHash = createHash('sha256').update(request.body).digest('hex');
  return pathsOf(request).map((path) =>
    [request.method, path, query, headers, signedHeaders.join(';'), bodyHash].join('\n'),
  );
}
