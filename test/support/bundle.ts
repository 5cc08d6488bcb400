import { createCipheriv, createHash, constants, publicEncrypt, type KeyObject } from 'node:crypto';
import { gzipSync } from 'node:zlib';

/** One member of a tar archive, as a test wants it. */
export interface TarMember {
  name: string;
  content?: Buffer;
  /** `0` for a file when absent. */
  type?: string;
  /** In place of the content's. */
  size?: number;
  linkName?: string;
}

function header({
  name,
  content = Buffer.alloc(0),
  type = '0',
  size = content.length,
  linkName = '',
}: TarMember): Buffer {
  const block = Buffer.alloc(512);
  const octal = (value: number, length: number): string => `${value.toString(8).padStart(length - 1, '0')}\0`;
  block.write(name, 0, 100, 'utf8');
  block.write(octal(0o644, 8), 100);
  block.write(octal(0, 8), 108);
  block.write(octal(0, 8), 116);
  block.write(octal(size, 12), 124);
  block.write(octal(0, 12), 136);
  block.write('        ', 148);
  block.write(type, 156);
  block.write(linkName, 157, 100, 'utf8');
  block.write('ustar  \0', 257);
  const sum = block.reduce((total, byte) => total + byte, 0);
  block.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148);
  return block;
}

/** An archive of GNU tar's form. */
export function tarOf(members: readonly TarMember[]): Buffer {
  const blocks = members.flatMap((member) => {
    const content = member.content ?? Buffer.alloc(0);
    return [header(member), content, Buffer.alloc((512 - (content.length % 512)) % 512)];
  });
  return Buffer.concat([...blocks, Buffer.alloc(1024)]);
}

export interface Bundle {
  manifest: string;
  parts: Map<string, Buffer>;
}

/** What euca-bundle-image makes of an archive: encrypted for the cloud's key, cut into parts, described by a manifest. */
export function bundleOf(options: {
  /** Before gzip. */
  tar: Buffer;
  /** Gzip'd already, in place of `tar`. */
  archive?: Buffer;
  cloudKey: KeyObject;
  imageSize?: number;
  partSize?: number;
  /** Lines in `machine_configuration`. */
  machine?: string;
  edit?: (manifest: string) => string;
}): Bundle {
  const key = Buffer.from('00112233445566778899aabbccddeeff', 'hex');
  const iv = Buffer.from('ffeeddccbbaa99887766554433221100', 'hex');
  const cipher = createCipheriv('aes-128-cbc', key, iv);
  const data = Buffer.concat([cipher.update(options.archive ?? gzipSync(options.tar)), cipher.final()]);
  const seal = (secret: Buffer): string =>
    publicEncrypt(
      { key: options.cloudKey, padding: constants.RSA_PKCS1_PADDING },
      Buffer.from(secret.toString('hex')),
    ).toString('hex');
  const partSize = options.partSize ?? 10 * 1024 * 1024;
  const parts = new Map<string, Buffer>();
  for (let at = 0; at < data.length; at += partSize) {
    parts.set(`img.part.${String(parts.size).padStart(2, '0')}`, data.subarray(at, at + partSize));
  }
  const sha1 = (part: Buffer): string => createHash('sha1').update(part).digest('hex');
  const partList = [...parts].map(
    ([name, part], index) =>
      `<part index="${index}"><filename>${name}</filename><digest algorithm="SHA1">${sha1(part)}</digest></part>`,
  );
  const size = options.imageSize === undefined ? '' : `<size>${options.imageSize}</size>`;
  const manifest =
    '<?xml version="1.0" ?><manifest><version>2007-10-10</version><bundler><name>euca-tools</name><version>1.2</version>' +
    `<release>31337</release></bundler><machine_configuration>${options.machine ?? '<architecture>x86_64</architecture>'}` +
    '</machine_configuration><image><name>img</name><user>42</user><type>machine</type><digest algorithm="SHA1">0</digest>' +
    `${size}<bundled_size>${data.length}</bundled_size><ec2_encrypted_key algorithm="AES-128-CBC">${seal(key)}` +
    `</ec2_encrypted_key><user_encrypted_key algorithm="AES-128-CBC">00</user_encrypted_key><ec2_encrypted_iv>${seal(iv)}` +
    `</ec2_encrypted_iv><user_encrypted_iv>00</user_encrypted_iv><parts count="${parts.size}">${partList.join('')}</parts>` +
    '</image><signature>00</signature></manifest>';
  return { manifest: options.edit?.(manifest) ?? manifest, parts };
}
