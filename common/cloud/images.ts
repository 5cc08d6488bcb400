import type { Context } from '../context.js';
import { ApiError, ImageNotFound, NotAuthorized } from '../errors.js';
import type { Image } from '../images/imageService.js';
import type { CloudParts } from './parts.js';

export type ImagePrefix = 'ami' | 'aki' | 'ari';

/** `ami`, `aki` or `ari`, by the image's container format (nova 2011.3, nova/api/ec2/cloud.py). */
export function imagePrefix(image: Pick<Image, 'container_format'>): ImagePrefix {
  if (image.container_format === 'aki' || image.container_format === 'ari') return image.container_format;
  return 'ami';
}

/** An image's EC2 id. */
export function imageEc2Id(image: Pick<Image, 'id' | 'container_format'>): string {
  return ec2ImageId(image.id, imagePrefix(image));
}

/** The registry's id as an EC2 id; one which is no integer shows as zero, as in 2011.3. */
export function ec2ImageId(id: string | null, prefix: ImagePrefix): string {
  const number = id !== null && /^\d{1,10}$/.test(id) ? Number(id) : 0;
  return `${prefix}-${number.toString(16).padStart(8, '0')}`;
}

/** `available` for an image which can be used: its property image_state, else its status (`active` is `available`). */
export function imageState(image: Image): string {
  const state = image.properties['image_state'];
  if (state != null) return state;
  return image.status === 'active' ? 'available' : image.status;
}

/** What may be said of an image. Absent is left as it is. */
export interface ImageChanges {
  readonly name?: string;
  readonly isPublic?: boolean;
  readonly description?: string;
  readonly architecture?: string;
  /** Decimal ids of the image service. */
  readonly kernelId?: string;
  readonly ramdiskId?: string;
}

/** Throws ApiError for texts which an image registry could not keep: they travel in headers. */
export function checkImageTexts(texts: {
  readonly name?: string;
  readonly description?: string;
  readonly architecture?: string;
  readonly rootDeviceName?: string;
}): void {
  for (const name of ['name', 'description', 'architecture', 'rootDeviceName'] as const) {
    const value = texts[name];
    // eslint-disable-next-line no-control-regex -- control characters are the point
    if (value !== undefined && (value.length > 255 || /[\u0000-\u001f\u007f]/.test(value))) {
      throw new ApiError(`The ${name} may have at most 255 characters, and no line breaks`, 'InvalidParameterValue');
    }
  }
}

/** The rules about images. */
export class Images {
  constructor(private readonly parts: CloudParts) {}

  /** Every image the caller sees, by ascending id. */
  list(context: Context): Promise<Image[]> {
    return this.parts.images.detail(context);
  }

  /** By the registry's decimal id. Throws ImageNotFound. */
  get(context: Context, id: string): Promise<Image> {
    return this.parts.images.show(context, id);
  }

  /**
   * By EC2 id, whose prefix must be the image's own; what is no EC2 id, or names none, is looked up as a name. Throws
   * ImageNotFound with the id as given.
   */
  async byEc2Id(context: Context, ec2Id: string): Promise<Image> {
    const match = /^(ami|aki|ari)-([0-9a-f]{1,8})$/i.exec(ec2Id);
    try {
      if (match) {
        const image = await this.get(context, String(parseInt(match[2]!, 16)));
        if (imagePrefix(image) === match[1]!.toLowerCase()) return image;
      } else {
        return await this.parts.images.showByName(context, ec2Id);
      }
    } catch (error) {
      if (!(error instanceof ImageNotFound)) throw error;
    }
    throw new ImageNotFound(ec2Id);
  }

  /** Removes an image. Only its project and administrators may. */
  async deregister(context: Context, ec2Id: string): Promise<void> {
    const image = await this.#owned(context, ec2Id);
    await this.parts.images.delete(context, image.id);
  }

  /** Makes an image public or private. Only its project and administrators may. */
  async setPublic(context: Context, ec2Id: string, isPublic: boolean): Promise<void> {
    const image = await this.#owned(context, ec2Id);
    await this.parts.images.update(context, image.id, { is_public: isPublic });
  }

  /** Changes what is said of an image. Only its project and administrators may. Answers the image as it is now. */
  async describe(context: Context, ec2Id: string, changes: ImageChanges): Promise<Image> {
    const image = await this.#owned(context, ec2Id);
    checkImageTexts(changes);
    const { name, isPublic, description, architecture, kernelId, ramdiskId } = changes;
    const properties = {
      ...(description !== undefined && { description }),
      ...(architecture !== undefined && { architecture }),
      ...(kernelId !== undefined && { kernel_id: kernelId }),
      ...(ramdiskId !== undefined && { ramdisk_id: ramdiskId }),
    };
    return this.parts.images.update(context, image.id, {
      ...(name !== undefined && { name }),
      ...(isPublic !== undefined && { is_public: isPublic }),
      properties,
    });
  }

  /** Throws ApiError unless an instance can be started from it. */
  requireAvailable(image: Image): void {
    if (imageState(image) !== 'available') throw new ApiError('Image must be available');
  }

  async #owned(context: Context, ec2Id: string): Promise<Image> {
    const image = await this.byEc2Id(context, ec2Id);
    const { project_id: project, owner_id: owner } = image.properties;
    if (!context.isAdmin && (project ?? owner) !== context.projectId) throw new NotAuthorized();
    return image;
  }
}
