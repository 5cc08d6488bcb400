import { createHash } from 'node:crypto';
import { badRequest, type S3Refusal } from './refusal.js';

/** The checksums which S3 knows beside MD5, by the end of their header `x-amz-checksum-`; with their bytes. */
export const checksumBytes = { crc32: 4, crc32c: 4, crc64nvme: 8, sha1: 20, sha256: 32 } as const;
export type ChecksumName = keyof typeof checksumBytes;
export const checksumNames = Object.keys(checksumBytes) as ChecksumName[];

/** A checksum of bytes which come in pieces. */
export interface Checksum {
  update(bytes: Uint8Array): unknown;
  /** Base64, as S3 writes it. To be called once. */
  digest(): string;
}

export function startChecksum(name: ChecksumName): Checksum {
  switch (name) {
    case 'sha1':
    case 'sha256': {
      const hash = createHash(name);
      return { update: (bytes) => hash.update(bytes), digest: () => hash.digest('base64') };
    }
    case 'crc32':
      return new Crc(0, 0xedb88320, 4);
    case 'crc32c':
      return new Crc(0, 0x82f63b78, 4);
    case 'crc64nvme':
      return new Crc(0x9a6c9329, 0xac4bc9b5, 8);
  }
}

export const badDigest = (name: string): S3Refusal =>
  badRequest('BadDigest', `The ${name.toUpperCase()} you specified did not match what we received`);

/** Throws S3Refusal for a text which is no checksum of this kind. */
export function checkForm(name: ChecksumName, value: string): void {
  const bytes = Buffer.from(value, 'base64');
  if (bytes.length === checksumBytes[name] && bytes.toString('base64') === value) return;
  throw badRequest('InvalidRequest', `Value for x-amz-checksum-${name} is invalid`);
}

/** Computes checksums of bytes, and compares them with those which somebody claims; a claim may come while they do. */
export class Comparison {
  readonly #running: readonly (readonly [ChecksumName, Checksum])[];

  constructor(
    private readonly claims: ReadonlyMap<ChecksumName, string>,
    names: Iterable<ChecksumName> = claims.keys(),
  ) {
    this.#running = [...names].map((name) => [name, startChecksum(name)] as const);
  }

  update(bytes: Uint8Array): void {
    for (const [, checksum] of this.#running) checksum.update(bytes);
  }

  /** The first which is not what was claimed; null when there is none. To be called once, after all bytes. */
  wrong(): ChecksumName | null {
    return this.#running.find(([name, checksum]) => this.claims.get(name) !== checksum.digest())?.[0] ?? null;
  }
}

/** Table of a reflected polynomial: upper and lower 32 bits of each entry. */
function tableOf(upper: number, lower: number): Uint32Array {
  const table = new Uint32Array(512);
  for (let byte = 0; byte < 256; byte++) {
    let [high, low] = [0, byte];
    for (let bit = 0; bit < 8; bit++) {
      const carry = low & 1;
      low = (low >>> 1) | ((high & 1) << 31);
      high >>>= 1;
      if (carry === 1) {
        low ^= lower;
        high ^= upper;
      }
    }
    table[2 * byte] = high;
    table[2 * byte + 1] = low;
  }
  return table;
}

const tables = new Map<number, Uint32Array>();

/** A cyclic redundancy check of 32 or 64 bits, reflected, which begins with ones and ends inverted. */
class Crc implements Checksum {
  readonly #table: Uint32Array;
  #high = 0xffffffff;
  #low = 0xffffffff;

  constructor(
    upper: number,
    lower: number,
    private readonly bytes: 4 | 8,
  ) {
    this.#table = tables.get(lower) ?? tableOf(upper, lower);
    tables.set(lower, this.#table);
    if (bytes === 4) this.#high = 0;
  }

  update(bytes: Uint8Array): void {
    const table = this.#table;
    let [high, low] = [this.#high, this.#low];
    for (let at = 0; at < bytes.length; at++) {
      const entry = 2 * ((low ^ bytes[at]!) & 0xff);
      low = ((low >>> 8) | (high << 24)) ^ table[entry + 1]!;
      high = (high >>> 8) ^ table[entry]!;
    }
    [this.#high, this.#low] = [high, low];
  }

  digest(): string {
    const result = Buffer.alloc(8);
    result.writeUInt32BE(~this.#high >>> 0, 0);
    result.writeUInt32BE(~this.#low >>> 0, 4);
    return result.subarray(8 - this.bytes).toString('base64');
  }
}
