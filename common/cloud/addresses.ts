import type { Context } from '../context.js';
import { fixedIpByAddress, fixedIpsOfInstances } from '../db/fixedIps.js';
import { floatingIpByAddress, floatingIpsOfProject, type FloatingIpView } from '../db/floatingIps.js';
import { findInstance, getInstance } from '../db/instances.js';
import { getNetwork } from '../db/networks.js';
import { findService, serviceIsUp } from '../db/services.js';
import {
  ApiError,
  FixedIpNotFoundForAddress,
  FloatingIpNotFoundForAddress,
  InstanceNotFound,
  NoMoreFloatingIps,
  QuotaError,
  RemoteError,
} from '../errors.js';
import type { CloudParts } from './parts.js';

/** Floating addresses (nova 2011.3, nova/network/api.py). */
export class Addresses {
  constructor(private readonly parts: CloudParts) {}

  /** Gives the caller's project an address; answers it. Throws QuotaError (AddressLimitExceeded), NoMoreFloatingIps. */
  async allocate(context: Context): Promise<string> {
    try {
      return await this.parts.rpc.network.call.allocate_floating_ip(context, { project_id: context.requireProject() });
    } catch (error) {
      if (error instanceof RemoteError && error.excType === 'NoMoreFloatingIps') throw new NoMoreFloatingIps();
      if (error instanceof RemoteError && error.excType === 'QuotaError') {
        throw new QuotaError(error.value, 'AddressLimitExceeded');
      }
      throw error;
    }
  }

  /**
   * Gives an address of the caller's project back. One which an instance got by itself stays. Throws
   * FloatingIpNotFoundForAddress; ApiError while it is associated, and for one which is free or another project's.
   */
  async release(context: Context, address: string): Promise<void> {
    const row = await this.#find(address);
    if (row.auto_assigned) return;
    this.#requireOwn(context, row);
    if (row.fixed_ip_id !== null) throw new ApiError('Floating ip is in use.  Disassociate it before releasing.');
    await this.parts.rpc.network.cast.deallocate_floating_ip(context, { floating_address: address });
  }

  /**
   * Associates an address of the caller's project with the first fixed address of an instance; moves it when it is
   * associated already. The work is done by the network's host some moments later. Throws InstanceNotFound,
   * FloatingIpNotFoundForAddress, ApiError.
   */
  async associate(context: Context, instanceId: number, address: string): Promise<void> {
    const { db, rpc } = this.parts;
    const instance = await getInstance(db, instanceId);
    if (!context.isAdmin && instance.project_id !== context.projectId) throw new InstanceNotFound(instanceId);
    const info = await rpc.network.call.get_instance_nw_info(context, {
      instance_id: instance.id,
      instance_type_id: instance.instance_type_id!,
      host: instance.host,
    });
    const known = info.flatMap(([, one]) => one.ips.map((ip) => ip.ip));
    // a nova-network of 2011.3 also names addresses which it has taken back, and those first
    const [held] = await fixedIpsOfInstances(db, [instance.id]);
    const fixedAddress = known.find((address) => address === held?.address) ?? known[0];
    if (fixedAddress === undefined) {
      throw new ApiError(`instance |${instance.id}| has no fixed_ips. unable to associate floating ip`);
    }
    const row = await this.#find(address);
    if (row.auto_assigned) return;
    this.#requireAllocated(row);
    // here an administrator's project counts as well: an address must not end up at a guest of another project unseen
    if (row.project_id !== context.projectId) throw notYours(row, context);
    if (row.fixed_ip_id !== null) await this.#takeOff(context, row);
    const host = await this.#hostOfFixed(context, fixedAddress);
    await rpc.networkOn(host).cast.associate_floating_ip(context, {
      floating_address: address,
      fixed_address: fixedAddress,
    });
  }

  /** Takes an address off its instance. Throws FloatingIpNotFoundForAddress, ApiError. */
  async disassociate(context: Context, address: string): Promise<void> {
    const row = await this.#find(address);
    if (row.auto_assigned) return;
    if (!context.isAdmin) this.#requireOwn(context, row);
    if (row.fixed_ip_id === null) throw new ApiError('Address is not associated.');
    await this.#takeOff(context, row);
  }

  /**
   * The addresses of the caller's project, for an administrator those of all projects, by ascending id; or the named
   * ones. Throws FloatingIpNotFoundForAddress for a name which is none of these.
   */
  async describe(context: Context, names: readonly string[] = []): Promise<FloatingIpView[]> {
    const rows = await floatingIpsOfProject(this.parts.db, context.isAdmin ? null : context.requireProject());
    if (names.length === 0) return rows;
    return [...new Set(names)].map((name) => {
      const row = rows.find((one) => one.address === name);
      if (row === undefined) throw new FloatingIpNotFoundForAddress(name);
      return row;
    });
  }

  async #find(address: string): Promise<FloatingIpView> {
    const row = await floatingIpByAddress(this.parts.db, address);
    if (row === undefined) throw new FloatingIpNotFoundForAddress(address);
    return row;
  }

  #requireAllocated(row: FloatingIpView): void {
    if (row.project_id === null) throw new ApiError(`Address (${row.address}) is not allocated`);
  }

  #requireOwn(context: Context, row: FloatingIpView): void {
    this.#requireAllocated(row);
    if (!context.isAdmin && row.project_id !== context.projectId) throw notYours(row, context);
  }

  async #takeOff(context: Context, row: FloatingIpView): Promise<void> {
    const owner = row.multi_host ? row.instance_host : row.network_host;
    const host = row.host ?? owner ?? (await this.#hostOfFixed(context, row.fixed_address!));
    const { rpc } = this.parts;
    const network = (await this.#isDown(host)) ? rpc.network : rpc.networkOn(host);
    await network.call.disassociate_floating_ip(context, { floating_address: row.address! });
  }

  /** Nothing was heard of its nova-network: any other takes the address off, and it lets go of it when it is back. */
  async #isDown(host: string): Promise<boolean> {
    const { db, runtime } = this.parts;
    const service = await findService(db, host, 'nova-network');
    return service !== undefined && !serviceIsUp(service, runtime.clock.now(), runtime.flags.service_down_time);
  }

  /**
   * The host which carries the floating addresses of a fixed one: the instance's in a multi_host network, else the
   * network's. A network without a host (FlatManager needs none for fixed addresses) gets one now.
   */
  async #hostOfFixed(context: Context, fixedAddress: string): Promise<string> {
    const { db, rpc } = this.parts;
    const fixed = await fixedIpByAddress(db, fixedAddress);
    if (fixed?.instance_id == null || fixed.network_id === null) throw new FixedIpNotFoundForAddress(fixedAddress);
    const network = await getNetwork(db, fixed.network_id);
    if (network.multi_host) {
      const host = (await findInstance(db, fixed.instance_id))?.host ?? null;
      if (host === null) throw new ApiError(`Address (${fixedAddress}) is on no host`);
      return host;
    }
    return network.host || rpc.network.call.set_network_host(context.elevated(), { network_ref: { id: network.id } });
  }
}

function notYours(row: FloatingIpView, context: Context): ApiError {
  return new ApiError(`Address (${row.address}) is not allocated to your project(${context.projectId})`);
}
