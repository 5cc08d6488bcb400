import type { Context } from '../../common/context.js';
import {
  allocateFixedIp,
  claimFixedIp,
  claimWishedFixedIp,
  deallocateFixedIp,
  disassociateFixedIp,
  fixedIpByAddress,
  fixedIpsOfInstances,
  leaseFixedIp,
  releaseFixedIp,
} from '../../common/db/fixedIps.js';
import { floatingIpsOfFixedIps } from '../../common/db/floatingIps.js';
import { getInstance } from '../../common/db/instances.js';
import { getNetwork } from '../../common/db/networks.js';
import type { FixedIpRow, NetworkRow, VirtualInterfaceRow } from '../../common/db/rows.js';
import {
  deleteVirtualInterfaces,
  ensureVirtualInterface,
  virtualInterfacesOfInstances,
} from '../../common/db/virtualInterfaces.js';
import {
  errorText,
  FixedIpNotFoundForInstance,
  FixedIpNotFoundForSpecificInstance,
  NoMoreFixedIps,
  NovaPlainError,
} from '../../common/errors.js';
import type { FloatingAddresses } from './floatingAddresses.js';
import { refreshGroupMembers } from './groupRefresh.js';
import type { NetworkWork } from './kind.js';
import type { NetworkWish } from './wishes.js';

/** The life of fixed addresses (nova 2011.3, nova/network/manager.py NetworkManager). */
export class FixedAddresses {
  constructor(
    private readonly work: NetworkWork,
    private readonly floating: FloatingAddresses,
  ) {}

  /**
   * Gives an instance an interface and an address on each of its networks; what it has already it keeps. When that fails
   * half-way, an instance which had nothing has nothing again. Throws InstanceNotFound, NoMoreFixedIps, and what a wish
   * may be refused with.
   */
  async allocate(
    context: Context,
    instanceId: number,
    projectId: string,
    wishes: readonly NetworkWish[],
  ): Promise<void> {
    const { db, runtime, kind } = this.work;
    await getInstance(db, instanceId);
    const networks = await kind.networksFor(projectId, wishes);
    const before = await this.#holdings(instanceId);
    try {
      const attempts = runtime.flags.create_unique_mac_address_attempts;
      const interfaces: [NetworkRow, VirtualInterfaceRow][] = [];
      for (const network of networks) {
        interfaces.push([network, await ensureVirtualInterface(db, runtime.random, instanceId, network.id, attempts)]);
      }
      for (const [network, vif] of interfaces) {
        // a network of IPv6 only: its guests make their addresses themselves
        if (network.cidr === null) continue;
        const wish = wishes.find((one) => one.uuid === network.uuid)?.address ?? null;
        await this.#give(context, network, vif, instanceId, () => this.#claim(network, instanceId, wish));
      }
    } catch (error) {
      if (before === 0) await this.#undo(context, instanceId);
      throw error;
    }
  }

  /** One more address on a network, with an interface there when the instance has none. */
  async add(context: Context, instanceId: number, networkId: number): Promise<void> {
    const another = (network: NetworkRow): Promise<FixedIpRow | null> =>
      claimFixedIp(this.work.db, network, instanceId, { another: true });
    await this.#giveOn(context, instanceId, networkId, another);
  }

  /** The wished address on a network, or any; what the instance has there already it keeps. */
  async allocateOn(context: Context, instanceId: number, networkId: number, wish: string | null): Promise<void> {
    await this.#giveOn(context, instanceId, networkId, (network) => this.#claim(network, instanceId, wish));
  }

