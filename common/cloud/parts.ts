import type { Db } from '../db/db.js';
import type { ImageService } from '../images/imageService.js';
import type { Rpc } from '../rpc/rpc.js';
import type { Runtime } from '../runtime/runtime.js';

/** What every rule works with. */
export interface CloudParts {
  readonly runtime: Runtime;
  readonly db: Db;
  readonly rpc: Rpc;
  readonly images: ImageService;
}
