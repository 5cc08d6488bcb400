/** One file of an archive. */
export interface ZipEntry {
  readonly name: string;
  readonly data: string | Buffer;
  /** Permission bits; 0o644 when absent. */
  readonly mode?: number;
}

/** CRC-32 of ISO 3309, bit by bit: the archives made here have a few kilobytes. */
function crc32(data: Buffer): number {
  let crc = 0xffffffff;
  for (const byte of data) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ 0xedb88320 : crc >>> 1;
  }
  return (crc ^ 0xffffffff) >>> 0;
}

/** Date and time as MS-DOS kept them, in UTC; never before 1980. */
function dosTime(ms: number): { date: number; time: number } {
  // eslint-disable-next-line no-restricted-syntax -- takes a given time apart, reads no clock
  const at = new Date(Math.max(ms, Date.UTC(1980, 0, 1)));
  return {
    date: ((at.getUTCFullYear() - 1980) << 9) | ((at.getUTCMonth() + 1) << 5) | at.getUTCDate(),
    time: (at.getUTCHours() << 11) | (at.getUTCMinutes() << 5) | (at.getUTCSeconds() >> 1),
  };
}

const utf8Names = 0x0800;
const madeByUnix = (3 << 8) | 20;

/**
 * A ZIP archive of these entries in this order, stored without compression (PKWARE APPNOTE 6.3, sections 4.3.7, 4.3.12,
 * 4.3.16). `modified` is the time of every entry, in milliseconds since the epoch.
 */
export function storedZip(entries: readonly ZipEntry[], modified: number): Buffer {
  const { date, time } = dosTime(modified);
  const files: Buffer[] = [];
  const directory: Buffer[] = [];
  let offset = 0;
  for (const entry of entries) {
    const [name, data] = [Buffer.from(entry.name), Buffer.from(entry.data)];
    // What the header of the file and that of the directory have in common: version, flags, method, time, sums, lengths.
    const common = Buffer.alloc(26);
    common.writeUInt16LE(20, 0);
    common.writeUInt16LE(utf8Names, 2);
    common.writeUInt16LE(0, 4);
    common.writeUInt16LE(time, 6);
    common.writeUInt16LE(date, 8);
    common.writeUInt32LE(crc32(data), 10);
    common.writeUInt32LE(data.length, 14);
    common.writeUInt32LE(data.length, 18);
    common.writeUInt16LE(name.length, 22);
    const attributes = Buffer.alloc(14);
    attributes.writeUInt32LE(((0o100000 | (entry.mode ?? 0o644)) << 16) >>> 0, 6);
    attributes.writeUInt32LE(offset, 10);
    directory.push(Buffer.from('PK\x01\x02', 'latin1'), word(madeByUnix), common, attributes, name);
    const file = [Buffer.from('PK\x03\x04', 'latin1'), common, name, data];
    files.push(...file);
    offset += file.reduce((sum, part) => sum + part.length, 0);
  }
  const size = directory.reduce((sum, part) => sum + part.length, 0);
  const end = Buffer.alloc(22);
  end.write('PK\x05\x06', 'latin1');
  end.writeUInt16LE(entries.length, 8);
  end.writeUInt16LE(entries.length, 10);
  end.writeUInt32LE(size, 12);
  end.writeUInt32LE(offset, 16);
  return Buffer.concat([...files, ...directory, end]);
}

function word(value: number): Buffer {
  const buffer = Buffer.alloc(2);
  buffer.writeUInt16LE(value, 0);
  return buffer;
}
