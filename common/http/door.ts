import type { Readable } from 'node:stream';

/** One HTTP request as a door sees it: no socket, so that tests and the simulation call the same code without a port. */
export interface DoorRequest {
  /** As received, upper case by convention. */
  readonly method: string;
  /** The request target as received: path and query, not decoded. */
  readonly url: string;
  /** By lower-case name, and nothing else is found in it; the values of a repeated header are joined by `, `. Bytes outside ASCII are latin1. */
  readonly headers: Readonly<Record<string, string>>;
  /** The peer's address. */
  readonly remoteAddress: string | null;
  /** The bytes, or the stream they come from. A stream which breaks off ends with an error. */
  readonly body: Readable | Buffer;
}

/** The answer. A text is sent as UTF-8; a stream's error breaks the connection off. */
export interface DoorResponse {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string | Buffer | Readable;
}

/** One API. It answers every request, whatever it holds, and doesn't throw; served by common/http/listen.ts. */
export interface HttpDoor {
  handle(request: DoorRequest): Promise<DoorResponse>;
  /** Ends what goes on behind answers that were given; no request comes any more. */
  close?(): Promise<void>;
  /** The answer to what is no HTTP request, or came too slowly; plain text when absent. `reason` is the status line's. */
  refuse?(status: number, reason: string): DoorResponse & { readonly body: string };
}

/** More body than the door takes. */
export class BodyTooLarge extends Error {
  constructor(readonly limit: number) {
    super(`The body is larger than ${limit} bytes`);
    this.name = 'BodyTooLarge';
  }
}

/**
 * The whole body. Throws BodyTooLarge for more than `limit` bytes, and the stream's error when it breaks off. What is too
 * much is read and thrown away, up to eight times the limit: a client reads the answer only after it has sent all.
 */
export async function readBody(body: Readable | Buffer, limit: number): Promise<Buffer> {
  if (Buffer.isBuffer(body)) {
    if (body.length > limit) throw new BodyTooLarge(limit);
    return body;
  }
  if (body.destroyed) throw new Error('The request broke off');
  return new Promise((resolve, reject) => {
    let chunks: Buffer[] = [];
    let size = 0;
    const onData = (chunk: Buffer): void => {
      size += chunk.length;
      if (size <= limit) chunks.push(chunk);
      else chunks = [];
      if (size > 8 * limit) onEnd();
    };
    const onEnd = (): void =>
      finish(() => (size > limit ? reject(new BodyTooLarge(limit)) : resolve(Buffer.concat(chunks, size))));
    const onError = (error: Error): void => finish(() => reject(error));
    const onClose = (): void => finish(() => reject(new Error('The request broke off')));
    const finish = (settle: () => void): void => {
      // Paused, not destroyed: whoever serves it still answers on the same socket.
      body.off('data', onData).off('end', onEnd).off('close', onClose).pause();
      settle();
    };
    body.on('data', onData).on('end', onEnd).on('error', onError).on('close', onClose);
  });
}

/**
 * Makes a body fail for its reader, now or later. Its connection stays, unlike with `destroy`: the client can be told why.
 */
export function breakOff(body: Readable, error: Error): void {
  body._destroy = (reason, done) => done(reason);
  // Nobody may be reading yet.
  body.on('error', () => undefined);
  body.destroy(error);
}
