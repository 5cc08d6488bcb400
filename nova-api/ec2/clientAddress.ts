import { contains, parseCidr, type Cidr } from '../../common/ipAddress.js';
import { StartupError } from '../../common/errors.js';
import type { DoorRequest } from '../../common/http/door.js';
import type { Runtime } from '../../common/runtime/runtime.js';

/**
 * Who calls: the peer, or what a proxy says of it (flags use_forwarded_for, forwarded_for_proxies). 2011.3 believed
 * whoever sent the header, so that an instance which reached nova-api itself could read another's metadata.
 */
export class ClientAddresses {
  readonly #proxies: readonly Cidr[];
  #warned = false;

  /** Throws StartupError for a proxy which is no address. */
  constructor(private readonly runtime: Pick<Runtime, 'flags' | 'log'>) {
    this.#proxies = runtime.flags.forwarded_for_proxies.map((text) => {
      const network = networkOf(text);
      if (network !== null) return network;
      throw new StartupError(`--forwarded_for_proxies: ${text} is neither an address nor a network such as 10.0.0.0/8`);
    });
  }

  /** The last address of X-Forwarded-For, which the nearest proxy wrote: those before it are whatever a client claims. */
  of(request: Pick<DoorRequest, 'headers' | 'remoteAddress'>): string | null {
    const { remoteAddress: peer, headers } = request;
    if (!this.runtime.flags.use_forwarded_for) return peer;
    const forwarded = headers['x-forwarded-for']?.split(',').at(-1)?.trim();
    if (!forwarded) return peer;
    if (this.#isProxy(peer)) return forwarded.slice(0, 255);
    if (!this.#warned) {
      this.#warned = true;
      const logger = this.runtime.log.logger('nova.api.ec2');
      logger.warn(`X-Forwarded-For of ${peer} is not looked at: it is none of --forwarded_for_proxies`);
    }
    return peer;
  }

  #isProxy(peer: string | null): boolean {
    const one = peer === null ? null : networkOf(peer);
    return one !== null && this.#proxies.some((network) => contains(network, one));
  }
}

/** A network, or an address as a network of one. */
function networkOf(text: string): Cidr | null {
  if (text.includes('/')) return parseCidr(text);
  return parseCidr(`${text}/${text.includes(':') ? 128 : 32}`);
}
