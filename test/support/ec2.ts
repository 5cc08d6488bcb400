import { createHmac } from 'node:crypto';
import type { DoorRequest } from '../../common/http/door.js';
import { percentEncode } from '../../common/auth/signing.js';

/** A request as a door gets it, without a socket. */
export function doorRequest(parts: Partial<DoorRequest> & { url: string }): DoorRequest {
  return { method: 'GET', headers: {}, remoteAddress: '192.0.2.7', body: Buffer.alloc(0), ...parts };
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
export function signedV2(action: string, params: Readonly<Record<string, string>>, by: SignedBy): DoorRequest {
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
