import { Invalid } from '../../common/errors.js';
import { isTrue } from '../../common/images/wire.js';
import type { Image } from '../../common/images/imageService.js';

const sortKeys = [
  'name',
  'status',
  'container_format',
  'disk_format',
  'size',
  'id',
  'created_at',
  'updated_at',
] as const;
type SortKey = (typeof sortKeys)[number];
const largestPage = 1000;
const defaultPage = 25;

/**
 * The page of a list which a query asks for: filters (`name`, formats, `status`, `size_min`, `size_max`, `is_public`,
 * `property-*`), `sort_key` and `sort_dir`, `marker` and `limit` (glance 2011.3, glance/registry/api/v1/images.py).
 * Throws Invalid for a value of the wrong form.
 */
export function listImages(images: readonly Image[], query: URLSearchParams): Image[] {
  const sorted = sort(filter(images, query), query);
  const marker = query.get('marker');
  let start = 0;
  if (marker !== null) {
    const position = sorted.findIndex((image) => image.id === marker);
    if (position < 0) throw new Invalid(`Invalid marker. Image ${marker.slice(0, 40)} could not be found.`);
    start = position + 1;
  }
  return sorted.slice(start, start + limitOf(query));
}

function limitOf(query: URLSearchParams): number {
  const text = query.get('limit');
  if (text === null) return defaultPage;
  if (!/^\d{1,9}$/.test(text)) throw new Invalid('limit param must be a positive integer');
  return Math.min(Number(text), largestPage);
}

function filter(images: readonly Image[], query: URLSearchParams): Image[] {
  const isPublic = query.get('is_public');
  const number = (name: string): number | undefined => {
    const text = query.get(name);
    if (text === null) return undefined;
    if (!/^\d{1,15}$/.test(text)) throw new Invalid(`${name} must be a positive integer`);
    return Number(text);
  };
  const [smallest, largest] = [number('size_min'), number('size_max')];
  return images.filter((image) => {
    if (
      isPublic === null ? !image.is_public : isPublic.toLowerCase() !== 'none' && image.is_public !== isTrue(isPublic)
    ) {
      return false;
    }
    if (smallest !== undefined && image.size < smallest) return false;
    if (largest !== undefined && image.size > largest) return false;
    for (const [key, value] of query) {
      if (key === 'name' || key === 'status' || key === 'container_format' || key === 'disk_format') {
        if (image[key] !== value) return false;
      } else if (key.startsWith('property-') && image.properties[key.slice('property-'.length)] !== value) {
        return false;
      }
    }
    return true;
  });
}

function sort(images: Image[], query: URLSearchParams): Image[] {
  const key = (query.get('sort_key') ?? 'created_at') as SortKey;
  const direction = query.get('sort_dir') ?? 'desc';
  if (!sortKeys.includes(key)) throw new Invalid(`Unsupported sort_key. Acceptable values: ${sortKeys.join(', ')}`);
  if (direction !== 'asc' && direction !== 'desc')
    throw new Invalid('Unsupported sort_dir. Acceptable values: asc, desc');
  const sign = direction === 'asc' ? 1 : -1;
  const value = (image: Image): string | number => (key === 'id' ? Number(image.id) : (image[key] ?? ''));
  const compare = (a: string | number, b: string | number): number => (a < b ? -1 : a > b ? 1 : 0);
  return images.sort((a, b) => sign * (compare(value(a), value(b)) || compare(Number(a.id), Number(b.id))));
}
