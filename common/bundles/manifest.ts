import { readXml, type XmlElement } from '../boundedXml.js';
import { Invalid } from '../errors.js';

/** A bundle's manifest is not one, or names what it must not. */
export class InvalidManifest extends Invalid {}

/** Bytes of the largest manifest, and how many parts (of 10 MiB, as bundle tools make them) it may list. */
export const manifestLimits = { bytes: 4 * 1024 * 1024, parts: 10_000 } as const;

/** One of the pieces into which the encrypted archive was cut. */
export interface BundlePart {
  /** Key in the manifest's own bucket. */
  readonly key: string;
  /** Hex; null when the manifest has none. */
  readonly sha1: string | null;
}

/** What Nova reads of a manifest (nova 2011.3, nova/image/s3.py), and the digests, which it didn't. */
export interface Manifest {
  readonly kind: 'ami' | 'aki' | 'ari';
  readonly architecture: string;
  /** Decimal ids of the image service. */
  readonly kernelId: string | null;
  readonly ramdiskId: string | null;
  readonly mappings: readonly { readonly virtual: string; readonly device: string }[];
  readonly parts: readonly BundlePart[];
  /** Hex of RSA over the hex of the key. */
  readonly encryptedKey: string;
  readonly encryptedIv: string;
  /** Bytes of the image; null when the manifest doesn't say. */
  readonly size: number | null;
  /** Bytes of all parts together. */
  readonly bundledSize: number | null;
}

/** Reads a manifest which a user uploaded. Throws InvalidManifest. */
export function parseManifest(body: Buffer): Manifest {
  const limits = { depth: 8, elements: 5 * manifestLimits.parts };
  const root = readXml(body, limits, (error) => new InvalidManifest(`The manifest can't be read: ${error.message}`));
  if (root.name !== 'manifest') throw new InvalidManifest('The document is no manifest of a bundle');
  const machine = child(root, 'machine_configuration');
  const image = child(root, 'image');
  if (image === undefined) throw new InvalidManifest('The manifest describes no image');
  const kernel = textOf(machine, 'kernel_id');
  const ramdisk = textOf(machine, 'ramdisk_id');
  const parts = descendants(image, 'filename').map(({ element, parent }) => ({
    key: partKey(element.text.trim()),
    sha1: sha1Of(parent),
  }));
  if (parts.length === 0 || parts.length > manifestLimits.parts) {
    throw new InvalidManifest(`A manifest lists 1 to ${manifestLimits.parts} parts`);
  }
  return {
    // `true` in place of an id says that the bundle is such an image itself.
    kind: kernel === 'true' ? 'aki' : ramdisk === 'true' ? 'ari' : 'ami',
    architecture: shortText(textOf(machine, 'architecture') || 'x86_64', 'architecture'),
    kernelId: imageId(kernel, 'aki'),
    ramdiskId: imageId(ramdisk, 'ari'),
    mappings: mappingsOf(machine),
    parts,
    encryptedKey: hex(textOf(image, 'ec2_encrypted_key'), 'ec2_encrypted_key'),
    encryptedIv: hex(textOf(image, 'ec2_encrypted_iv'), 'ec2_encrypted_iv'),
    size: bytes(textOf(image, 'size'), 'size'),
    bundledSize: bytes(textOf(image, 'bundled_size'), 'bundled_size'),
  };
}

function child(parent: XmlElement | undefined, name: string): XmlElement | undefined {
  return parent?.children.find((candidate) => candidate.name === name);
}

function textOf(parent: XmlElement | undefined, name: string): string {
  return child(parent, name)?.text.trim() ?? '';
}

/** Every element of this name below another, in the document's order, with the one which holds it. */
function descendants(parent: XmlElement, name: string): { element: XmlElement; parent: XmlElement }[] {
  return parent.children.flatMap((element) =>
    element.name === name ? [{ element, parent }] : descendants(element, name),
  );
}

/** A part is an object of the same bucket; 2011.3 made files of these names. */
function partKey(key: string): string {
  // eslint-disable-next-line no-control-regex -- control characters are the point
  const isUnsafe = /^\/|\\|(^|\/)\.{1,2}(\/|$)|[\u0000-\u001f\u007f]/.test(key);
  if (key === '' || isUnsafe || Buffer.byteLength(key) > 1024) {
    throw new InvalidManifest('The manifest names a part which is no plain key of its bucket');
  }
  return key;
}

function sha1Of(part: XmlElement): string | null {
  const digest = textOf(part, 'digest').toLowerCase();
  if (digest === '') return null;
  if (!/^[0-9a-f]{40}$/.test(digest)) throw new InvalidManifest('The digest of a part is no SHA-1');
  return digest;
}

function imageId(id: string, prefix: 'aki' | 'ari'): string | null {
  if (id === '' || id === 'true') return null;
  const match = new RegExp(`^${prefix}-([0-9a-f]{1,8})$`, 'i').exec(id);
  if (match === null) throw new InvalidManifest(`The manifest names an image which is no ${prefix}-…`);
  return String(parseInt(match[1]!, 16));
}

function mappingsOf(machine: XmlElement | undefined): Manifest['mappings'] {
  const mappings = (child(machine, 'block_device_mapping')?.children ?? []).filter(({ name }) => name === 'mapping');
  if (mappings.length > 100) throw new InvalidManifest('The manifest maps more than 100 devices');
  return mappings.map((mapping) => ({
    virtual: shortText(textOf(mapping, 'virtual'), 'virtual'),
    device: shortText(textOf(mapping, 'device'), 'device'),
  }));
}

function shortText(text: string, what: string): string {
  if (!/^[\x20-\x7e]{0,64}$/.test(text))
    throw new InvalidManifest(`The ${what} in the manifest is no short plain text`);
  return text;
}

function hex(text: string, what: string): string {
  // RSA of at most 8192 bits.
  if (!/^([0-9a-f]{2}){1,1024}$/i.test(text)) throw new InvalidManifest(`The ${what} in the manifest is no hex`);
  return text;
}

function bytes(text: string, what: string): number | null {
  if (text === '') return null;
  const number = /^\d{1,15}$/.test(text) ? Number(text) : NaN;
  if (!Number.isSafeInteger(number)) throw new InvalidManifest(`The ${what} in the manifest is no number of bytes`);
  return number;
}
