import { expect } from 'chai';
import { gzipSync } from 'node:zlib';
import { imageInArchive } from '../../../common/bundles/archive.js';
import { parseManifest } from '../../../common/bundles/manifest.js';
import { tarOf, type TarMember } from '../../support/bundle.js';

const limit = 1_000_000;

/** The bytes which come out of an archive, or what it was refused for. */
async function unpack(archive: Buffer, expected: number | null = null): Promise<string> {
  let size = 0;
  try {
    // In pieces, as a network has them.
    const pieces = Array.from({ length: Math.ceil(archive.length / 1000) }, (_, at) =>
      archive.subarray(at * 1000, (at + 1) * 1000),
    );
    const source = (async function* () {
      yield* pieces;
    })();
    for await (const piece of imageInArchive(source, { limit, expected })) size += piece.length;
    expect(size, 'unpacked bytes').to.be.at.most(limit);
    return `${size} bytes`;
  } catch (error) {
    expect(size, 'bytes before the refusal').to.be.at.most(limit);
    return `${(error as Error).name}: ${(error as Error).message}`;
  }
}

const file = { name: 'img', content: Buffer.from('image') };
const packed = (...members: TarMember[]): Buffer => gzipSync(tarOf(members));
/** A record of a POSIX extended header. */
const record = (key: string, value: string): Buffer => {
  const rest = ` ${key}=${value}\n`;
  let length = rest.length;
  while (`${length}${rest}`.length !== length) length++;
  return Buffer.from(`${length}${rest}`);
};

/** A header which is changed, with a checksum which is right again. */
function changed(member: TarMember, change: (header: Buffer) => void, rest: Buffer = Buffer.alloc(0)): Buffer {
  const tar = tarOf([member]);
  const header = tar.subarray(0, 512);
  change(header);
  header.write('        ', 148);
  header.write(
    `${header
      .reduce((sum, byte) => sum + byte, 0)
      .toString(8)
      .padStart(6, '0')}\0 `,
    148,
  );
  return gzipSync(Buffer.concat([header, rest, tar.subarray(512)]));
}
const octal = (value: number): string => `${value.toString(8).padStart(11, '0')}\0`;
/** A sparse file of old GNU form, of so many bytes, with pieces of (offset, length). */
const sparse = (size: number, pieces: readonly (readonly [number, number])[], content: Buffer): Buffer =>
  changed({ name: 'img', type: 'S', content }, (header) => {
    pieces.forEach(([offset, length], at) => {
      header.write(octal(offset), 386 + 24 * at);
      header.write(octal(length), 398 + 24 * at);
    });
    header.write(octal(size), 483);
  });

