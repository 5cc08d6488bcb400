import type { Image, ImageFields } from './imageService.js';
import type { DbTime } from '../time.js';

/**
 * Glance's HTTP API v1 (glance 2011.3: `x-image-meta-*` headers and JSON): how an image is written and read. Used by the
 * registry and by its client.
 */
const propertyPrefix = 'x-image-meta-property-';
const metaPrefix = 'x-image-meta-';

/** A row's time as Glance writes it: `YYYY-MM-DDTHH:MM:SS`. */
function glanceTime(time: DbTime | null): string | null {
  return time === null ? null : `${time.slice(0, 10)}T${time.slice(11)}`;
}

/** Headers which describe an image; what is null is an empty header. Values are percent-encoded where not printable ASCII. */
export function imageHeaders(image: Image): Record<string, string> {
  const base: Record<string, string | number | boolean | null> = {
    id: image.id,
    name: image.name,
    status: image.status,
    is_public: image.is_public ? 'True' : 'False',
    deleted: image.deleted ? 'True' : 'False',
    size: image.size,
    location: image.location,
    disk_format: image.disk_format,
    container_format: image.container_format,
    checksum: image.checksum,
    created_at: glanceTime(image.created_at),
    updated_at: glanceTime(image.updated_at),
    deleted_at: glanceTime(image.deleted_at),
  };
  return {
    ...Object.fromEntries(Object.entries(base).map(([key, value]) => [metaPrefix + key, headerText(value)])),
    ...propertyHeaders(image.properties),
  };
}

/** Headers for what a caller wants to set. */
export function fieldHeaders(fields: ImageFields): Record<string, string> {
  const headers: Record<string, string> = {};
  for (const key of ['name', 'disk_format', 'container_format'] as const) {
    if (fields[key] !== undefined) headers[metaPrefix + key] = headerText(fields[key]);
  }
  if (fields.is_public !== undefined) headers[`${metaPrefix}is_public`] = fields.is_public ? 'True' : 'False';
  return { ...headers, ...propertyHeaders(fields.properties ?? {}) };
}

function propertyHeaders(properties: Readonly<Record<string, string | null>>): Record<string, string> {
  return Object.fromEntries(
    Object.entries(properties).map(([key, value]) => [propertyPrefix + key.toLowerCase(), headerText(value)]),
  );
}

function headerText(value: string | number | boolean | null): string {
  if (value === null) return '';
  // A header can carry printable ASCII alone; UTF-8 bytes travel as latin-1 characters, as Python 2 clients sent them.
  return Buffer.from(String(value).replace(/[\r\n\0]+/g, ' '), 'utf8').toString('latin1');
}

/** Text of a header back from UTF-8 bytes; null when empty. */
function fromHeader(value: string): string | null {
  if (value === '') return null;
  const decoded = Buffer.from(value, 'latin1').toString('utf8');
  return decoded.includes('\uFFFD') ? value : decoded;
}

/** The `x-image-meta-*` headers of a request or answer: base attributes and properties (`-` in a key becomes `_`). */
export function readImageHeaders(headers: Iterable<readonly [string, string]>): {
  meta: Record<string, string | null>;
  properties: Record<string, string | null>;
} {
  // Without prototype: `__proto__` is a name like any other.
  const meta = Object.create(null) as Record<string, string | null>;
  const properties = Object.create(null) as Record<string, string | null>;
  for (const [rawName, value] of headers) {
    const name = rawName.toLowerCase();
    if (name.startsWith(propertyPrefix)) {
      properties[name.slice(propertyPrefix.length).replaceAll('-', '_')] = fromHeader(value);
    } else if (name.startsWith(metaPrefix)) {
      meta[name.slice(metaPrefix.length).replaceAll('-', '_')] = fromHeader(value);
    }
  }
  return { meta, properties };
}

/** True for the texts which Glance takes as yes. */
export function isTrue(text: string | null | undefined): boolean {
  return text != null && ['true', 't', '1', 'on', 'yes'].includes(text.toLowerCase());
}

/** An image as JSON in a list or in an answer to a change. */
export function imageJson(image: Image): Record<string, unknown> {
  return {
    ...image,
    id: Number(image.id),
    created_at: glanceTime(image.created_at),
    updated_at: glanceTime(image.updated_at),
    deleted_at: glanceTime(image.deleted_at),
  };
}

/** The few fields of a short list. */
export function briefImageJson(image: Image): Record<string, unknown> {
  const { name, disk_format, container_format, size, checksum } = image;
  return { id: Number(image.id), name, disk_format, container_format, size, checksum };
}

/** An image out of base attributes as text or JSON values, from a Glance of any age. */
export function readImage(raw: Readonly<Record<string, unknown>>, properties: Record<string, string | null>): Image {
  const text = (key: string): string | null => {
    const value = raw[key];
    return value === null || value === undefined || value === '' ? null : String(value);
  };
  const yes = (key: string): boolean => raw[key] === true || isTrue(text(key));
  const time = (key: string): DbTime | null => text(key)?.replace('T', ' ').replace('Z', '') ?? null;
  return {
    id: text('id') ?? '',
    name: text('name'),
    status: text('status') ?? '',
    is_public: yes('is_public'),
    deleted: yes('deleted'),
    size: Number(text('size') ?? 0),
    location: null,
    disk_format: text('disk_format'),
    container_format: text('container_format'),
    checksum: text('checksum'),
    created_at: time('created_at'),
    updated_at: time('updated_at'),
    deleted_at: time('deleted_at'),
    properties,
  };
}
