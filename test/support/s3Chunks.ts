import { createHash } from 'node:crypto';
import { percentEncode, signatureV4, signerV4 } from '../../common/auth/signing.js';

const stamp = '20260101T000000Z';
const scope = ['20260101', 'nova', 's3', 'aws4_request'] as const;
const sha256 = (bytes: Buffer | string): string => createHash('sha256').update(bytes).digest('hex');

/**
 * The headers of an S3 request signed with version 4; `headers` by lower-case name are signed too. Their lines are in the
 * order of the names, or in that of `order`.
 */
export function signedHeadersV4(
  by: { readonly access: string; readonly secret: string; readonly host: string },
  request: { readonly method: string; readonly path: string; readonly query?: string; readonly hash: string },
  headers: Readonly<Record<string, string>> = {},
  order?: (a: string, b: string) => number,
): Record<string, string> & { readonly authorization: string } {
  const all: Record<string, string> = {
    ...headers,
    host: by.host,
    'x-amz-content-sha256': request.hash,
    'x-amz-date': stamp,
  };
  const names = Object.keys(all).sort();
  const lines = names.map((name) => `${name}:${all[name]}`);
  const canonical = [
    request.method,
    request.path,
    request.query ?? '',
    ...(order === undefined ? lines : lines.sort(order)),
    '',
    names.join(';'),
    request.hash,
  ];
  const signature = signatureV4(by.secret, stamp, scope, canonical.join('\n'));
  const credential = `${by.access}/${scope.join('/')}`;
  return {
    ...all,
    authorization: `AWS4-HMAC-SHA256 Credential=${credential}, SignedHeaders=${names.join(';')}, Signature=${signature}`,
  };
}

/** The query which signs a GET of a path for `expires` seconds. */
export function signedQueryV4(
  by: { readonly access: string; readonly secret: string; readonly host: string },
  path: string,
  expires: number,
): string {
  const query =
    `X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=${percentEncode(`${by.access}/${scope.join('/')}`)}` +
    `&X-Amz-Date=${stamp}&X-Amz-Expires=${expires}&X-Amz-SignedHeaders=host`;
  const canonical = ['GET', path, query, `host:${by.host}`, '', 'host', 'UNSIGNED-PAYLOAD'].join('\n');
  return `${query}&X-Amz-Signature=${signatureV4(by.secret, stamp, scope, canonical)}`;
}

/** A body in the encoding aws-chunked, signed as the request's `authorization` goes on; unsigned without a secret. */
export function awsChunked(
  pieces: readonly (Buffer | string)[],
  signed: { readonly secret: string; readonly authorization: string } | null,
  trailer: Readonly<Record<string, string>> | null = null,
): Buffer {
  const sign = signed === null ? null : signerV4(signed.secret, scope);
  let previous = /Signature=(\w+)/.exec(signed?.authorization ?? '')?.[1] ?? '';
  const next = (kind: string, hashes: readonly string[]): string => {
    const text = [`AWS4-HMAC-SHA256-${kind}`, stamp, scope.join('/'), previous, ...hashes].join('\n');
    return (previous = sign!(text));
  };
  const parts: (Buffer | string)[] = [];
  for (const piece of [...pieces, '']) {
    const bytes = Buffer.from(piece as string);
    const mark = sign === null ? '' : `;chunk-signature=${next('PAYLOAD', [sha256(''), sha256(bytes)])}`;
    parts.push(`${bytes.length.toString(16)}${mark}\r\n`, bytes, bytes.length === 0 ? '' : '\r\n');
  }
  const lines = Object.entries(trailer ?? {});
  parts.push(lines.map(([name, value]) => `${name}:${value}\r\n`).join(''));
  if (trailer !== null && sign !== null) {
    const signature = next('TRAILER', [sha256(lines.map(([name, value]) => `${name}:${value}\n`).join(''))]);
    parts.push(`x-amz-trailer-signature:${signature}\r\n`);
  }
  return Buffer.concat([...parts, '\r\n'].map((part) => Buffer.from(part as string)));
}