describe('hostile archives in bundles', () => {
  it('are refused, each for what it is', async () => {
    const zeros = Buffer.alloc(2 * limit);
    const unsafe = 'InvalidArchive: Unsafe filenames in image';
    const tooLarge = /^InvalidArchive: The image has more than/;
    const damaged =
      /^InvalidArchive: The (archive of the bundle is damaged|bundle holds no tar archive|archive has no image)/;
    for (const [what, archive, wish] of [
      ['a zip bomb', packed({ name: 'img', content: zeros }), tooLarge],
      [
        'bombs one after the other',
        Buffer.concat([packed(file), ...Array.from({ length: 50 }, () => gzipSync(zeros))]),
        '5 bytes',
      ],
      [
        'a bomb of gzip members before the image',
        Buffer.concat(Array.from({ length: 50 }, () => gzipSync(zeros))),
        damaged,
      ],
      ['a gzip in a gzip', gzipSync(packed(file)), damaged],
      ['a zip archive', Buffer.from('PK\x03\x04'.repeat(200), 'latin1'), damaged],
      ['holes beyond the limit', sparse(2 ** 32, [[0, 5]], Buffer.from('image')), tooLarge],
      ['holes within the limit', sparse(limit, [[999_995, 5]], Buffer.from('image')), `${limit} bytes`],
      [
        'a map which goes back',
        sparse(
          100,
          [
            [50, 2],
            [0, 3],
          ],
          Buffer.from('image'),
        ),
        /map of the sparse image/,
      ],
      ['a map beyond its end', sparse(10, [[8, 5]], Buffer.from('image')), /map of the sparse image/],
      ['a map of other bytes', sparse(100, [[0, 50]], Buffer.from('image')), /map of the sparse image/],
      [
        'a size below zero',
        changed(file, (header) => header.fill(0xff, 124, 136)),
        /number in the archive makes no sense/,
      ],
      [
        'a size beyond numbers',
        changed(file, (header) => header.fill(0x80, 124, 136)),
        /number in the archive makes no sense/,
      ],
      [
        'a size of no digits',
        changed(file, (header) => header.write('99999999999\0', 124)),
        /number in the archive makes no sense/,
      ],
      ['a size beyond all', changed(file, (header) => header.write('77777777777\0', 124)), tooLarge],
      [
        'a wrong checksum',
        gzipSync(Buffer.from(tarOf([file]).map((byte, at) => (at === 0 ? byte ^ 1 : byte)))),
        damaged,
      ],
      ['a path upwards', packed({ ...file, name: 'a/../../b' }), unsafe],
      [
        'a path upwards in the prefix',
        changed(file, (header) => {
          header.write('ustar\x0000', 257, 'latin1');
          header.write('../..', 345);
        }),
        unsafe,
      ],
      ['a backslash', packed({ ...file, name: '..\\..\\windows' }), unsafe],
      ['an absolute path', packed({ ...file, name: '/etc/passwd' }), unsafe],
      ['two dots alone', packed({ ...file, name: '..' }), unsafe],
      ['a folder upwards', packed({ name: '../', type: '5' }, file), unsafe],
      [
        'a long name upwards',
        packed({ name: '././@LongLink', type: 'L', content: Buffer.from('../'.repeat(50) + 'x\0') }, file),
        unsafe,
      ],
      [
        'a name in a POSIX header',
        packed({ name: 'x', type: 'x', content: record('path', '../../etc/passwd') }, file),
        unsafe,
      ],
      [
        'another size in a POSIX header',
        packed({ name: 'x', type: 'x', content: record('size', '99999999999') }, file),
        /extension size/,
      ],
      [
        'holes in a POSIX header',
        packed({ name: 'x', type: 'x', content: record('GNU.sparse.realsize', '9'.repeat(12)) }, file),
        /extension GNU\.sparse/,
      ],
      ['a global POSIX header', packed({ name: 'x', type: 'g', content: record('path', '/etc/passwd') }, file), unsafe],
      [
        'a long header',
        packed({ name: 'x', type: 'L', content: Buffer.alloc(70_000, 'x') }, file),
        /header of the archive is too long/,
      ],
      [
        'headers without end',
        packed(...Array.from({ length: 100 }, () => ({ name: 'x', type: 'L', content: Buffer.from('x') })), file),
        /archive has no image/,
      ],
      [
        'folders without end',
        packed(...Array.from({ length: 100 }, (_, at) => ({ name: `d${at}/`, type: '5' })), file),
        /archive has no image/,
      ],
      [
        'a folder with content',
        packed({ name: 'd/', type: '5', content: Buffer.from('x') }, file),
        /folder of the archive has content/,
      ],
      ...['1', '2', '3', '4', '6', 'M', 'V', 'X'].map(
        (type) =>
          [
            `a member of type ${type}`,
            packed({ ...file, type, linkName: '/etc/shadow' }),
            /neither a file nor a folder/,
          ] as const,
      ),
      ['the image itself', packed(file), '5 bytes'],
    ] as const) {
      const seen = await unpack(archive);
      if (typeof wish === 'string') expect(seen, what).to.equal(wish);
      else expect(seen, what).to.match(wish);
    }
  });
});

