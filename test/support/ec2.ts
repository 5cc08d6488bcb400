import { createHash, createHmac } from 'node:crypto';
import type { DoorRequest } from '../../common/http/door.js';
import { percentEncode, signatureV4 } from '../../common/auth/signing.js';

/** A request whose bytes are there. */
export type SignedRequest = DoorRequest & { readonly body: Buffer };

/** A request as a door gets it, without a socket. */
export function doorRequest<B extends DoorRequest['body'] = Buffer>(
  parts: Partial<DoorRequest> & { url: string; body?: B },
): DoorRequest & { readonly body: B } {
  return { method: 'GET', headers: {}, remoteAddress: '192.0.2.7', body: Buffer.alloc(0) as B, ...parts };
}

export interface SignedBy {
  /** `ACCESS[:PROJECT]`. */
  readonly access: string;
  readonly secret: string;
  readonly path?: string;
  readonly host?: string;
  readonly method?: 'GET' | 'POST';
}

/** A request signed with version 2, as boto of 2011 sends it. Parameters given override the usual ones. */
export function signedV2(action: string, params: Readonly<Record<string, string>>, by: SignedBy): SignedRequest {
  const { path = '/services/Cloud/', host = '127.0.0.1:8773', method = 'GET' } = by;
  const all: Record<string, string> = {
    AWSAccessKeyId: by.access,
    Action: action,
    SignatureMethod: 'HmacSHA256',
    SignatureVersion: '2',
    Timestamp: '2011-09-22T12:00:00Z',
    Version: '2009-11-30',
    ...params,
  };
  const query = Object.keys(all)
    .sort()
    .map((name) => `${percentEncode(name)}=${percentEncode(all[name]!)}`)
    .join('&');
  const mac = createHmac('sha256', by.secret).update(`${method}\n${host}\n${path}\n${query}`).digest('base64');
  const signed = `${query}&Signature=${percentEncode(mac)}`;
  if (method === 'GET') return doorRequest({ method, url: `${path}?${signed}`, headers: { host } });
  const headers = { host, 'content-type': 'application/x-www-form-urlencoded; charset=UTF-8' };
  return doorRequest({ method, url: path, headers, body: Buffer.from(signed) });
}

/** A GET signed with version 0, which covers Action and Timestamp alone. */
export function signedV0(action: string, params: Readonly<Record<string, string>>, by: SignedBy): SignedRequest {
  const { path = '/services/Cloud/', host = '127.0.0.1:8773' } = by;
  const all = { Timestamp: '2011-09-22T12:00:00Z', Version: '2009-11-30', ...params };
  const signature = createHmac('sha1', by.secret).update(`${action}${all.Timestamp}`).digest('base64');
  const signed = { ...all, Action: action, AWSAccessKeyId: by.access, SignatureVersion: '0', Signature: signature };
  return doorRequest({ url: `${path}?${new URLSearchParams(signed).toString()}`, headers: { host } });
}

/** A POST signed with version 4 in its query, at `now` (ms) and good for `expires` seconds. */
export function queryV4(
  by: SignedBy & { readonly body: Buffer; readonly now: number; readonly expires: number },
): SignedRequest {
  const { path = '/services/Cloud', host = '127.0.0.1:8773', body } = by;
  const stamp = new Date(by.now).toISOString().replace(/[-:]|\.\d+/g, '');
  const scope = [stamp.slice(0, 8), 'nova', 'ec2', 'aws4_request'] as const;
  const query = [
    ['X-Amz-Algorithm', 'AWS4-HMAC-SHA256'],
    ['X-Amz-Credential', `${by.access}/${scope.join('/')}`],
    ['X-Amz-Date', stamp],
    ['X-Amz-Expires', String(by.expires)],
    ['X-Amz-SignedHeaders', 'host'],
  ]
    .map(([name, value]) => `${name}=${percentEncode(value!)}`)
    .join('&');
  const hash = createHash('sha256').update(body).digest('hex');
  const canonical = ['POST', path, query, `host:${host}`, '', 'host', hash].join('\n');
  const url = `${path}?${query}&X-Amz-Signature=${signatureV4(by.secret, stamp, scope, canonical)}`;
  const headers = { host, 'content-type': 'application/x-www-form-urlencoded; charset=UTF-8' };
  return doorRequest({ method: 'POST', url, headers, body });
}
