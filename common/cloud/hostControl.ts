import type { Context } from '../context.js';
import { findComputeHost } from '../db/hostResources.js';
import { ComputeHostNotFound } from '../errors.js';
import type { CloudParts } from './parts.js';
import { requireAdmin } from './requireAdmin.js';

/**
 * What administrators do to compute hosts themselves (nova 2011.3, nova/compute/api.py). Answers what the hypervisor says;
 * null from those which can't. Throws AdminRequired, ComputeHostNotFound, and what keeps the host from answering.
 */
export class HostControl {
  constructor(private readonly parts: CloudParts) {}

  /** Whether the host takes new instances. */
  async setEnabled(context: Context, host: string, enabled: boolean): Promise<unknown> {
    await this.#require(context, host);
    return this.parts.rpc.computeOn(host).call.set_host_enabled(context, { enabled });
  }

  /** Starts, stops or reboots the host. */
  async powerAction(context: Context, host: string, action: 'startup' | 'shutdown' | 'reboot'): Promise<unknown> {
    await this.#require(context, host);
    return this.parts.rpc.computeOn(host).call.host_power_action(context, { action });
  }

  async #require(context: Context, host: string): Promise<void> {
    requireAdmin(context);
    const { db, runtime } = this.parts;
    if ((await findComputeHost(db, host, runtime.flags.compute_topic)) === undefined)
      throw new ComputeHostNotFound(host);
  }
}