describe('hostile manifests', () => {
  const part = (name: string): string => `<part index="0"><filename>${name}</filename></part>`;
  const manifest = (parts: string, head = ''): string =>
    `<?xml version="1.0"?>${head}<manifest><machine_configuration><architecture>x86_64</architecture></machine_configuration>` +
    `<image><ec2_encrypted_key>00</ec2_encrypted_key><ec2_encrypted_iv>00</ec2_encrypted_iv><parts>${parts}</parts></image></manifest>`;
  const outcome = (body: string | Buffer): Promise<string> =>
    Promise.resolve(Buffer.from(body as string))
      .then(parseManifest)
      .then(
        ({ parts }) => parts.map(({ key }) => key).join(),
        (error: unknown) => `${(error as Error).name}: ${(error as Error).message}`,
      );

  it('grow nothing and fetch nothing', async () => {
    const laughs = Array.from({ length: 10 }, (_, at) => `<!ENTITY l${at + 1} "${`&l${at};`.repeat(10)}">`).join('');
    const good = manifest(part('p'));
    for (const [what, body] of [
      ['a billion laughs', manifest(part('&l10;'), `<!DOCTYPE m [<!ENTITY l0 "ha">${laughs}]>`)],
      [
        'one long entity often',
        manifest(part('&a;'.repeat(1000)), `<!DOCTYPE m [<!ENTITY a "${'a'.repeat(100_000)}">]>`),
      ],
      ['a file as entity', manifest(part('&f;'), '<!DOCTYPE m [<!ENTITY f SYSTEM "file:///etc/passwd">]>')],
      ['a file as document type', manifest(part('p'), '<!DOCTYPE m SYSTEM "http://127.0.0.1:1/m.dtd">')],
      ['a parameter entity', manifest(part('p'), '<!DOCTYPE m [<!ENTITY % p SYSTEM "http://127.0.0.1:1/"> %p;]>')],
      ['a document type in small letters', manifest(part('p'), '<!doctype m []>')],
      ['an entity which nobody defined', manifest(part('&f;'))],
      ['UTF-16 with its mark', Buffer.concat([Buffer.from([0xff, 0xfe]), Buffer.from(good, 'utf16le')])],
      ['UTF-16 without', Buffer.from(good, 'utf16le')],
      ['UTF-7', good.replace('?>', ' encoding="UTF-7"?>').replace('<manifest>', '+ADw-manifest+AD4-')],
      ['depth', `${'<a>'.repeat(100_000)}${'</a>'.repeat(100_000)}`],
      ['depth which does not end', '<a>'.repeat(100_000)],
      ['many elements', manifest(part('p').repeat(60_000))],
      ['many empty elements', manifest('<x/>'.repeat(200_000))],
      ['too many parts', manifest(part('p').repeat(10_001))],
      [
        'bytes which are no UTF-8',
        Buffer.concat([Buffer.from(good.slice(0, -20)), Buffer.from([0xc0, 0xae]), Buffer.from(good.slice(-20))]),
      ],
      ['a NUL', manifest(part('p\0'))],
      ['a second root', `${good}<manifest/>`],
      ['the same twice', good + good.slice(good.indexOf('<manifest>'))],
      ['text behind the end', `${good}garbage`],
      ['an end tag too many', `${good}</manifest>`],
      ['text before the root', good.replace('?>', '?>garbage')],
      ['nothing', ''],
    ] as const) {
      expect(await outcome(body), what).to.match(/^InvalidManifest: /);
    }
    const many = Array.from({ length: 50_000 }, (_, at) => ` a${at}="x"`).join('');
    for (const harmless of [
      good,
      // What may follow a document.
      `\ufeff${good}\n<!-- the end -->\n<?done?>\n`,
      good.replace('<image>', `<image${many}>`),
      good.replace('<parts>', `<!--${'-'.repeat(100_000).replace(/--/g, '- ')}--><parts>`),
      good.replace(
        '<parts>',
        `<xi:include xmlns:xi="http://www.w3.org/2001/XInclude" href="file:///etc/passwd"/><parts>`,
      ),
      good.replace('<filename>p<', '<filename><![CDATA[p]]><'),
    ]) {
      expect(await outcome(harmless)).to.equal('p');
    }
  });

  it('name parts of their own bucket alone', async () => {
    for (const name of [
      ...['..', '.', './p', 'a/..', '../other/p', 'a/../../p', '/etc/passwd', '//p', 'a/./p', 'a\\p', '..\\p', 'C:\\p'],
      ...['', ' ', '&#10;', 'a&#10;b', 'a&#127;', 'x'.repeat(1025), '\u2603'.repeat(342), '&#0;', '&#xd800;'],
    ]) {
      expect(await outcome(manifest(part(name))), JSON.stringify(name)).to.match(/^InvalidManifest: /);
    }
    // Nobody decodes a name: these are keys as any other.
    for (const name of [
      '%2e%2e/p',
      '%2e%2e%2fp',
      '..%00',
      '\uff0e\uff0e/p',
      '...',
      '..p',
      'p..',
      'dir/p',
      '.nova/objects/p',
    ]) {
      expect(await outcome(manifest(part(name))), name).to.equal(name);
    }
  });
});
