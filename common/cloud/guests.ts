import type { Context } from '../context.js';
import { findInstance } from '../db/instances.js';
import type { InstanceRow } from '../db/rows.js';
import { ConsoleProxyNotReached, InvalidInput, MessageNotDelivered, NovaPlainError } from '../errors.js';
import type { ConsoleAddress } from '../rpc/compute.js';
import type { AjaxProxyRpc, VncProxyRpc } from '../rpc/consoleProxies.js';
import type { CloudParts } from './parts.js';
import { incorrectState, ownInstance, ownPlaced, refuseLocked } from './instanceOperation.js';

/**
 * What is done inside an instance, or is only looked at: password, files, network configuration, lock, consoles, figures
 * (nova 2011.3, nova/compute/api.py). None writes a row. Every method throws InstanceNotFound, ApiError for an instance
 * which is on no host (2011.3 loses the message, or waits for ever), MessageNotDelivered.
 */
export class Guests {
  constructor(private readonly parts: CloudParts) {}

  /**
   * Sets the password of the guest's administrator. An instance which has no host yet gets find_host_timeout seconds to
   * find one; then Error is thrown.
   */
  async setAdminPassword(context: Context, id: number, password: string | null): Promise<void> {
    if (password !== null && password.length > 255) throw new InvalidInput('a password has at most 255 characters');
    const row = await ownInstance(this.parts, context, id);
    refuseLocked(context, row);
    const host = await this.#waitForHost(row);
    await this.parts.rpc
      .computeOn(host)
      .cast.set_admin_password(context, { instance_id: id, ...(password === null ? {} : { new_pass: password }) });
  }

  /** Writes a file in the guest. The size is bounded as that of files at launch. */
  async injectFile(context: Context, id: number, path: string, contents: string): Promise<void> {
    const { flags } = this.parts.runtime;
    if (path === '' || Buffer.byteLength(path) > flags.quota_max_injected_file_path_bytes) {
      throw new InvalidInput('the path of the file is empty or too long');
    }
    if (Buffer.byteLength(contents) > flags.quota_max_injected_file_content_bytes) {
      throw new InvalidInput('the file is too large');
    }
    const { host } = await this.#changeable(context, id);
    await this.parts.rpc.computeOn(host).cast.inject_file(context, { instance_id: id, path, file_contents: contents });
  }

  /** Has the guest configure its network anew. */
  async resetNetwork(context: Context, id: number): Promise<void> {
    const { host } = await this.#changeable(context, id);
    await this.parts.rpc.computeOn(host).cast.reset_network(context, { instance_id: id });
  }

  /** Tells the guest its interfaces and addresses. */
  async injectNetworkInfo(context: Context, id: number): Promise<void> {
    const { host } = await this.#changeable(context, id);
    await this.parts.rpc.computeOn(host).cast.inject_network_info(context, { instance_id: id });
  }

  /** Gives the instance another address in a network. */
  async addFixedIp(context: Context, id: number, networkId: number): Promise<void> {
    const { host } = await this.#changeable(context, id);
    await this.parts.rpc
      .computeOn(host)
      .cast.add_fixed_ip_to_instance(context, { instance_id: id, network_id: networkId });
  }

  async removeFixedIp(context: Context, id: number, address: string): Promise<void> {
    const { host } = await this.#changeable(context, id);
    await this.parts.rpc.computeOn(host).cast.remove_fixed_ip_from_instance(context, { instance_id: id, address });
  }

  /** Keeps all but administrators from changing the instance. */
  async lock(context: Context, id: number): Promise<void> {
    const { host } = await ownPlaced(this.parts, context, id);
    await this.parts.rpc.computeOn(host).cast.lock_instance(context, { instance_id: id });
  }

  async unlock(context: Context, id: number): Promise<void> {
    const { host } = await ownPlaced(this.parts, context, id);
    await this.parts.rpc.computeOn(host).cast.unlock_instance(context, { instance_id: id });
  }

  async isLocked(context: Context, id: number): Promise<boolean> {
    return (await ownInstance(this.parts, context, id)).locked ?? false;
  }

  /** The hypervisor's figures; null while the instance doesn't run. */
  async diagnostics(context: Context, id: number): Promise<Record<string, unknown> | null> {
    const { host } = await ownPlaced(this.parts, context, id);
    return this.parts.rpc.computeOn(host).call.get_diagnostics(context, { instance_id: id });
  }

  /** The URL of the instance's VNC console; nova-vncproxy knows its token before it is answered. */
  async vncConsole(context: Context, id: number): Promise<{ url: string }> {
    const { rpc, runtime } = this.parts;
    const { host } = await this.#running(context, id);
    const access = await rpc.computeOn(host).call.get_vnc_console(context, { instance_id: id });
    const topic = runtime.flags.vncproxy_topic;
    const proxy = rpc.target<VncProxyRpc>(topic);
    await heardOf(topic, proxy.call.authorize_vnc_console(context, grantOf(access)));
    // The host and port are nova-vncproxy's to know; its page wants some.
    const query = `token=${encodeURIComponent(access.token)}&host=hostignore&port=portignore`;
    return { url: `${runtime.flags.vncproxy_url}/vnc_auto.html?${query}` };
  }

  /** The URL of the instance's ajax console. */
  async ajaxConsole(context: Context, id: number): Promise<{ url: string }> {
    const { rpc, runtime } = this.parts;
    const { host } = await this.#running(context, id);
    const access = await rpc.computeOn(host).call.get_ajax_console(context, { instance_id: id });
    const topic = runtime.flags.ajax_console_proxy_topic;
    const proxy = rpc.target<AjaxProxyRpc>(topic);
    await heardOf(topic, proxy.cast.authorize_ajax_console(context, grantOf(access)));
    return { url: `${runtime.flags.ajax_console_proxy_url}/?token=${encodeURIComponent(access.token)}` };
  }

  async #changeable(context: Context, id: number): Promise<{ row: InstanceRow; host: string }> {
    const placed = await ownPlaced(this.parts, context, id);
    refuseLocked(context, placed.row);
    return placed;
  }

  async #running(context: Context, id: number): Promise<{ row: InstanceRow; host: string }> {
    const placed = await ownPlaced(this.parts, context, id);
    if (placed.row.vm_state === 'building' || placed.row.vm_state === 'stopped') throw incorrectState(placed.row);
    return placed;
  }

  async #waitForHost(row: InstanceRow): Promise<string> {
    const { db, runtime } = this.parts;
    let { host } = row;
    for (let second = 0; host === null && second < runtime.flags.find_host_timeout; second += 1) {
      await runtime.sleep(1000);
      host = (await findInstance(db, row.id))?.host ?? null;
    }
    if (host === null) throw new NovaPlainError(`Unable to find host for Instance ${row.id}`);
    return host;
  }
}

function grantOf({ token, host, port }: ConsoleAddress): ConsoleAddress {
  return { token, host, port };
}

/** Throws ConsoleProxyNotReached when the message to a console proxy reaches nobody. */
async function heardOf(topic: string, sent: Promise<unknown>): Promise<void> {
  try {
    await sent;
  } catch (error) {
    throw error instanceof MessageNotDelivered ? new ConsoleProxyNotReached(topic) : error;
  }
}
