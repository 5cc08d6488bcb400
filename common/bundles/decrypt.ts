import { constants, createDecipheriv, privateDecrypt } from 'node:crypto';
import { Invalid } from '../errors.js';
import type { Random } from '../runtime/runtime.js';
import type { Manifest } from './manifest.js';

/** The bundle was not made for this cloud, or is not whole. */
export class UndecryptableBundle extends Invalid {
  constructor() {
    super('The bundle cannot be decrypted: it was not encrypted for this cloud, or is not whole');
  }
}

/** Key and initialization vector of the archive, AES-128-CBC. */
export interface BundleKeys {
  readonly key: Buffer;
  readonly iv: Buffer;
}

/**
 * The keys which a manifest holds for the owner of the cloud's private key (PEM): RSA PKCS#1 v1.5 over hex digits. Where
 * they can't be had, random ones: what goes wrong then goes wrong later and in the same way, so that nobody learns from
 * our answers what the private key makes of a text of his choice (RFC 8017, 7.2.2).
 */
export function bundleKeys(manifest: Manifest, privateKey: string, random: Random): BundleKeys {
  const open = (encrypted: string): Buffer => {
    const opened = unpadded(encrypted, privateKey)?.toString('latin1').trim() ?? '';
    // The era's openssl fills short hex up with zeros on the right.
    return /^[0-9a-f]{1,32}$/i.test(opened) ? Buffer.from(opened.padEnd(32, '0'), 'hex') : random.bytes(16);
  };
  return { key: open(manifest.encryptedKey), iv: open(manifest.encryptedIv) };
}

/** What RSA hides behind a padding of type 2; null when there is none. */
function unpadded(encrypted: string, privateKey: string): Buffer | null {
  let block: Buffer;
  try {
    const options = { key: privateKey, padding: constants.RSA_NO_PADDING };
    block = privateDecrypt(options, Buffer.from(encrypted, 'hex'));
  } catch {
    return null;
  }
  const end = block.indexOf(0, 2);
  return block[0] === 0 && block[1] === 2 && end >= 10 ? block.subarray(end + 1) : null;
}

/** Decrypts the archive as it comes. Throws UndecryptableBundle at its end when the padding (PKCS#7) is wrong. */
export async function* decrypted(source: AsyncIterable<Uint8Array>, keys: BundleKeys): AsyncIterable<Uint8Array> {
  const cipher = createDecipheriv('aes-128-cbc', keys.key, keys.iv);
  for await (const chunk of source) yield cipher.update(chunk);
  let last: Buffer;
  try {
    last = cipher.final();
  } catch {
    throw new UndecryptableBundle();
  }
  yield last;
}
