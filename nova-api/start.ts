import type { DaemonParts, RunningDaemon } from '../common/daemon.js';
import { StartupError } from '../common/errors.js';
import { novaVersion } from '../common/projectRoot.js';
import type { HttpDoor } from '../common/http/door.js';
import { createImageService, ownRegistry } from '../common/images/client.js';
import { ec2Door } from './ec2/start.js';
import {
  apiLimits,
  listen,
  streamingLimits,
  type HttpAddress,
  type HttpLimits,
  type HttpListener,
} from '../common/http/listen.js';
import { imagesDoor } from './images/start.js';

/** nova-api as it runs. */
export interface RunningApi extends RunningDaemon {
  /** By name of flag enabled_apis, e.g. `ec2`: where each API listens, with the real port where the flag says 0. */
  readonly addresses: Readonly<Record<string, HttpAddress>>;
  /** The same APIs, for who is in the same process. */
  readonly doors: Readonly<Record<string, HttpDoor>>;
}

/** An API which nova-api can serve. */
interface Api {
  readonly limits: HttpLimits;
  /** Where its flags `<name>_listen` and `<name>_listen_port` say. */
  listen(flags: DaemonParts['runtime']['flags']): HttpAddress;
  open(parts: DaemonParts): Promise<HttpDoor>;
}

const apis: Readonly<Record<string, Api>> = {
  ec2: {
    limits: apiLimits,
    listen: (flags) => ({ host: flags.ec2_listen, port: flags.ec2_listen_port }),
    open: ec2Door,
  },
  images: {
    limits: streamingLimits,
    listen: (flags) => ({ host: flags.images_listen, port: flags.images_listen_port }),
    open: imagesDoor,
  },
};
/** APIs of 2011.3 which are tolerated in enabled_apis, and not there yet. */
const missingApis = ['osapi'];

/**
 * Starts nova-api on parts which are connected and whose schema is checked: each API of the flag enabled_apis on its own
 * port (nova 2011.3, bin/nova-api), or only those `enabled`. Throws StartupError for an unknown API, a port that is in use, or flags which
 * make no sense; then nothing is left listening.
 */
export async function startApi(
  parts: DaemonParts,
  enabled: readonly string[] = parts.runtime.flags.enabled_apis,
): Promise<RunningApi> {
  const { runtime } = parts;
  const logger = runtime.log.logger('nova.api');
  const names = [...new Set(enabled.map((name) => name.trim()).filter(Boolean))];
  logger.audit(`Starting nova-api node (version ${novaVersion})`);
  for (const name of names.filter((candidate) => !Object.hasOwn(apis, candidate))) {
    if (!missingApis.includes(name)) {
      throw new StartupError(`--enabled_apis: ${name} is unknown; the APIs are ${Object.keys(apis).join(', ')}`);
    }
    logger.warn(`The API ${name} of --enabled_apis does not exist yet and is left out`);
  }
  const listeners = new Map<string, HttpListener>();
  const doors = new Map<string, HttpDoor>();
  const stopAll = async (graceMs: number): Promise<void> => {
    await Promise.all([...listeners.values()].map((listener) => listener.stop(graceMs)));
    await Promise.all([...doors.values()].map((door) => door.close?.()));
  };
  try {
    const served = names.filter((candidate) => Object.hasOwn(apis, candidate));
    let shared = parts;
    for (const name of served.sort((a, b) => Number(b === 'images') - Number(a === 'images'))) {
      const { open, listen: where, limits } = apis[name]!;
      const door = await open(shared);
      doors.set(name, door);
      // what the others ask of images here needs no socket
      if (name === 'images')
        shared = { ...parts, images: createImageService(runtime, ownRegistry(runtime.flags, door)) };
      listeners.set(name, await listen(runtime, door, { name, ...where(runtime.flags), limits }));
    }
  } catch (error) {
    await stopAll(0);
    throw error;
  }
  return {
    binary: 'nova-api',
    addresses: Object.fromEntries([...listeners].map(([name, listener]) => [name, listener.address])),
    doors: Object.fromEntries(doors),
    stop: () => stopAll(runtime.flags.drain_timeout * 1000),
    reopenLogs: () => runtime.log.reopen(),
  };
}
