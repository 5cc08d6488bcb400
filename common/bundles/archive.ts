import { pipeline, Readable } from 'node:stream';
import { createGunzip } from 'node:zlib';
import { Invalid } from '../errors.js';
import { ByteReader } from './byteReader.js';

/** The archive in a bundle is no archive, or one which we don't unpack. */
export class InvalidArchive extends Invalid {}

const block = 512;
/** Bytes of a header's extension (a long name), how many headers may come before the image, and holes of a sparse one. */
const limits = { extension: 64 * 1024, headers: 32, holes: 1_000_000 } as const;

/**
 * The image in a gzip'd tar archive: its first regular member, as it comes; what follows is never read (nova 2011.3,
 * nova/image/s3.py _untarzip_image). The archive is somebody's upload: names make no paths, links and devices are
 * refused, and nothing is unpacked beyond `limit` bytes, holes included. Throws InvalidArchive.
 */
export async function* imageInArchive(
  source: AsyncIterable<Uint8Array>,
  options: { limit: number; expected: number | null },
): AsyncIterable<Uint8Array> {
  const gunzip = createGunzip();
  const input = Readable.from(source, { objectMode: false });
  // The pipeline's error comes out of the reader as well.
  pipeline(input, gunzip, () => undefined);
  const reader = new ByteReader(gunzip);
  try {
    const member = await findImage(reader);
    if (member.size > options.limit || member.stored > options.limit) {
      throw new InvalidArchive(`The image has more than ${options.limit} bytes (flag bundle_max_size)`);
    }
    if (options.expected !== null && member.size !== options.expected) {
      throw new InvalidArchive(`The image has ${member.size} bytes, its manifest says ${options.expected}`);
    }
    yield* contentOf(reader, member);
  } catch (error) {
    if (error instanceof Invalid) throw error;
    throw new InvalidArchive('The archive of the bundle is damaged');
  } finally {
    reader.close();
    input.destroy();
  }
}

interface Member {
  /** Bytes which it has in the archive, and unpacked. */
  readonly stored: number;
  readonly size: number;
  /** Where the stored bytes belong; everything between is zeros. */
  readonly pieces: readonly { readonly offset: number; readonly length: number }[];
}

async function findImage(reader: ByteReader): Promise<Member> {
  for (let count = 0; count < limits.headers; count++) {
    const header = await reader.exactly(block);
    if (header.every((byte) => byte === 0)) break;
    checkSum(header);
    const type = String.fromCharCode(header[156]!);
    const stored = numberAt(header, 124, 12);
    refuseUnsafe(nameOf(header));
    switch (type) {
      case '0':
      case '\0':
      case '7':
        return { stored, size: stored, pieces: [{ offset: 0, length: stored }] };
      case 'S':
        return sparseMember(reader, header, stored);
      case '5':
        if (stored !== 0) throw new InvalidArchive('A folder of the archive has content');
        break;
      case 'L':
      case 'K':
      case 'x':
      case 'g':
        checkExtension(type, await extension(reader, stored));
        break;
      default:
        throw new InvalidArchive('The archive begins with what is neither a file nor a folder');
    }
  }
  throw new InvalidArchive('The archive has no image');
}

async function extension(reader: ByteReader, size: number): Promise<string> {
  if (size > limits.extension) throw new InvalidArchive('A header of the archive is too long');
  const padded = await reader.exactly(Math.ceil(size / block) * block);
  return padded.subarray(0, size).toString('utf8');
}

/** A long name, or records `LENGTH key=value` of POSIX. */
function checkExtension(type: string, text: string): void {
  if (type === 'L') refuseUnsafe(text.replace(/\0.*$/s, ''));
  if (type !== 'x' && type !== 'g') return;
  for (const [, key, value] of text.matchAll(/^\d+ ([^=\n]+)=(.*)$/gm)) {
    if (key === 'path') refuseUnsafe(value!);
    // Size or form of what follows would be another than its header says.
    if (key === 'size' || key!.startsWith('GNU.sparse')) {
      throw new InvalidArchive(`The archive uses the extension ${key!.slice(0, 40)}, which is not supported`);
    }
  }
}

/** GNU's sparse files of old, which `tar -S` of the bundle tools makes: a map of pieces, then their bytes. */
async function sparseMember(reader: ByteReader, header: Buffer, stored: number): Promise<Member> {
  const pieces: { offset: number; length: number }[] = [];
  const read = (from: Buffer, at: number, count: number): void => {
    for (let index = 0; index < count; index++) {
      const place = at + index * 24;
      if (from[place] === 0) return;
      pieces.push({ offset: numberAt(from, place, 12), length: numberAt(from, place + 12, 12) });
    }
  };
  read(header, 386, 4);
  for (let more = header[482] !== 0; more;) {
    const next = await reader.exactly(block);
    read(next, 0, 21);
    if (pieces.length > limits.holes) throw new InvalidArchive('The image has too many holes');
    more = next[504] !== 0;
  }
  const size = numberAt(header, 483, 12);
  let end = 0;
  let sum = 0;
  for (const { offset, length } of pieces) {
    if (offset < end || offset + length > size) throw new InvalidArchive('The map of the sparse image makes no sense');
    end = offset + length;
    sum += length;
  }
  if (sum !== stored) throw new InvalidArchive('The map of the sparse image makes no sense');
  return { stored, size, pieces };
}

async function* contentOf(reader: ByteReader, member: Member): AsyncIterable<Uint8Array> {
  let at = 0;
  for (const { offset, length } of member.pieces) {
    yield* zeros(offset - at);
    yield* reader.upTo(length);
    at = offset + length;
  }
  yield* zeros(member.size - at);
}

function* zeros(count: number): Iterable<Uint8Array> {
  const some = Buffer.alloc(Math.min(count, 64 * 1024));
  for (let left = count; left > 0; left -= some.length) yield some.subarray(0, Math.min(left, some.length));
}

/** Octal text, or with the first bit set a number of base 256 (GNU). */
function numberAt(header: Buffer, at: number, length: number): number {
  const field = header.subarray(at, at + length);
  let number: number;
  if ((field[0]! & 0x80) !== 0) {
    number = field.subarray(length - 6).readUIntBE(0, 6);
    if (field[0] !== 0x80 || field.subarray(1, length - 6).some((byte) => byte !== 0)) number = NaN;
  } else {
    const text = field.toString('latin1').replace(/\0.*$/s, '').trim();
    number = /^[0-7]*$/.test(text) ? parseInt(text || '0', 8) : NaN;
  }
  if (!Number.isSafeInteger(number)) throw new InvalidArchive('A number in the archive makes no sense');
  return number;
}

function checkSum(header: Buffer): void {
  let sum = 0;
  for (const [at, byte] of header.entries()) sum += at >= 148 && at < 156 ? 0x20 : byte;
  if (numberAt(header, 148, 8) !== sum) throw new InvalidArchive('The bundle holds no tar archive');
}

function nameOf(header: Buffer): string {
  const text = (at: number, length: number): string =>
    header
      .subarray(at, at + length)
      .toString('utf8')
      .replace(/\0.*$/s, '');
  const isPosix = header.subarray(257, 263).toString('latin1') === 'ustar\0';
  const prefix = isPosix ? text(345, 155) : '';
  return prefix === '' ? text(0, 100) : `${prefix}/${text(0, 100)}`;
}

/** Names are not used; an archive which would write outside of its folder is nothing that bundle tools make. */
function refuseUnsafe(name: string): void {
  if (/^\/|\\|(^|\/)\.\.(\/|$)/.test(name)) throw new InvalidArchive('Unsafe filenames in image');
}
