import { createHash, createHmac } from 'node:crypto';
import { s3SignatureV2 } from '../../common/auth/signing.js';
import { paramsOf } from './recorded.js';

/** A request which can be sent. */
export interface Request {
  readonly method: string;
  readonly target: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: string;
}

/** Secrets of the recorded users by access key. */
const secrets: Readonly<Record<string, string>> = { akey: 'skey', dkey: 'dsecret' };

const sha256 = (text: string): string => createHash('sha256').update(text).digest('hex');
const encode = (text: string): string =>
  encodeURIComponent(text).replace(/[!'()*]/g, (c) => `%${c.charCodeAt(0).toString(16).toUpperCase()}`);
const byteOrder = (a: string, b: string): number => Buffer.compare(Buffer.from(a), Buffer.from(b));
const caseless = (a: string, b: string): number => byteOrder(a.toLowerCase(), b.toLowerCase());

/** A way in which clients of 2011 made a signature of a parameter. */
type Way = (request: Request, secret: string) => string;

function version2(hash: 'sha1' | 'sha256', hostOf: (host: string) => string, pathOf: (path: string) => string): Way {
  return (request, secret) => {
    const params = paramsOf(request);
    params.delete('Signature');
    const query = [...params.keys()].sort(byteOrder).map((name) => `${encode(name)}=${encode(params.get(name)!)}`);
    const [path = ''] = request.target.split('?');
    const text = [request.method, hostOf(request.headers['host'] ?? ''), pathOf(path), query.join('&')].join('\n');
    return createHmac(hash, secret).update(text).digest('base64');
  };
}

const same = (text: string): string => text;
const withoutPort = (host: string): string => host.replace(/:\d+$/, '');
const collapsed = (path: string): string => path.replace(/\/{2,}/g, '/');
const ways: readonly Way[] = [
  (request, secret) => {
    const params = paramsOf(request);
    const text = `${params.get('Action') ?? ''}${params.get('Timestamp') ?? ''}`;
    return createHmac('sha1', secret).update(text).digest('base64');
  },
  (request, secret) => {
    const params = [...paramsOf(request)].filter(([name]) => name !== 'Signature');
    const text = params.sort(([a], [b]) => caseless(a, b)).flat();
    return createHmac('sha1', secret).update(text.join('')).digest('base64');
  },
  ...(['sha256', 'sha1'] as const).flatMap((hash) =>
    [same, withoutPort].flatMap((host) => [same, collapsed].map((path) => version2(hash, host, path))),
  ),
];

const authorization = /^AWS4-HMAC-SHA256 Credential=([^/]+)\/(.+?),\s*SignedHeaders=([^,]+),\s*Signature=(\w+)$/;

function version4(request: Request, secret: string, scope: string, signed: readonly string[]): string {
  const [path = '', query = ''] = request.target.split('?');
  const lines = signed.map((name) => `${name}:${(request.headers[name] ?? '').trim()}\n`);
  const canonical = [request.method, path, query, lines.join(''), signed.join(';'), sha256(request.body ?? '')];
  const text = ['AWS4-HMAC-SHA256', request.headers['x-amz-date'] ?? '', scope, sha256(canonical.join('\n'))];
  const key = scope
    .split('/')
    .reduce<string | Buffer>((made, part) => createHmac('sha256', made).update(part).digest(), `AWS4${secret}`);
  return createHmac('sha256', key).update(text.join('\n')).digest('hex');
}

/** The signature of an S3 request with version 2. */
function s3Version2({ method, target, headers }: Request, secret: string): string {
  const [path = '', text = ''] = target.split('?');
  const query = text
    .split('&')
    .filter(Boolean)
    .map((part): [string, string | null] => {
      const [name = '', value] = part.split('=');
      return [name, value === undefined ? null : decodeURIComponent(value)];
    });
  return s3SignatureV2(secret, { method, path, query, headers });
}

/**
 * Signs a changed request to the objectstore. One which carries no signature gets an administrator's: the objectstore of
 * 2011.3 asked for none.
 */
export function signedForS3(recorded: Request, changed: Request): Request {
  const { authorization: value } = recorded.headers;
  if (value === undefined) {
    const headers = { date: 'Tue, 20 Sep 2011 12:00:00 GMT', ...changed.headers };
    const signature = s3Version2({ ...changed, headers }, 'skey');
    return { ...changed, headers: { ...headers, authorization: `AWS akey:proj:${signature}` } };
  }
  const [, key = '', signature = ''] = /^AWS ([^:]+)[^ ]*:(\S+)$/.exec(value) ?? [];
  const secret = secrets[key];
  if (secret === undefined || s3Version2(recorded, secret) !== signature) return changed;
  const fresh = value.replace(signature, s3Version2(changed, secret));
  return { ...changed, headers: { ...changed.headers, authorization: fresh } };
}

/**
 * Signs a changed request in the way in which the recorded one was signed. A request whose recorded signature is not of
 * its user's secret, or which has none, keeps what it has: that was the point of it.
 */
export function signedAgain(recorded: Request, changed: Request): Request {
  const header = authorization.exec(recorded.headers['authorization'] ?? '');
  if (header !== null) {
    const [, key = '', scope = '', names = '', signature = ''] = header;
    const secret = secrets[key.split(':')[0]!];
    const signed = names.split(';');
    const withLength = (request: Request): Request => ({
      ...request,
      headers: { 'content-length': String(Buffer.byteLength(request.body ?? '')), ...request.headers },
    });
    if (secret === undefined || version4(withLength(recorded), secret, scope, signed) !== signature) return changed;
    const hashed =
      'x-amz-content-sha256' in changed.headers
        ? { ...changed, headers: { ...changed.headers, 'x-amz-content-sha256': sha256(changed.body ?? '') } }
        : changed;
    const fresh = version4(withLength(hashed), secret, scope, signed);
    const value = recorded.headers['authorization']!.replace(signature, fresh);
    return { ...hashed, headers: { ...hashed.headers, authorization: value } };
  }
  const params = paramsOf(recorded);
  const signature = params.get('Signature');
  const secret = secrets[(params.get('AWSAccessKeyId') ?? '').split(':')[0]!];
  if (signature === undefined || secret === undefined) return changed;
  const way = ways.find((make) => make(recorded, secret) === signature);
  if (way === undefined) return changed;
  const fresh = `$1Signature=${encode(way(changed, secret))}`;
  const put = (text: string): string => text.replace(/(^|[?&])Signature=[^&]*/, fresh);
  return {
    ...changed,
    target: put(changed.target),
    ...(changed.body !== undefined && { body: put(changed.body) }),
  };
}

/** A request for setting something up, signed with version 2. */
export function signedRequest(host: string, access: string, params: Readonly<Record<string, string>>): Request {
  const all = {
    AWSAccessKeyId: access,
    SignatureMethod: 'HmacSHA256',
    SignatureVersion: '2',
    Timestamp: '2011-09-22T12:00:00Z',
    Version: '2011-01-01',
    ...params,
  };
  const target = `/services/Cloud/?${new URLSearchParams(all).toString()}`;
  const request = { method: 'GET', target, headers: { host } };
  const signature = version2('sha256', same, same)(request, secrets[access.split(':')[0]!]!);
  return { ...request, target: `${target}&Signature=${encode(signature)}` };
}
