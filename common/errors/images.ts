/** Errors of images. */
import { NotFound, NovaError } from './base.js';

export class ImageNotFound extends NotFound {
  constructor(imageId: number | string) {
    super(`Image ${imageId} could not be found.`);
  }
}

/** No image registry could be reached. */
export class ImageServiceUnavailable extends NovaError {}
export class ImageTooLarge extends NovaError {
  constructor() {
    super('Image is larger than instance type allows');
  }
}
export class ImageUnacceptable extends NovaError {
  constructor(imageId: string, reason: string) {
    super(`Image ${imageId} is unacceptable: ${reason}`);
  }
}
