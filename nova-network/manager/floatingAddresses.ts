import type { Context } from '../../common/context.js';
import { fixedIpByAddress, fixedIpsOfInstances } from '../../common/db/fixedIps.js';
import {
  associateFloatingIp,
  claimAutoAssignedFloatingIp,
  claimFloatingIp,
  disassociateFloatingIp,
  floatingIpByAddress,
  floatingIpsOfHost,
  releaseFloatingIp,
  type FloatingIpView,
} from '../../common/db/floatingIps.js';
import { findInstance } from '../../common/db/instances.js';
import { getNetwork, hostHomelessNetworks, setNetworkHost } from '../../common/db/networks.js';
import type { FloatingIpRow } from '../../common/db/rows.js';
import {
  ApiError,
  errorText,
  FixedIpNotFoundForAddress,
  FloatingIpNotFoundForAddress,
  NoMoreFloatingIps,
  NotAuthorized,
} from '../../common/errors.js';
import { Lanes } from '../../common/lanes.js';
import type { NetworkWork } from './kind.js';

/** Seconds until the host of a floating address which doesn't answer is passed over. */
const foreignHostSeconds = 10;

/** Floating addresses (nova 2011.3, nova/network/manager.py FloatingIP); here every manager has them. */
export class FloatingAddresses {
  /** Work on one address in order. */
  readonly #lanes = new Lanes<string>();
  /**
   * What this host carries, as far as this daemon knows, by floating address. What was begun, and failed, is not certain:
   * it may be there.
   */
  readonly #carried = new Map<string, { readonly fixedAddress: string; readonly certain: boolean }>();

  constructor(private readonly work: NetworkWork) {}

  /**
   * Takes a free address for a project; answers it. Networks which could do without a host so far (FlatManager) have one
   * from now on: a nova-api of 2011.3 asks nobody, it sends the association to whatever networks.host says, and to null
   * it is lost. Throws QuotaError, NoMoreFloatingIps.
   */
  async allocate(context: Context, projectId: string): Promise<string> {
    const { db, runtime, kind } = this.work;
    if (!context.isAdmin && context.projectId !== projectId) throw new NotAuthorized();
    const row = await claimFloatingIp(db, runtime.flags, projectId);
    if (row === null) throw new NoMoreFloatingIps();
    if (!kind.hasDhcp) await hostHomelessNetworks(db, runtime.host);
    return row.address!;
  }

  /** Puts an address back into the pool, unless it was associated or given away meanwhile. */
  async release(context: Context, address: string): Promise<void> {
    const row = await this.#find(context, address);
    if (!(await releaseFloatingIp(this.work.db, address, row.project_id))) {
      this.work.log.warn(`Floating address ${address} was not released: it is in use, or free already`);
    }
  }

