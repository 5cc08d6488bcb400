import { createHash, createPublicKey } from 'node:crypto';

/** A public SSH key: its line as in authorized_keys, and MD5 over its blob, hex pairs with colons (`ssh-keygen -l` of 2011). */
export interface PublicSshKey {
  readonly line: string;
  readonly fingerprint: string;
}

/** Length-prefixed bytes (RFC 4251, section 5: string). */
function sshString(bytes: Buffer): Buffer {
  const length = Buffer.alloc(4);
  length.writeUInt32BE(bytes.length);
  return Buffer.concat([length, bytes]);
}

/** A positive number (RFC 4251, section 5: mpint): big-endian, a zero byte in front where the first bit is set. */
function mpint(bytes: Buffer): Buffer {
  return sshString(bytes[0]! & 0x80 ? Buffer.concat([Buffer.of(0), bytes]) : bytes);
}

function fingerprintOf(blob: Buffer): string {
  const hex = createHash('md5').update(blob).digest('hex');
  return hex.match(/../g)!.join(':');
}

/** An RSA public key (SPKI DER) as an OpenSSH line (RFC 4253, section 6.6) ended by a newline, as ssh-keygen writes it. */
export function rsaPublicKey(spki: Buffer, comment: string): PublicSshKey {
  const { n, e } = createPublicKey({ key: spki, format: 'der', type: 'spki' }).export({ format: 'jwk' });
  const number = (text: string | undefined): Buffer => mpint(Buffer.from(text ?? '', 'base64url'));
  const blob = Buffer.concat([sshString(Buffer.from('ssh-rsa')), number(e), number(n)]);
  return { line: `ssh-rsa ${blob.toString('base64')} ${comment}\n`, fingerprint: fingerprintOf(blob) };
}

/**
 * Reads a public key: an OpenSSH line (`TYPE BASE64 [COMMENT]`) or the block of RFC 4716. Undefined when the text is
 * neither, or its blob is not a key of the type it names. Options in front of the type are not accepted.
 */
export function parsePublicKey(text: string): PublicSshKey | undefined {
  const block = /^---- BEGIN SSH2 PUBLIC KEY ----\r?\n(.*)\r?\n---- END SSH2 PUBLIC KEY ----\s*$/s.exec(text.trim());
  if (block) {
    // Header lines (`Comment: …`, continued after a backslash) come first; the rest is base64.
    const encoded = block[1]!.replace(/^[^\n:]+:.*(?:\\\r?\n.*)*\r?\n/gm, '').replace(/\s/g, '');
    const type = typeOf(Buffer.from(encoded, 'base64'));
    return type === undefined ? undefined : parsePublicKey(`${type} ${encoded}`);
  }
  const match = /^([a-z0-9@.-]+)[ \t]+([A-Za-z0-9+/]+={0,2})(?:[ \t]+([^\r\n]*))?$/.exec(text.trim());
  if (!match) return undefined;
  const [, type, encoded, comment] = match;
  const blob = Buffer.from(encoded!, 'base64');
  if (typeOf(blob) !== type || !knownTypes.test(type!)) return undefined;
  return {
    line: comment ? `${type} ${encoded} ${comment.trim()}` : `${type} ${encoded}`,
    fingerprint: fingerprintOf(blob),
  };
}

const knownTypes =
  /^(ssh-(rsa|dss|ed25519)|ecdsa-sha2-nistp(256|384|521)|sk-(ssh-ed25519|ecdsa-sha2-nistp256)@openssh\.com)$/;

/** The type which a key's blob names; undefined when its parts don't fill it exactly. */
function typeOf(blob: Buffer): string | undefined {
  const parts: Buffer[] = [];
  let at = 0;
  while (at < blob.length) {
    if (at + 4 > blob.length) return undefined;
    const end = at + 4 + blob.readUInt32BE(at);
    if (end > blob.length) return undefined;
    parts.push(blob.subarray(at + 4, end));
    at = end;
  }
  return parts.length >= 2 ? parts[0]!.toString('latin1') : undefined;
}
