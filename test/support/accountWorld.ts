import { AdminWorld, adminRequestOf } from './adminRequests.js';
import type { ApiCloud } from './apiCloud.js';
import { DemoWorld, requestOf, type RequestParams } from './apiRequests.js';
import type { Namespace } from './authorizationTable.js';

/** What the requests to one endpoint are about. */
export interface AccountWorld {
  /** A request of an action which may succeed, after all which it needs was made. */
  request(action: string): Promise<RequestParams>;
}

/** The things at both endpoints. */
export function accountWorld(cloud: ApiCloud): Record<Namespace, AccountWorld> {
  const [demo, accounts] = [new DemoWorld(cloud), new AdminWorld(cloud)];
  return {
    Cloud: { request: async (action) => requestOf(action, await demo.renew()) },
    Admin: { request: async (action) => adminRequestOf(action, await accounts.renew()) },
  };
}

/**
 * Registers the image of cloudpipes, which the flag vpn_image_id names before there is one: the first image after the
 * cloud's own. (Instances of it are hidden from their projects, so that it can't be an image which others use.)
 */
export async function cloudpipeImage(cloud: ApiCloud, id: number): Promise<void> {
  const image = await cloud.images.create(
    cloud.adminContext(),
    { name: 'cloudpipe', disk_format: 'raw', container_format: 'bare', is_public: true },
    new Blob(['cloudpipe']).stream() as ReadableStream<Uint8Array>,
  );
  if (Number(image.id) !== id) throw new Error(`The image of cloudpipes is ${image.id}, not ${id}`);
}