  /**
   * Associates an address with the fixed one of an instance and makes this host carry it. `claimed` is called once that
   * is committed: a repeated message finds it done. Throws FloatingIpNotFoundForAddress, FixedIpNotFoundForAddress,
   * FloatingIpAlreadyInUse, and ApiError for an address of another project.
   */
  async associate(context: Context, address: string, fixedAddress: string, claimed: () => void): Promise<void> {
    const { db, runtime } = this.work;
    await this.#find(context, address);
    const fixed = await fixedIpByAddress(db, fixedAddress);
    const instance = fixed?.instance_id ? await findInstance(db, fixed.instance_id) : undefined;
    if (!fixed || !instance || !(context.isAdmin || instance.project_id === context.projectId)) {
      throw new FixedIpNotFoundForAddress(fixedAddress);
    }
    await this.#lanes.run(address, async () => {
      await associateFloatingIp(db, address, fixed, runtime.host);
      claimed();
      try {
        await this.#carry(address, fixedAddress);
      } catch (error) {
        await disassociateFloatingIp(db, address, { fixedIpId: fixed.id });
        throw error;
      }
    });
  }

  /** Takes an address off its fixed one. One which isn't associated stays as it is. */
  async disassociate(context: Context, address: string): Promise<void> {
    await this.#find(context, address);
    await this.#takeOff(address);
  }

  /**
   * Takes an address off a fixed one which is being deallocated, on the host that carries it, and puts it back into the
   * pool when the instance had got it by itself. A host which doesn't answer doesn't keep the address: what is left
   * there goes when it starts again.
   */
  async drop(context: Context, row: FloatingIpRow): Promise<void> {
    const { runtime, rpc, db, log } = this.work;
    const address = row.address!;
    const giveUp = { fixedIpId: row.fixed_ip_id!, release: row.auto_assigned === true };
    if (row.host === null || row.host === runtime.host) {
      await this.#takeOff(address, giveUp);
      return;
    }
    try {
      const elsewhere = rpc.networkOn(row.host).call;
      const options = { timeout: foreignHostSeconds };
      await elsewhere.disassociate_floating_ip(context.elevated(), { floating_address: address }, options);
    } catch (error) {
      log.warn(`Host ${row.host} could not take ${address} off: ${errorText(error)}`);
    }
    await disassociateFloatingIp(db, address, giveUp);
    if (row.auto_assigned) await releaseFloatingIp(db, address, row.project_id);
  }

  /** Gives a new instance an address by itself (flag auto_assign_floating_ip), once. Throws NoMoreFloatingIps. */
  async autoAssign(context: Context, instanceId: number, projectId: string): Promise<void> {
    const { db, runtime, rpc } = this.work;
    const [fixed] = await fixedIpsOfInstances(db, [instanceId]);
    if (fixed === undefined || fixed.network_id === null) return;
    const network = await getNetwork(db, fixed.network_id);
    const host = network.multi_host
      ? ((await findInstance(db, instanceId))?.host ?? runtime.host)
      : await setNetworkHost(db, network.id, runtime.host);
    const row = await claimAutoAssignedFloatingIp(db, projectId, fixed, host);
    if (row === null) throw new NoMoreFloatingIps();
    const args = { floating_address: row.address!, fixed_address: fixed.address! };
    try {
      if (host === runtime.host) await this.#carryInTurn(args.floating_address, args.fixed_address);
      else await rpc.networkOn(host).cast.associate_floating_ip(context.elevated(), args);
    } catch (error) {
      await disassociateFloatingIp(db, args.floating_address, { fixedIpId: fixed.id, release: true });
      throw error;
    }
  }

  /** Makes this host carry again what it carried before. An address which fails is logged. */
  async restore(): Promise<void> {
    const { db, runtime, log } = this.work;
    for (const row of await floatingIpsOfHost(db, runtime.host)) {
      try {
        await this.#carryInTurn(row.address!, row.fixed_address!);
      } catch (error) {
        log.error(`Floating address ${row.address} could not be bound: ${errorText(error)}`, error);
      }
    }
  }

  /**
   * Has this host carry what the rows say, and nothing else: a step on the host may have failed, and another host may have
   * given an address away when this one did not answer. What fails again is logged, and is there the next time.
   */
  async reconcile(): Promise<void> {
    const { db, runtime, log } = this.work;
    const rows = await floatingIpsOfHost(db, runtime.host);
    const wanted = new Map(rows.map((row) => [row.address!, row.fixed_address!]));
    const addresses = [...new Set([...wanted.keys(), ...this.#carried.keys()])];
    for (const address of addresses.filter((one) => !this.#isAsItShould(one, wanted.get(one)))) {
      try {
        await this.#lanes.run(address, () => this.#reconcileOne(address));
      } catch (error) {
        log.error(`Floating address ${address} does not lead where it should (yet): ${errorText(error)}`, error);
      }
    }
  }

  async #reconcileOne(address: string): Promise<void> {
    const { db, runtime, log } = this.work;
    const row = await floatingIpByAddress(db, address);
    const right = row?.host === runtime.host ? row.fixed_address : null;
    if (this.#isAsItShould(address, right ?? undefined)) return;
    const carried = this.#carried.get(address)?.fixedAddress;
    log.warn(`Floating address ${address} leads to ${carried ?? 'nothing'} here, and should to ${right ?? 'nothing'}`);
    if (carried !== undefined && carried !== right) await this.#uncarry(address, carried);
    if (right !== null) await this.#carry(address, right);
  }

  #isAsItShould(address: string, fixedAddress: string | undefined): boolean {
    const carried = this.#carried.get(address);
    return carried === undefined
      ? fixedAddress === undefined
      : carried.certain && carried.fixedAddress === fixedAddress;
  }

  #carryInTurn(address: string, fixedAddress: string): Promise<void> {
    return this.#lanes.run(address, () => this.#carry(address, fixedAddress));
  }

  async #carry(address: string, fixedAddress: string): Promise<void> {
    const { driver } = this.work;
    this.#carried.set(address, { fixedAddress, certain: false });
    await driver.bindFloatingIp(address);
    await driver.ensureFloatingForward(address, fixedAddress);
    this.#carried.set(address, { fixedAddress, certain: true });
  }

  async #uncarry(address: string, fixedAddress: string): Promise<void> {
    const { driver } = this.work;
    this.#carried.set(address, { fixedAddress, certain: false });
    await driver.removeFloatingForward(address, fixedAddress);
    await driver.unbindFloatingIp(address);
    this.#carried.delete(address);
  }

  /**
   * On the host first: as long as that forwards to the fixed address nobody else may get it. Who fails here finds the rows
   * as they were, and may try again.
   */
  #takeOff(address: string, options: { fixedIpId?: number; release?: boolean } = {}): Promise<void> {
    return this.#lanes.run(address, async () => {
      const { db, runtime } = this.work;
      const row = await floatingIpByAddress(db, address);
      if (row === undefined || row.fixed_ip_id === null) return;
      if (options.fixedIpId !== undefined && options.fixedIpId !== row.fixed_ip_id) return;
      const here = row.host === null || row.host === runtime.host || this.#carried.has(address);
      if (here && row.fixed_address !== null) await this.#uncarry(address, row.fixed_address);
      await disassociateFloatingIp(db, address, { ...options, fixedIpId: row.fixed_ip_id });
    });
  }

  /** An address which the caller may change: the API asked already, but messages come from elsewhere, too, and late. */
  async #find(context: Context, address: string): Promise<FloatingIpView> {
    const row = await floatingIpByAddress(this.work.db, address);
    if (row === undefined) throw new FloatingIpNotFoundForAddress(address);
    if (!context.isAdmin && row.project_id !== context.projectId) {
      throw new ApiError(`Address (${address}) is not allocated to your project(${context.projectId})`);
    }
    return row;
  }
}
