/** Bytes of the image: a disk of 1 MiB. */
const tinyImageSize = 1024 * 1024;

/** What the machine says when a real hypervisor boots it. */
const greeting = 'nova tiny image\r\n';

/**
 * A raw disk which boots: its boot sector prints a line through the BIOS and halts. It holds nothing else, so that it
 * can be made on the spot.
 */
export function tinyImage(): Buffer {
  const disk = Buffer.alloc(tinyImageSize);
  const loadedAt = 0x7c00;
  const code = Buffer.from([
    ...[0x31, 0xc0], // xor ax, ax
    ...[0x8e, 0xd8], // mov ds, ax
    ...[0xbe, 0x00, 0x00], // mov si, text (filled in below)
    0xfc, // cld
    0xac, // next: lodsb
    ...[0x84, 0xc0], // test al, al
    ...[0x74, 0x09], // jz done
    ...[0xb4, 0x0e], // mov ah, 0x0e
    ...[0xbb, 0x07, 0x00], // mov bx, 7
    ...[0xcd, 0x10], // int 0x10: teletype output
    ...[0xeb, 0xf2], // jmp next
    0xf4, // done: hlt
    ...[0xeb, 0xfd], // jmp done
  ]);
  code.writeUInt16LE(loadedAt + code.length, 5);
  code.copy(disk);
  disk.write(greeting, code.length, 'latin1');
  disk.writeUInt16LE(0xaa55, 510);
  return disk;
}
