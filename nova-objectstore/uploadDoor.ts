import type { DoorResponse } from '../common/http/door.js';
import type { Runtime } from '../common/runtime/runtime.js';
import { countOf, givenHeaders, notAllowed, type Asked } from './asked.js';
import { claimsOf, readDocument, sentBytes } from './body.js';
import { inTime, page } from './answers.js';
import type { CopySource } from './copy.js';
import { largestCompletion, readCompleteRequest } from './completeRequest.js';
import { completedDocument, copiedDocument, partsDocument, startedDocument, uploadsDocument } from './documents.js';
import { badRequest } from './refusal.js';
import { uploadLimits, type PendingUpload, type UploadStore } from './uploadStore.js';

/** Uploads or parts in a listing unless the client wants fewer, as in S3. */
const mostListed = 1000;

/** Uploads in parts (https://docs.aws.amazon.com/AmazonS3/latest/userguide/mpuoverview.html), of whoever may use the bucket. */
export class UploadDoor {
  constructor(
    private readonly runtime: Runtime,
    private readonly uploads: UploadStore,
    private readonly openSource: (asked: Asked) => Promise<CopySource>,
  ) {}

  /** `?uploads` of a bucket. */
  async list(asked: Asked): Promise<DoorResponse> {
    if (asked.method !== 'GET') throw notAllowed(asked.method);
    const option = (name: string): string => asked.options.get(name) ?? '';
    const [prefix, keyMarker, idMarker, delimiter] = ['prefix', 'key-marker', 'upload-id-marker', 'delimiter'].map(
      option,
    ) as [string, string, string, string];
    const most = Math.min(countOf(asked, 'max-uploads', mostListed), mostListed);
    const isAfter = ({ key, id }: PendingUpload): boolean => {
      const order = Buffer.compare(Buffer.from(key), Buffer.from(keyMarker));
      return order > 0 || (order === 0 && idMarker !== '' && id > idMarker);
    };
    const all = (await this.uploads.list(asked.bucket)).filter(
      (upload) => upload.key.startsWith(prefix) && isAfter(upload),
    );
    const uploads: PendingUpload[] = [];
    const prefixes: string[] = [];
    let last: { key: string; id: string } | null = null;
    let isTruncated = false;
    for (const upload of all) {
      const cut = delimiter === '' ? -1 : upload.key.indexOf(delimiter, prefix.length);
      const common = cut === -1 ? null : upload.key.slice(0, cut + delimiter.length);
      // A page which ended with a common prefix goes on after all of its keys.
      if (common !== null && (common === prefixes.at(-1) || common === keyMarker)) continue;
      if (uploads.length + prefixes.length >= most) {
        isTruncated = true;
        break;
      }
      last = common === null ? upload : { key: common, id: '' };
      if (common === null) uploads.push(upload);
      else prefixes.push(common);
    }
    const encodingType = asked.options.get('encoding-type') ?? null;
    const form = { bucket: asked.bucket, prefix, keyMarker, idMarker, delimiter, most, encodingType };
    return page(uploadsDocument(form, { uploads, prefixes, next: isTruncated ? last : null }));
  }

  /** `?uploads` and `?uploadId=` of an object. */
  async handle(asked: Asked): Promise<DoorResponse> {
    const { method, options, bucket, key } = asked;
    if (options.has('uploads')) {
      if (method !== 'POST') throw notAllowed(method);
      await readDocument(asked, largestCompletion);
      return page(startedDocument(bucket, key, await this.uploads.begin(bucket, key, givenHeaders(asked.headers))));
    }
    const id = options.get('uploadId') ?? '';
    switch (method) {
      case 'PUT':
        return this.#part(asked, id);
      case 'POST':
        return this.#complete(asked, id);
      case 'GET':
        return this.#parts(asked, id);
      case 'DELETE':
        await this.uploads.abort(bucket, key, id);
        return { status: 204, headers: {}, body: '' };
      default:
        throw notAllowed(method);
    }
  }

  async #part(asked: Asked, id: string): Promise<DoorResponse> {
    const { bucket, key, headers } = asked;
    const number = countOf(asked, 'partNumber', 0);
    if (number < 1 || number > uploadLimits.parts) {
      throw badRequest(
        'InvalidArgument',
        `Part number must be an integer between 1 and ${uploadLimits.parts}, inclusive`,
      );
    }
    const limit = this.runtime.flags.s3_max_object;
    if ('x-amz-copy-source' in headers) {
      await this.uploads.get(bucket, key, id);
      const { bytes } = await this.openSource(asked);
      const copying = this.uploads.put(bucket, key, id, number, { source: bytes, limit, check: () => undefined });
      const document = copying.then(({ md5, modified }) => copiedDocument('CopyPartResult', md5, modified));
      return inTime(this.runtime, document);
    }
    const sent = sentBytes(asked, limit);
    const { md5 } = await this.uploads.put(bucket, key, id, number, sent);
    return { status: 200, headers: { etag: `"${md5}"`, ...sent.confirmed() }, body: '' };
  }

  async #complete(asked: Asked, id: string): Promise<DoorResponse> {
    const { bucket, key, headers, path } = asked;
    // Checksums in the headers are the object's here, not the document's.
    const own = Object.entries(headers).filter(([name]) => !name.startsWith('x-amz-checksum-'));
    const document = await readDocument({ ...asked, headers: Object.fromEntries(own) }, largestCompletion);
    const parts = readCompleteRequest(document);
    // That of a checksum of the parts' checksums is in another form, and theirs are compared.
    const isOfParts = headers['x-amz-checksum-type'] === 'COMPOSITE';
    const { claims: checksums } = claimsOf(isOfParts ? {} : headers);
    const completing = this.uploads.complete(bucket, key, id, {
      parts,
      checksums,
      limit: this.runtime.flags.s3_max_object,
    });
    const location = `http://${headers['host'] ?? ''}${path}`;
    return inTime(
      this.runtime,
      completing.then(({ etag }) => completedDocument(location, bucket, key, etag)),
    );
  }

  async #parts(asked: Asked, id: string): Promise<DoorResponse> {
    const { bucket, key } = asked;
    const most = Math.min(countOf(asked, 'max-parts', mostListed), mostListed);
    const marker = countOf(asked, 'part-number-marker', 0);
    const all = (await this.uploads.parts(bucket, key, id)).filter((part) => part.number > marker);
    const encodingType = asked.options.get('encoding-type') ?? null;
    const form = { bucket, key, id, marker, most, encodingType };
    return page(partsDocument(form, { parts: all.slice(0, most), isTruncated: all.length > most }));
  }
}
