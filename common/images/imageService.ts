import type { Context } from '../context.js';
import type { DbTime } from '../time.js';

/** An image as Glance 2011.3 describes it (API v1). Properties are always text. */
export interface Image {
  /** Decimal text; Nova shows it to EC2 as `ami-%08x`. */
  id: string;
  name: string | null;
  /** queued, saving, active, killed, deleted, pending_delete. */
  status: string;
  is_public: boolean;
  deleted: boolean;
  /** Bytes. */
  size: number;
  location: string | null;
  disk_format: string | null;
  container_format: string | null;
  /** MD5, hex. */
  checksum: string | null;
  created_at: DbTime | null;
  updated_at: DbTime | null;
  deleted_at: DbTime | null;
  properties: Record<string, string | null>;
}

/** What a caller may set. */
export interface ImageFields {
  name?: string | null;
  is_public?: boolean;
  disk_format?: string | null;
  container_format?: string | null;
  properties?: Record<string, string | null>;
}

/**
 * Images, wherever they are kept (flag image_service; the only one is Glance's HTTP API v1, `glance_api_servers`). Calls
 * see only what the context may see: public images, those of its project (property project_id, else user_id), all for an
 * administrator. Errors: ImageNotFound, NotAuthorized, Invalid, ImageServiceUnavailable.
 */
export interface ImageService {
  /** Every visible image, by ascending id. */
  detail(context: Context): Promise<Image[]>;
  show(context: Context, id: string): Promise<Image>;
  /** The image whose name this is; the first of several. */
  showByName(context: Context, name: string): Promise<Image>;
  /** The bits, as they come in. */
  download(context: Context, id: string): Promise<ReadableStream<Uint8Array>>;
  /** Registers an image, with its bits when `data` is given. Answers what the service stored. */
  create(context: Context, fields: ImageFields, data?: ReadableStream<Uint8Array>): Promise<Image>;
  /** Changes what is named; properties which are not named stay. */
  update(context: Context, id: string, fields: ImageFields, data?: ReadableStream<Uint8Array>): Promise<Image>;
  delete(context: Context, id: string): Promise<void>;
}
