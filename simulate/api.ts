import type { DaemonParts, RunningDaemon } from '../common/daemon.js';
import type { DoorRequest, DoorResponse, HttpDoor } from '../common/http/door.js';
import { ec2Door } from '../nova-api/ec2/start.js';
import { imagesDoor } from '../nova-api/images/start.js';
import type { SimulatedDaemon } from './daemon.js';

/** nova-api without sockets. */
export interface SimulatedApi extends RunningDaemon {
  readonly ec2: HttpDoor;
  readonly images: HttpDoor;
}

export async function startApi(parts: DaemonParts): Promise<SimulatedApi> {
  const images = await imagesDoor(parts);
  const ec2 = await ec2Door(parts);
  const open = new Set<Promise<unknown>>();
  const counted = (door: HttpDoor): HttpDoor => ({
    handle: async (request) => {
      const answer = door.handle(request);
      open.add(answer);
      try {
        return await answer;
      } finally {
        open.delete(answer);
      }
    },
  });
  return {
    binary: 'nova-api',
    ec2: counted(ec2),
    images: counted(images),
    stop: async () => {
      await Promise.all(open);
      await ec2.close?.();
    },
    reopenLogs: () => undefined,
  };
}

/** Sends a request to the API of a daemon. Throws as a client does when nobody listens, or the connection breaks. */
export async function request(
  api: SimulatedDaemon<SimulatedApi> | undefined,
  door: 'ec2' | 'images',
  sent: DoorRequest,
): Promise<DoorResponse> {
  const life = api?.life;
  if (life?.running === undefined) throw new TypeError('fetch failed: connection refused');
  const broken = life.runtime.ended.then((): never => {
    throw new TypeError('fetch failed: the connection broke');
  });
  return Promise.race([life.running[door].handle(sent), broken]);
}
