import { checkPrimeSync, createPrivateKey, createPublicKey } from 'node:crypto';
import type { Random } from '../common/runtime/runtime.js';

/** Randomness which a seed determines: the same seed gives the same bytes, ids and keys. Not for secrets. */
export class SeededRandom implements Random {
  #state: Uint32Array;

  constructor(seed: number) {
    // splitmix32 spreads a small seed over the state of xoshiro128**.
    let x = seed >>> 0;
    this.#state = Uint32Array.from({ length: 4 }, () => {
      x = (x + 0x9e3779b9) >>> 0;
      let z = x;
      z = Math.imul(z ^ (z >>> 16), 0x85ebca6b);
      z = Math.imul(z ^ (z >>> 13), 0xc2b2ae35);
      return (z ^ (z >>> 16)) >>> 0;
    });
  }

  /** A stream of its own for each user of chance, so that one more draw here doesn't change all that follows there. */
  fork(): SeededRandom {
    return new SeededRandom(this.#next());
  }

  bytes(count: number): Buffer {
    const bytes = Buffer.alloc(count);
    for (let at = 0; at < count; at += 4) {
      const word = this.#next();
      for (let shift = 0; shift < 4 && at + shift < count; shift++) bytes[at + shift] = (word >>> (8 * shift)) & 0xff;
    }
    return bytes;
  }

  below(limit: number): number {
    if (!(limit >= 1 && limit <= 2 ** 48)) throw new RangeError(`a limit of ${limit} is out of range`);
    const high = this.#next() & 0x1fffff;
    return Math.floor(((high * 2 ** 32 + this.#next()) / 2 ** 53) * limit);
  }

  uuid(): string {
    const bytes = this.bytes(16);
    bytes[6] = (bytes[6]! & 0x0f) | 0x40;
    bytes[8] = (bytes[8]! & 0x3f) | 0x80;
    const hex = bytes.toString('hex');
    return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join('-');
  }

  pick<T>(list: readonly T[]): T {
    if (list.length === 0) throw new RangeError('pick from an empty list');
    return list[this.below(list.length)]!;
  }

  /** A real key pair, but of 1024 bits whatever is asked for: a simulation makes many. */
  async rsaKeyPair(): Promise<{ privateKey: string; publicKey: Buffer }> {
    const e = 65537n;
    for (;;) {
      const [p, q] = [this.#prime(512), this.#prime(512)];
      const phi = (p - 1n) * (q - 1n);
      const d = inverse(e, phi);
      if (p === q || d === undefined) continue;
      const jwk = {
        kty: 'RSA',
        n: base64url(p * q),
        e: base64url(e),
        d: base64url(d),
        p: base64url(p),
        q: base64url(q),
        dp: base64url(d % (p - 1n)),
        dq: base64url(d % (q - 1n)),
        qi: base64url(inverse(q, p)!),
      };
      const key = createPrivateKey({ key: jwk, format: 'jwk' });
      return {
        privateKey: key.export({ type: 'pkcs1', format: 'pem' }) as string,
        publicKey: createPublicKey(key).export({ type: 'spki', format: 'der' }),
      };
    }
  }

  #prime(bits: number): bigint {
    const bytes = this.bytes(bits / 8);
    bytes[0]! |= 0xc0;
    bytes[bytes.length - 1]! |= 1;
    let candidate = BigInt(`0x${bytes.toString('hex')}`);
    while (!checkPrimeSync(candidate)) candidate += 2n;
    return candidate;
  }

  #next(): number {
    const s = this.#state;
    const rotate = (value: number, by: number): number => ((value << by) | (value >>> (32 - by))) >>> 0;
    const result = Math.imul(rotate(Math.imul(s[1]!, 5) >>> 0, 7), 9) >>> 0;
    const t = (s[1]! << 9) >>> 0;
    s[2]! ^= s[0]!;
    s[3]! ^= s[1]!;
    s[1]! ^= s[2]!;
    s[0]! ^= s[3]!;
    s[2]! ^= t;
    s[3] = rotate(s[3]!, 11);
    return result;
  }
}

function base64url(value: bigint): string {
  const hex = value.toString(16);
  return Buffer.from(hex.length % 2 === 0 ? hex : `0${hex}`, 'hex').toString('base64url');
}

/** The inverse of `a` modulo `m`; undefined when there is none. */
function inverse(a: bigint, m: bigint): bigint | undefined {
  let [r0, r1, x0, x1] = [a % m, m, 1n, 0n];
  while (r1 !== 0n) {
    const quotient = r0 / r1;
    [r0, r1] = [r1, r0 - quotient * r1];
    [x0, x1] = [x1, x0 - quotient * x1];
  }
  return r0 === 1n ? ((x0 % m) + m) % m : undefined;
}
