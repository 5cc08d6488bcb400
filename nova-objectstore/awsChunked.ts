import { createHash } from 'node:crypto';
import { equalInConstantTime } from '../common/auth/signing.js';
import { badRequest, notImplemented, S3Refusal } from './refusal.js';

/**
 * Signs what a body sent chunk by chunk is made of, each after the one before.
 * https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-streaming.html
 */
export interface ChunkSigner {
  /** The signature of the request, which is in front of the first chunk's. */
  readonly seed: string;
  /** The signature of a chunk's bytes, or of the trailer's lines, by their SHA-256 (hex). */
  sign(kind: 'PAYLOAD' | 'TRAILER', previous: string, hash: string): string;
}

/** How a body in the encoding aws-chunked is made. */
export interface ChunkForm {
  /** Null where the signatures of the chunks, if there are any, are not checked. */
  readonly signer: ChunkSigner | null;
  readonly hasTrailer: boolean;
}

/** Bytes of the longest line between chunks, and lines of a trailer. */
const [longestLine, mostLines] = [1024, 16];

const malformed = (): S3Refusal =>
  badRequest('InvalidRequest', 'The body is not in the encoding aws-chunked, which the request says that it has');
const incomplete = (): S3Refusal => badRequest('IncompleteBody', 'The body ends before its last chunk');

/** What x-amz-content-sha256 says of a body which comes in chunks. Throws S3Refusal for a kind which nobody has written. */
export function readStreamingForm(hash: string): { hasTrailer: boolean } {
  switch (hash) {
    case 'STREAMING-AWS4-HMAC-SHA256-PAYLOAD':
      return { hasTrailer: false };
    case 'STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER':
    case 'STREAMING-UNSIGNED-PAYLOAD-TRAILER':
      return { hasTrailer: true };
    default:
      throw notImplemented(`A body of the kind ${hash.slice(0, 60)}`);
  }
}

/**
 * The bytes in a body which is sent chunk by chunk: `SIZE;chunk-signature=SIGNATURE`, the bytes, and at the end a chunk of
 * none and the trailer, whose lines go to `trailer` by lower-case name. The bytes of a chunk are handed out before its
 * signature is known: they count only when all have come. Throws S3Refusal.
 * https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-streaming.html
 */
export async function* decodeChunks(
  source: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
  form: ChunkForm,
  trailer: Map<string, string>,
): AsyncGenerator<Uint8Array> {
  const reader = new Reader(source);
  const { signer } = form;
  let previous = signer?.seed ?? '';
  const requireSignature = (signature: string | undefined, kind: 'PAYLOAD' | 'TRAILER', hash: string): void => {
    if (signer === null) return;
    const wanted = signer.sign(kind, previous, hash);
    if (signature === undefined || !equalInConstantTime(signature.toLowerCase(), wanted)) {
      throw new S3Refusal(403, 'SignatureDoesNotMatch', 'The signature of a chunk does not match what we received');
    }
    previous = wanted;
  };
  try {
    for (let size = -1; size !== 0;) {
      const [, length, signature] =
        /^([0-9a-f]{1,12})(?:;chunk-signature=([0-9a-f]{64}))?$/i.exec(await reader.line()) ?? [];
      if (length === undefined) throw malformed();
      size = parseInt(length, 16);
      const hash = createHash('sha256');
      for await (const piece of reader.take(size)) {
        if (signer !== null) hash.update(piece);
        yield piece;
      }
      requireSignature(signature, 'PAYLOAD', hash.digest('hex'));
      if (size !== 0 && (await reader.line()) !== '') throw malformed();
    }
    if (form.hasTrailer) {
      const lines = await readTrailer(reader, trailer);
      requireSignature(
        trailer.get('x-amz-trailer-signature'),
        'TRAILER',
        createHash('sha256').update(lines).digest('hex'),
      );
    } else if ((await reader.line()) !== '') throw malformed();
    if (!(await reader.isAtEnd())) throw malformed();
  } finally {
    await reader.close();
  }
}

/** The lines of the trailer into `trailer`; answers the text which is signed. */
async function readTrailer(reader: Reader, trailer: Map<string, string>): Promise<string> {
  let signed = '';
  for (let line = await reader.line(); line !== ''; line = await reader.line()) {
    const colon = line.indexOf(':');
    if (colon < 1 || trailer.size >= mostLines)
      throw badRequest('MalformedTrailerError', 'The trailer has no header lines');
    const [name, value] = [line.slice(0, colon).trim().toLowerCase(), line.slice(colon + 1).trim()];
    trailer.set(name, value);
    if (name !== 'x-amz-trailer-signature') signed += `${name}:${value}\n`;
  }
  return signed;
}

/** Lines and counted bytes out of pieces which end anywhere. */
class Reader {
  readonly #pieces: AsyncIterator<Uint8Array> | Iterator<Uint8Array>;
  #rest: Buffer = Buffer.alloc(0);

  constructor(source: AsyncIterable<Uint8Array> | Iterable<Uint8Array>) {
    this.#pieces = Symbol.asyncIterator in source ? source[Symbol.asyncIterator]() : source[Symbol.iterator]();
  }

  /** The text up to the next end of line, which is left out. Throws S3Refusal. */
  async line(): Promise<string> {
    for (;;) {
      const end = this.#rest.indexOf('\r\n');
      if (end > longestLine || (end === -1 && this.#rest.length > longestLine)) throw malformed();
      if (end !== -1) {
        const text = this.#rest.toString('latin1', 0, end);
        this.#rest = this.#rest.subarray(end + 2);
        return text;
      }
      if (!(await this.#more())) throw incomplete();
    }
  }

  /** So many bytes. Throws S3Refusal when there are fewer. */
  async *take(size: number): AsyncGenerator<Uint8Array> {
    for (let left = size; left > 0;) {
      if (this.#rest.length === 0 && !(await this.#more())) throw incomplete();
      const piece = this.#rest.subarray(0, left);
      this.#rest = this.#rest.subarray(piece.length);
      left -= piece.length;
      if (piece.length > 0) yield piece;
    }
  }

  async isAtEnd(): Promise<boolean> {
    return this.#rest.length === 0 && !(await this.#more());
  }

  async close(): Promise<void> {
    await this.#pieces.return?.();
  }

  async #more(): Promise<boolean> {
    const { done, value } = await this.#pieces.next();
    if (done === true) return false;
    const piece = value as Uint8Array;
    this.#rest =
      this.#rest.length === 0
        ? Buffer.from(piece.buffer, piece.byteOffset, piece.length)
        : Buffer.concat([this.#rest, piece]);
    // A piece of nothing says nothing about the end.
    return piece.length > 0 || this.#more();
  }
}
