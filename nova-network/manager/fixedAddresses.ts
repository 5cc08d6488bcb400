import type { Context } from '../../common/context.js';
import {
  allocateFixedIp,
  claimFixedIp,
  claimWishedFixedIp,
  deallocateFixedIp,
  disassociateFixedIp,
  fixedIpByAddress,
  fixedIpsOfInstances,
  holdsAddresses,
  leaseFixedIp,
  lockAddressesOf,
  needsAddresses,
  releaseFixedIp,
  unlessNeeded,
} from '../../common/db/fixedIps.js';
import type { Tx } from '../../common/db/db.js';
import { floatingIpsOfFixedIps } from '../../common/db/floatingIps.js';
import { findInstance, findInstanceState, getInstance } from '../../common/db/instances.js';
import { getNetwork, networksByIds } from '../../common/db/networks.js';
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
  InstanceNotFound,
  NoMoreFixedIps,
  NovaPlainError,
} from '../../common/errors.js';
import type { FloatingAddresses } from './floatingAddresses.js';
import { refreshGroupMembers } from './groupRefresh.js';
import type { NetworkWork } from './kind.js';
import type { NetworkWish } from './wishes.js';

/** Seconds until the host of an address which doesn't answer is passed over. */
const foreignHostSeconds = 10;

/** What an instance is to get. */
export interface Allocation {
  readonly instanceId: number;
  readonly projectId: string;
  /** The instance's host; owner of its addresses in multi_host networks. */
  readonly host: string;
  /** The instance is a cloudpipe. */
  readonly vpn: boolean;
  readonly wishes: readonly NetworkWish[];
}

/** All that an instance has, in the order of the networks. */
export interface Holdings {
  readonly addresses: readonly FixedIpRow[];
  readonly interfaces: readonly VirtualInterfaceRow[];
  readonly networks: readonly NetworkRow[];
}

/** Which address of a network. */
export interface AddressWish {
  readonly address: string | null;
  /** The one which the network keeps for a cloudpipe. */
  readonly vpn: boolean;
  /** One more, though the instance has one there. */
  readonly another: boolean;
}

/** An address for an interface of an instance. */
interface Gift {
  readonly network: NetworkRow;
  readonly vif: VirtualInterfaceRow;
  readonly wish: AddressWish;
}

/** Runs what takes addresses from an instance, in a transaction; undefined when it must not be done. */
type Guard = <T>(work: (tx: Tx) => Promise<T>) => Promise<T | undefined>;

/** The life of fixed addresses (nova 2011.3, nova/network/manager.py NetworkManager). */
export class FixedAddresses {
  constructor(
    private readonly work: NetworkWork,
    private readonly floating: FloatingAddresses,
  ) {}

  /**
   * Gives an instance an interface and an address on each of its networks; what it has already it keeps. Answers what it
   * has then, where this host has given all of it. When that fails half-way, an instance which had nothing has nothing
   * again. Throws InstanceNotFound, NoMoreFixedIps, NoMoreNetworks,
   * what a wish may be refused with, and what the host of a network could not do.
   */
  async allocate(context: Context, allocation: Allocation): Promise<Holdings | undefined> {
    const { instanceId, projectId, host, vpn, wishes } = allocation;
    const { db, runtime, kind } = this.work;
    const hadSome = await holdsAddresses(db, instanceId);
    if (hadSome === undefined) throw new InstanceNotFound(instanceId);
    const networks = await kind.networksFor(projectId, wishes);
    try {
      const attempts = runtime.flags.create_unique_mac_address_attempts;
      const interfaces: VirtualInterfaceRow[] = [];
      const gifts: Gift[] = [];
      for (const network of networks) {
        const vif = await ensureVirtualInterface(db, runtime.random, instanceId, network.id, attempts);
        interfaces.push(vif);
        // a network of IPv6 only: its guests make their addresses themselves
        if (network.cidr === null) continue;
        const address = wishes.find((one) => one.uuid === network.uuid)?.address ?? null;
        gifts.push({ network, vif, wish: { address, vpn, another: false } });
      }
      const given = await this.#giveAll(context, instanceId, host, gifts);
      await this.#requireWanted(context, instanceId);
      const isAll = !hadSome && given.length === gifts.length;
      return isAll ? { addresses: given, interfaces, networks } : undefined;
    } catch (error) {
      if (!hadSome) await this.#undo(context, instanceId);
      throw error;
    }
  }

  /** One more address on a network, with an interface there when the instance has none. */
  async add(context: Context, instanceId: number, networkId: number, host: string): Promise<void> {
    const { db, runtime } = this.work;
    await getInstance(db, instanceId);
    const network = await getNetwork(db, networkId);
    const attempts = runtime.flags.create_unique_mac_address_attempts;
    const vif = await ensureVirtualInterface(db, runtime.random, instanceId, networkId, attempts);
    const wish = { address: null, vpn: false, another: true };
    await this.#giveAll(context, instanceId, host, [{ network, vif, wish }]);
  }

