import { AdminWorld, adminRequestOf } from './adminRequests.js';
import type { Answer } from './apiCaller.js';
import { type Belongings, requestOf, type RequestParams } from './apiRequests.js';
import type { Namespace } from './authorizationTable.js';
import { DemoWorld } from './demoWorld.js';
import { registerImage, type WalkedCloud } from './walkedCloud.js';

/** What the requests to one endpoint are about. */
export interface AccountWorld {
  /** A request of an action which may succeed, after all which it needs was made. */
  request(action: string): Promise<RequestParams>;
  /** Waits until the workers have done what the last request asked for. */
  finish(action: string, answer: Answer): Promise<void>;
}

/** The things at both endpoints. */
export function accountWorld(cloud: WalkedCloud): Record<Namespace, AccountWorld> {
  const [demo, accounts] = [new DemoWorld(cloud), new AdminWorld(cloud)];
  let has: Belongings;
  return {
    Cloud: {
      request: async (action) => requestOf(action, (has = await demo.renew())),
      finish: (action, answer) => demo.finish(action, answer, has),
    },
    Admin: {
      request: async (action) => adminRequestOf(action, await accounts.renew()),
      finish: async () => undefined,
    },
  };
}

/**
 * Registers the image of cloudpipes, which the flag vpn_image_id names before there is one: the first image after the
 * cloud's own. (Instances of it are hidden from their projects, so that it can't be an image which others use.)
 */
export async function cloudpipeImage(cloud: WalkedCloud, id: number): Promise<void> {
  const image = await registerImage(cloud, { name: 'cloudpipe' });
  if (parseInt(image.slice(4), 16) !== id) throw new Error(`The image of cloudpipes is ${image}, not number ${id}`);
}
