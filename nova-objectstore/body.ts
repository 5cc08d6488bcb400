import { createHash } from 'node:crypto';
import { breakOff } from '../common/http/door.js';
import { entityTooLarge, type Incoming, type Sums } from './arrivals.js';
import type { Asked } from './asked.js';
import { decodeChunks, readStreamingForm } from './awsChunked.js';
import { badDigest, checkForm, checksumNames, Comparison, type ChecksumName } from './checksums.js';
import { badRequest, S3Refusal } from './refusal.js';

/** Bytes which a client sends, and what it said of them, for the answer. */
export interface SentBytes extends Incoming {
  /** The checksums (`x-amz-checksum-*`) which held; to be read after all bytes. */
  confirmed(): Record<string, string>;
}

/** The bytes which a request brings, of at most `limit`, and every check which its headers ask for. Throws S3Refusal. */
export function sentBytes(asked: Asked, limit: number): SentBytes {
  const { headers, body } = asked;
  const form = chunkForm(asked);
  const length = headers[form === null ? 'content-length' : 'x-amz-decoded-content-length'];
  if (form !== null && !/^\d{1,15}$/.test(length ?? '')) {
    throw new S3Refusal(411, 'MissingContentLength', 'The header x-amz-decoded-content-length is missing');
  }
  if (length !== undefined && Number(length) > limit) throw entityTooLarge(limit);
  const wishedMd5 = headers['content-md5'];
  if (wishedMd5 !== undefined && Buffer.from(wishedMd5, 'base64').length !== 16) {
    throw badRequest('InvalidDigest', 'The Content-MD5 you specified is not valid');
  }
  const trailer = new Map<string, string>();
  const { claims, later } = claimsOf(headers);
  const comparison = new Comparison(claims, new Set([...claims.keys(), ...later]));
  // Not destroyed when it is too long: its sender still gets an answer on the same socket.
  const raw = Buffer.isBuffer(body) ? [body] : (body.iterator({ destroyOnReturn: false }) as AsyncIterable<Uint8Array>);
  const decoded = form === null ? raw : decodeChunks(raw, form, trailer);
  const compared = async function* (): AsyncIterable<Uint8Array> {
    for await (const bytes of decoded) {
      comparison.update(bytes);
      yield bytes;
    }
    for (const name of later) {
      const value = trailer.get(`x-amz-checksum-${name}`);
      if (value === undefined) throw badRequest('MalformedTrailerError', `The trailer lacks x-amz-checksum-${name}`);
      checkForm(name, value);
      claims.set(name, value);
    }
  };
  return {
    source: compared(),
    limit,
    check({ md5, sha256, size }: Sums) {
      if (length !== undefined && Number(length) !== size) {
        throw badRequest('IncompleteBody', 'The body has not as many bytes as its length says');
      }
      if (wishedMd5 !== undefined && Buffer.from(wishedMd5, 'base64').toString('hex') !== md5) {
        throw badRequest('BadDigest', 'The Content-MD5 you specified did not match what we received');
      }
      if (asked.bodySha256 !== undefined && asked.bodySha256 !== sha256) {
        throw badRequest('XAmzContentSHA256Mismatch', 'x-amz-content-sha256 did not match what we received');
      }
      const wrong = comparison.wrong();
      if (wrong !== null) throw badDigest(wrong);
    },
    confirmed: () => Object.fromEntries([...claims].map(([name, value]) => [`x-amz-checksum-${name}`, value])),
  };
}

/**
 * The document which a request brings, of at most `limit` bytes, when every check which its headers ask for has held: a
 * signature which covers a hash of the body is good for that body alone. Throws S3Refusal.
 */
export async function readDocument(asked: Asked, limit: number): Promise<Buffer> {
  const sent = sentBytes(asked, limit);
  const { body, patience } = asked;
  const chunks: Uint8Array[] = [];
  let size = 0;
  const timer = patience.after(patience.documentMs, () => {
    if (!Buffer.isBuffer(body)) breakOff(body, badRequest('RequestTimeout', 'The document did not come in time'));
  });
  try {
    for await (const chunk of sent.source) {
      size += chunk.length;
      if (size > limit) throw entityTooLarge(limit);
      chunks.push(chunk);
    }
  } finally {
    timer.cancel();
  }
  const document = Buffer.concat(chunks, size);
  const sum = (name: 'md5' | 'sha256'): string => createHash(name).update(document).digest('hex');
  sent.check({ md5: sum('md5'), sha256: sum('sha256'), size });
  return document;
}

/** How the body is encoded in chunks; null when it isn't. Throws S3Refusal. */
function chunkForm({ headers, chunkSigner }: Asked): { signer: Asked['chunkSigner']; hasTrailer: boolean } | null {
  const hash = headers['x-amz-content-sha256'] ?? '';
  if (/^STREAMING-/.test(hash)) return { signer: chunkSigner, ...readStreamingForm(hash) };
  const isChunked = /\baws-chunked\b/.test(headers['content-encoding'] ?? '') && !/^[0-9a-f]{64}$/i.test(hash);
  return isChunked ? { signer: null, hasTrailer: true } : null;
}

/** The checksums which the headers have, and those which are to come in the trailer. Throws S3Refusal. */
export function claimsOf(headers: Readonly<Record<string, string>>): {
  claims: Map<ChecksumName, string>;
  later: ChecksumName[];
} {
  const claims = new Map<ChecksumName, string>();
  for (const name of checksumNames) {
    const value = headers[`x-amz-checksum-${name}`];
    if (value === undefined) continue;
    checkForm(name, value);
    claims.set(name, value);
  }
  const announced = (headers['x-amz-trailer'] ?? '').toLowerCase().split(',');
  const later = checksumNames.filter((name) => announced.some((each) => each.trim() === `x-amz-checksum-${name}`));
  if (claims.size + later.length > 1) {
    throw badRequest('InvalidRequest', 'Expecting a single x-amz-checksum- header, or one in the trailer');
  }
  return { claims, later };
}