  /** Throws FixedIpNotFoundForSpecificInstance. */
  async remove(context: Context, instanceId: number, address: string): Promise<void> {
    const rows = await fixedIpsOfInstances(this.work.db, [instanceId]);
    const row = rows.find((one) => one.address === address);
    if (row === undefined) throw new FixedIpNotFoundForSpecificInstance(instanceId, address);
    await this.#dropFloating(context, [row.id]);
    if (await this.#free(context, row, instanceId)) await refreshGroupMembers(this.work, context, instanceId);
  }

  /**
   * Frees all that an instance holds, by the rows alone: the instance may be deleted already. A repeated call changes
   * nothing; one which died half-way is completed by the next.
   */
  async deallocate(context: Context, instanceId: number): Promise<void> {
    const rows = await fixedIpsOfInstances(this.work.db, [instanceId]);
    await this.#dropFloating(
      context,
      rows.map((row) => row.id),
    );
    let changed = false;
    for (const row of rows) changed = (await this.#free(context, row, instanceId)) || changed;
    await deleteVirtualInterfaces(this.work.db, instanceId);
    if (changed) await refreshGroupMembers(this.work, context, instanceId);
  }

  /** A DHCP lease was given. Throws when no instance has the address. */
  async lease(address: string): Promise<void> {
    if (!(await leaseFixedIp(this.work.db, address))) {
      throw new NovaPlainError(`IP ${address} leased that is not associated`);
    }
    const row = await fixedIpByAddress(this.work.db, address);
    if (!row?.allocated) this.work.log.warn(`IP ${address} leased that is not allocated`);
  }

  /** A DHCP lease ended. Throws when no instance has the address. */
  async release(address: string): Promise<void> {
    const { db, runtime, kind } = this.work;
    const row = await fixedIpByAddress(db, address);
    const released = await releaseFixedIp(db, address);
    if (released === null) throw new NovaPlainError(`IP ${address} released that is not associated`);
    if (row?.leased === false) this.work.log.warn(`IP ${address} released that was not leased`);
    if (released.freed && runtime.flags.update_dhcp_on_disassociate && row?.network_id) {
      await kind.setUpNetwork(await getNetwork(db, row.network_id));
    }
  }

  async #holdings(instanceId: number): Promise<number> {
    const rows = await fixedIpsOfInstances(this.work.db, [instanceId]);
    return rows.length + (await virtualInterfacesOfInstances(this.work.db, [instanceId])).length;
  }

  #claim(network: NetworkRow, instanceId: number, wish: string | null): Promise<FixedIpRow | null> {
    return wish === null
      ? claimFixedIp(this.work.db, network, instanceId)
      : claimWishedFixedIp(this.work.db, network, wish, instanceId);
  }

  async #giveOn(
    context: Context,
    instanceId: number,
    networkId: number,
    claim: (network: NetworkRow) => Promise<FixedIpRow | null>,
  ): Promise<void> {
    const { db, runtime } = this.work;
    await getInstance(db, instanceId);
    const network = await getNetwork(db, networkId);
    const attempts = runtime.flags.create_unique_mac_address_attempts;
    const vif = await ensureVirtualInterface(db, runtime.random, instanceId, networkId, attempts);
    await this.#give(context, network, vif, instanceId, () => claim(network));
  }

  async #give(
    context: Context,
    network: NetworkRow,
    vif: VirtualInterfaceRow,
    instanceId: number,
    claim: () => Promise<FixedIpRow | null>,
  ): Promise<void> {
    const { db, kind } = this.work;
    const row = await claim();
    if (row === null) throw new NoMoreFixedIps();
    if (!(await allocateFixedIp(db, row, instanceId, vif.id))) throw new FixedIpNotFoundForInstance(instanceId);
    await refreshGroupMembers(this.work, context, instanceId);
    await kind.setUpNetwork(network);
  }

  /** Takes one address from an instance. False when nothing was left to do. */
  async #free(context: Context, row: FixedIpRow, instanceId: number): Promise<boolean> {
    const { db, kind } = this.work;
    const deallocated = await deallocateFixedIp(db, row.id, instanceId);
    // from here on no floating address can join it; one which just did would go with it to the next instance
    await this.#dropFloating(context, [row.id]);
    const freed = kind.freesAtOnce && (await disassociateFixedIp(db, row.id, instanceId));
    return deallocated || freed;
  }

  async #dropFloating(context: Context, fixedIpIds: readonly number[]): Promise<void> {
    for (const row of await floatingIpsOfFixedIps(this.work.db, fixedIpIds)) await this.floating.drop(context, row);
  }

  async #undo(context: Context, instanceId: number): Promise<void> {
    try {
      await this.deallocate(context, instanceId);
    } catch (error) {
      this.work.log.error(`Addresses of instance ${instanceId} could not be given back: ${errorText(error)}`, error);
    }
  }
}
