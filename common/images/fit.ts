import { ImageTooLarge } from '../errors.js';
import type { Image } from './imageService.js';

/** Throws ImageTooLarge for an image which doesn't fit a disk of so many GB (nova 2011.3, _check_image_size); 0 fits all. */
export function requireFit(image: Pick<Image, 'size'>, localGb: number | null): void {
  if (localGb !== null && localGb > 0 && image.size > localGb * 1024 ** 3) throw new ImageTooLarge();
}
