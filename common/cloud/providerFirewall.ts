import type { Context } from '../context.js';
import { addProviderRules, listProviderRules, removeProviderRules, type ProviderRule } from '../db/providerFwRules.js';
import { listServices } from '../db/services.js';
import { ApiError, errorText, InvalidCidr } from '../errors.js';
import { isIPv4, isIPv6, parseCidr } from '../ipAddress.js';
import type { CloudParts } from './parts.js';
import { requireAdmin } from './requireAdmin.js';

/** `provider_fw_rules.cidr` is VARCHAR(255); no address is longer than this. */
const longestCidr = 64;

/**
 * Addresses which the provider shuts out of every instance, whatever security groups say (nova 2011.3,
 * nova/api/ec2/admin.py). Every method throws AdminRequired unless the caller is an administrator.
 */
export class ProviderFirewall {
  constructor(private readonly parts: Pick<CloudParts, 'runtime' | 'db' | 'rpc'>) {}

  /**
   * Shuts out an address or CIDR: tcp, udp and icmp. Answers how many rules that took. Throws InvalidCidr, and ApiError
   * when it is shut out already.
   */
  async block(context: Context, cidr: string): Promise<number> {
    requireAdmin(context);
    checkCidr(cidr);
    const ports = { from_port: 1, to_port: 65535 };
    const rules: ProviderRule[] = [
      { protocol: 'tcp', ...ports, cidr },
      { protocol: 'udp', ...ports, cidr },
      { protocol: 'icmp', from_port: -1, to_port: null, cidr },
    ];
    const added = await addProviderRules(this.parts.db, rules);
    if (added === 0) throw new ApiError('Duplicate rule');
    this.#audit(context, `Blocking ${cidr}: ${added} rules`);
    await this.#refresh(context);
    return added;
  }

  /** What is shut out, sorted, each once. */
  async list(context: Context): Promise<string[]> {
    requireAdmin(context);
    const rows = await listProviderRules(this.parts.db);
    return [...new Set(rows.flatMap((row) => (row.cidr === null ? [] : [row.cidr])))].sort();
  }

  /** Lets an address or CIDR in again. Answers how many rules are gone, 0 when it wasn't shut out. Throws InvalidCidr. */
  async unblock(context: Context, cidr: string): Promise<number> {
    requireAdmin(context);
    checkCidr(cidr);
    const removed = await removeProviderRules(this.parts.db, cidr);
    this.#audit(context, `Unblocking ${cidr}: ${removed} rules`);
    if (removed > 0) await this.#refresh(context);
    return removed;
  }

  #audit(context: Context, message: string): void {
    this.parts.runtime.log.logger('nova.api.ec2.admin').audit(`${message}, by ${context.userId ?? '-'}`);
  }

  /** Tells every host which runs instances, also those which get no new ones. One which is away reads the rules at its start. */
  async #refresh(context: Context): Promise<void> {
    const { db, rpc, runtime } = this.parts;
    const services = (await listServices(db)).filter((service) => service.topic === 'compute');
    const hosts = [...new Set(services.flatMap((service) => (service.host === null ? [] : [service.host])))];
    for (const host of hosts) {
      try {
        await rpc.computeOn(host).cast.refresh_provider_fw_rules(context, {});
      } catch (error) {
        const logger = runtime.log.logger('nova.api.ec2.admin');
        logger.warn(`${host} could not be told of the changed provider rules: ${errorText(error)}`);
      }
    }
  }
}

function checkCidr(text: string): void {
  const good = text.length <= longestCidr && (isIPv4(text) || isIPv6(text) || parseCidr(text) !== null);
  if (!good) throw new InvalidCidr(text.slice(0, 100));
}
