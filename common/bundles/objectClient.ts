import { percentEncode, s3SignatureV2 } from '../auth/signing.js';
import { Invalid, NovaError } from '../errors.js';
import type { Runtime } from '../runtime/runtime.js';

/** The objectstore did not give an object. */
export class ObjectNotFetched extends NovaError {}

/** Whose keys a request is signed with. */
export interface S3Keys {
  readonly access: string;
  readonly secret: string;
}

/** Milliseconds to wait for the head of an answer. */
const timeoutMs = 60_000;

/** Reads objects of the store at the flags s3_host and s3_port, signed with version 2. */
export class ObjectClient {
  constructor(private readonly runtime: Pick<Runtime, 'after' | 'clock' | 'fetch' | 'flags'>) {}

  /** The bytes of an object as they come. Throws ObjectNotFetched, whose text says why. */
  async open(keys: S3Keys, bucket: string, key: string, signal?: AbortSignal): Promise<AsyncIterable<Uint8Array>> {
    const { s3_host: host, s3_port: port } = this.runtime.flags;
    const path = `/${percentEncode(bucket)}/${key.split('/').map(percentEncode).join('/')}`;
    // eslint-disable-next-line no-restricted-syntax -- formats a given time, reads no clock
    const date = new Date(this.runtime.clock.now()).toUTCString();
    // The date in a header of S3's own: fetch sets the other one itself.
    const headers = { 'x-amz-date': date };
    const signature = s3SignatureV2(keys.secret, { method: 'GET', path, query: [], headers });
    const abort = new AbortController();
    const onAbort = (): void => abort.abort(signal?.reason);
    signal?.addEventListener('abort', onAbort, { once: true });
    const timer = this.runtime.after(timeoutMs, () => abort.abort(new Error('no answer in time')));
    let response: Response;
    try {
      response = await this.runtime.fetch(`http://${host}:${port}${path}`, {
        headers: { ...headers, authorization: `AWS ${keys.access}:${signature}` },
        redirect: 'error',
        signal: abort.signal,
      });
    } catch (error) {
      throw Object.assign(new ObjectNotFetched(`The objectstore at ${host}:${port} cannot be reached`), {
        cause: error,
      });
    } finally {
      timer.cancel();
    }
    if (response.ok && response.body !== null) return response.body as unknown as AsyncIterable<Uint8Array>;
    await response.body?.cancel().catch(() => undefined);
    throw new ObjectNotFetched(`The objectstore answered ${response.status} for ${bucket}/${key}`.slice(0, 300));
  }

  /** A whole object. Throws ObjectNotFetched, and Invalid for one of more than `limit` bytes. */
  async read(keys: S3Keys, bucket: string, key: string, limit: number): Promise<Buffer> {
    const chunks: Uint8Array[] = [];
    let size = 0;
    for await (const chunk of await this.open(keys, bucket, key)) {
      size += chunk.length;
      if (size > limit) throw new Invalid(`${key.slice(0, 200)} has more than ${limit} bytes`);
      chunks.push(chunk);
    }
    return Buffer.concat(chunks);
  }
}