  /**
   * Gives an instance an address of a network, on this host. Throws NetworkNotFound, NoMoreFixedIps, what a wish may be
   * refused with, and FixedIpNotFoundForInstance for an instance without an interface there (any longer).
   */
  async giveHere(context: Context, networkId: number, instanceId: number, wish: AddressWish): Promise<void> {
    const { db } = this.work;
    const network = await getNetwork(db, networkId);
    const interfaces = await virtualInterfacesOfInstances(db, [instanceId]);
    const vif = interfaces.find((one) => one.network_id === networkId);
    if (vif === undefined) throw new FixedIpNotFoundForInstance(instanceId);
    await this.#give(context, instanceId, { network, vif, wish });
  }

  async #give(context: Context, instanceId: number, { network, vif, wish }: Gift): Promise<FixedIpRow> {
    const row = await this.#claim(network, instanceId, vif.id, wish);
    await refreshGroupMembers(this.work, context, instanceId);
    await this.work.kind.setUpNetwork(network);
    return row;
  }

  /** Throws FixedIpNotFoundForSpecificInstance. */
  async remove(context: Context, instanceId: number, address: string): Promise<void> {
    const rows = await fixedIpsOfInstances(this.work.db, [instanceId]);
    const row = rows.find((one) => one.address === address);
    if (row === undefined) throw new FixedIpNotFoundForSpecificInstance(instanceId, address);
    await this.#free(context, [row], instanceId, (work) => this.work.db.transaction(work));
    await this.work.db.transaction((tx) => this.#disassociate(tx, [row], instanceId));
  }

  /**
   * Frees all that an instance holds, by the rows alone: the instance may be deleted already. A repeated call changes
   * nothing; one which died half-way is completed by the next. An instance which is being built or runs keeps what it
   * has: the message is an old one, from before it was started again.
   */
  async deallocate(context: Context, instanceId: number): Promise<void> {
    if (await needsAddresses(this.work.db, instanceId)) {
      this.work.log.warn(`Instance ${instanceId} is being built or runs, and keeps its addresses`);
      return;
    }
    await this.#freeAll(context, instanceId, (work) => unlessNeeded(this.work.db, instanceId, work));
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

  /**
   * An instance which failed or went away while it got its addresses gives them back: who cleaned up after it may have
   * come before. Throws InstanceNotFound.
   */
  async #requireWanted(context: Context, instanceId: number): Promise<void> {
    const instance = await findInstanceState(this.work.db, instanceId);
    if (instance !== undefined && instance.vm_state !== 'error') return;
    await this.#undo(context, instanceId);
    throw new InstanceNotFound(instanceId);
  }

  /**
   * Gives the addresses, each on the host which owns it; other hosts work side by side, and all have ended when this
   * ends. Answers what this host has given. Throws what the first of them threw.
   */
  async #giveAll(
    context: Context,
    instanceId: number,
    instanceHost: string,
    gifts: readonly Gift[],
  ): Promise<FixedIpRow[]> {
    const { runtime, rpc } = this.work;
    const here: FixedIpRow[] = [];
    const elsewhere: Promise<null>[] = [];
    try {
      for (const gift of gifts) {
        const { network, wish } = gift;
        const owner = await this.#ownerOf(context, network, instanceHost);
        if (owner === runtime.host) {
          here.push(await this.#give(context, instanceId, gift));
          continue;
        }
        const args = { instance_id: instanceId, network_id: network.id, ...wish };
        const given = rpc.networkOn(owner).call._rpc_allocate_fixed_ip(context.elevated(), args);
        given.catch(() => undefined);
        elsewhere.push(given);
      }
    } finally {
      await Promise.allSettled(elsewhere);
    }
    await Promise.all(elsewhere);
    return here;
  }

  /** The host which gives out a network's addresses; a network without one gets it here. */
  async #ownerOf(context: Context, network: NetworkRow, instanceHost: string): Promise<string> {
    const { kind, runtime, rpc } = this.work;
    if (!kind.hasDhcp) return runtime.host;
    if (network.multi_host) return instanceHost;
    return network.host || rpc.network.call.set_network_host(context.elevated(), { network_ref: network });
  }

  /** The address, in use on the interface. */
  async #claim(
    network: NetworkRow,
    instanceId: number,
    interfaceId: number,
    { address, vpn, another }: AddressWish,
  ): Promise<FixedIpRow> {
    const { db, kind } = this.work;
    const kept = vpn ? kind.vpnAddress(network) : null;
    const wished = kept ?? address;
    if (wished === null && !another) {
      const row = await claimFixedIp(db, network, instanceId, { interfaceId });
      if (row === null) throw new NoMoreFixedIps();
      return row;
    }
    // in two steps: whoever asks again after a doubt gets one more, and the first is swept as long as it isn't in use
    const row =
      wished === null
        ? await claimFixedIp(db, network, instanceId, { another: true })
        : await claimWishedFixedIp(db, network, wished, instanceId, { reserved: kept !== null });
    if (row === null) throw new NoMoreFixedIps();
    if (!(await allocateFixedIp(db, row, instanceId, interfaceId))) throw new FixedIpNotFoundForInstance(instanceId);
    return { ...row, allocated: true, virtual_interface_id: interfaceId };
  }

  async #freeAll(context: Context, instanceId: number, guard: Guard): Promise<void> {
    const rows = await fixedIpsOfInstances(this.work.db, [instanceId]);
    await this.#releaseElsewhere(context, rows, instanceId);
    await this.#free(context, rows, instanceId, guard);
    await guard(async (tx) => {
      await this.#disassociate(tx, rows, instanceId);
      await deleteVirtualInterfaces(tx, instanceId);
    });
  }

  /** Back to the pool with what is out of use, unless the end of its lease is to be waited for. */
  async #disassociate(tx: Tx, rows: readonly FixedIpRow[], instanceId: number): Promise<void> {
    if (this.work.kind.hasDhcp) return;
    for (const row of rows) await disassociateFixedIp(tx, row.id, instanceId);
  }

  /**
   * Takes addresses of an instance out of use, and lets those know who let the instance in. From then on they may go
   * back to the pool. `guard` runs what writes.
   */
  async #free(context: Context, rows: readonly FixedIpRow[], instanceId: number, guard: Guard): Promise<void> {
    const { db, kind, runtime } = this.work;
    const ids = rows.map((row) => row.id);
    await this.#dropFloating(context, ids);
    const releases = kind.hasDhcp && runtime.flags.force_dhcp_release;
    const interfaces = releases ? await virtualInterfacesOfInstances(db, [instanceId]) : [];
    let changed = false;
    for (const row of rows) {
      if (!(await guard((tx) => deallocateFixedIp(tx, row.id, instanceId)))) continue;
      changed = true;
      if (!releases) continue;
      await this.#releaseLease(row, interfaces.find((vif) => vif.id === row.virtual_interface_id)?.address ?? null);
    }
    // from here on no floating address can join them; one which just did would go along to the next instance
    await this.#dropFloating(context, ids);
    if (changed) await refreshGroupMembers(this.work, context, instanceId);
  }

  /** Ends the lease of an address in a network which this host serves. A failure is logged: the lease ends by itself. */
  async #releaseLease(row: FixedIpRow, mac: string | null): Promise<void> {
    const { db, driver, runtime, log } = this.work;
    if (row.network_id === null || row.address === null || mac === null) return;
    try {
      const network = await getNetwork(db, row.network_id);
      if (!network.multi_host && network.host !== runtime.host) return;
      await driver.releaseDhcp(network, row.address, mac);
    } catch (error) {
      log.error(`The lease of ${row.address} could not be released: ${errorText(error)}`, error);
    }
  }

  /**
   * With the flag force_dhcp_release, lets other hosts free the addresses of networks which they serve, since only they
   * can end the leases. One that doesn't answer is passed over: its addresses are freed without.
   */
  async #releaseElsewhere(context: Context, rows: readonly FixedIpRow[], instanceId: number): Promise<void> {
    const { db, kind, runtime, rpc, log } = this.work;
    const held = rows.filter((row) => row.allocated === true && row.network_id !== null);
    if (!kind.hasDhcp || !runtime.flags.force_dhcp_release || held.length === 0) return;
    const networks = await networksByIds(db, [...new Set(held.map((row) => row.network_id!))]);
    const instanceHost = (await findInstance(db, instanceId, { deleted: 'any' }))?.host ?? null;
    const silent = new Set<string>();
    for (const row of held) {
      const network = networks.find((one) => one.id === row.network_id);
      const owner = network?.multi_host ? instanceHost : network?.host;
      if (!owner || owner === runtime.host || silent.has(owner)) continue;
      try {
        const args = { instance_id: instanceId, address: row.address! };
        const options = { timeout: foreignHostSeconds };
        await rpc.networkOn(owner).call.remove_fixed_ip_from_instance(context.elevated(), args, options);
      } catch (error) {
        silent.add(owner);
        log.warn(`Host ${owner} could not release ${row.address}: ${errorText(error)}`);
      }
    }
  }

  async #dropFloating(context: Context, fixedIpIds: readonly number[]): Promise<void> {
    for (const row of await floatingIpsOfFixedIps(this.work.db, fixedIpIds)) await this.floating.drop(context, row);
  }

  #alone<T>(instanceId: number, work: (tx: Tx) => Promise<T>): Promise<T> {
    return this.work.db.transaction(async (tx) => {
      await lockAddressesOf(tx, instanceId);
      return work(tx);
    });
  }

  async #undo(context: Context, instanceId: number): Promise<void> {
    try {
      await this.#freeAll(context, instanceId, (work) => this.#alone(instanceId, work));
    } catch (error) {
      this.work.log.error(`Addresses of instance ${instanceId} could not be given back: ${errorText(error)}`, error);
    }
  }
}
