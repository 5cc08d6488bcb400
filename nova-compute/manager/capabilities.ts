import type { Context } from '../../common/context.js';
import { writeComputeNode } from '../../common/db/computeNodes.js';
import type { ComputeParts } from './parts.js';

/** What the schedulers may know of this host: read now and then, sent at every tick (nova 2011.3, SchedulerDependentManager). */
export class Capabilities {
  #last: Record<string, unknown> | null = null;
  #readAt = -Infinity;

  constructor(private readonly parts: ComputeParts) {}

  /** Tells all schedulers what was read last; nothing when there is nothing. */
  async publish(context: Context): Promise<void> {
    if (this.#last === null || Object.keys(this.#last).length === 0) return;
    const { rpc, runtime } = this.parts;
    await rpc.fanout(context, runtime.flags.scheduler_topic, 'update_service_capabilities', {
      service_name: 'compute',
      host: runtime.host,
      capabilities: this.#last,
    });
  }

  /** Reads the hypervisor's figures when host_state_interval has passed. */
  async refresh(): Promise<void> {
    const { driver, runtime, logger } = this.parts;
    const now = runtime.clock.now();
    if (now - this.#readAt <= runtime.flags.host_state_interval * 1000) return;
    this.#readAt = now;
    logger.debug('Updating host status');
    this.#last = await driver.hostStats();
  }
}

/** Writes the host's compute_nodes row, where the hypervisor has figures for one. */
export async function updateAvailableResource(parts: ComputeParts): Promise<null> {
  const figures = await parts.driver.hostResources();
  if (figures === null) return null;
  if (!(await writeComputeNode(parts.db, parts.runtime.host, figures))) {
    parts.logger.warn('No compute_nodes row is written: this host has no services row yet');
  }
  return null;
}
