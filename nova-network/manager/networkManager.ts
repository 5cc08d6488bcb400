import type { Context } from '../../common/context.js';
import type { DaemonParts } from '../../common/daemon.js';
import { fixedIpByAddress, freeTimedOutFixedIps, instancesToReclaim } from '../../common/db/fixedIps.js';
import { releaseStrandedFloatingIps } from '../../common/db/floatingIps.js';
import {
  fillNetworkUuids,
  listNetworks,
  networksByUuids,
  networksOfHost,
  setNetworkHost,
} from '../../common/db/networks.js';
import type { NetworkRow } from '../../common/db/rows.js';
import {
  DBError,
  errorText,
  FixedIpAlreadyInUse,
  FixedIpInvalid,
  FixedIpNotFoundForNetwork,
  NetworkHostNotSet,
  NetworkNotFound,
  NetworkNotFoundForProject,
  NoNetworksFound,
  NovaPlainError,
} from '../../common/errors.js';
import { isIPv4 } from '../../common/ipAddress.js';
import type { Manager, PeriodicTask } from '../../common/manager.js';
import { networkMethods, type NetworkRpc } from '../../common/rpc/network.js';
import type { RpcHandlers } from '../../common/rpc/types.js';
import { dbTime } from '../../common/time.js';
import type { NetworkDriver } from '../linux/driver.js';
import { FixedAddresses } from './fixedAddresses.js';
import { FloatingAddresses } from './floatingAddresses.js';
import type { NetworkKind, NetworkWork } from './kind.js';
import { networkInfo } from './networkInfo.js';
import { parseWishes, rowId, textOf, type NetworkWish } from './wishes.js';

/** What all network managers do (nova 2011.3, nova/network/manager.py); a subclass is one row of the class table. */
export abstract class NetworkManager implements Manager<NetworkRpc>, NetworkKind {
  abstract readonly shouldCreateBridge: boolean;
  abstract readonly shouldCreateVlan: boolean;
  abstract readonly hasDhcp: boolean;
  abstract setUpNetwork(network: NetworkRow): Promise<void>;

  readonly methods = networkMethods;
  readonly handlers: RpcHandlers<NetworkRpc>;
  readonly periodicTasks: readonly PeriodicTask[] = [
    { name: 'disassociate_timed_out_fixed_ips', run: () => this.#freeTimedOut() },
    { name: 'reclaim_fixed_ips', run: (context) => this.#reclaim(context) },
    { name: 'reconcile_floating_ips', run: () => this.#floating.reconcile() },
  ];
  protected readonly work: NetworkWork;
  readonly #fixed: FixedAddresses;
  readonly #floating: FloatingAddresses;

  constructor({ runtime, db, rpc }: DaemonParts, driver: NetworkDriver) {
    this.work = { runtime, db, rpc, driver, log: runtime.log.logger('nova.network.manager'), kind: this };
    this.#floating = new FloatingAddresses(this.work);
    this.#fixed = new FixedAddresses(this.work, this.#floating);
    this.handlers = this.#answers();
  }

  /** Networks and floating addresses of this host as before, and what deleted instances still hold freed. */
  async initHost(context: Context): Promise<void> {
    const { db, runtime, driver, log } = this.work;
    await driver.init();
    await fillNetworkUuids(db, () => runtime.random.uuid());
    for (const network of await networksOfHost(db, runtime.host)) {
      try {
        await this.setUpNetwork(network);
      } catch (error) {
        if (error instanceof DBError) throw error;
        log.error(`Network ${network.id} could not be set up: ${errorText(error)}`, error);
      }
    }
    await this.#floating.restore();
    await this.#reclaim(context);
  }

  /** The wished networks, else all; never those with a VLAN. */
  async networksFor(projectId: string, wishes: readonly NetworkWish[]): Promise<NetworkRow[]> {
    const networks =
      wishes.length > 0 ? await this.wishedNetworks(projectId, wishes) : await listNetworks(this.work.db);
    return networks.filter((network) => network.vlan === null);
  }

  /**
   * The networks with the wished uuids. Throws NoNetworksFound when there is none of them, NetworkNotFound (or
   * NetworkNotFoundForProject) for the first which is missing, NetworkHostNotSet where this kind of network needs a host
   * and has none.
   */
  async wishedNetworks(projectId: string | null, wishes: readonly NetworkWish[]): Promise<NetworkRow[]> {
    const uuids = wishes.map((wish) => wish.uuid);
    const networks = (await networksByUuids(this.work.db, uuids)).filter((one) => this.isFor(one, projectId));
    if (networks.length === 0) throw new NoNetworksFound();
    const missing = uuids.find((uuid) => !networks.some((network) => network.uuid === uuid));
    if (missing !== undefined) {
      throw this.shouldCreateVlan && projectId !== null
        ? new NetworkNotFoundForProject(missing, projectId)
        : new NetworkNotFound(missing);
    }
    const homeless = networks.find((network) => !network.host && !network.multi_host);
    if (this.hasDhcp && homeless !== undefined) throw new NetworkHostNotSet(homeless.id);
    return networks;
  }

  /** Only the networks of a VlanManager belong to projects. */
  async addNetwork(_projectId: string): Promise<void> {
    throw new NovaPlainError(`The networks of ${this.constructor.name} belong to no project`);
  }

  vpnAddress(_network: NetworkRow): string | null {
    return null;
  }

  /** Whether instances of a project may be on a network. */
  protected isFor(_network: NetworkRow, _projectId: string | null): boolean {
    return true;
  }

  #answers(): RpcHandlers<NetworkRpc> {
    return {
      allocate_for_instance: async (context, args) => {
        const instanceId = rowId(args.instance_id, 'instance_id');
        const projectId = textOf(args.project_id, 'project_id');
        const holdings = await this.#fixed.allocate(context, {
          instanceId,
          projectId,
          host: args.host,
          vpn: args.vpn === true,
          wishes: parseWishes(args.requested_networks),
        });
        if (this.work.runtime.flags.auto_assign_floating_ip) {
          await this.#floating.autoAssign(context, instanceId, projectId);
        }
        const typeId = rowId(args.instance_type_id, 'instance_type_id');
        return networkInfo(this.work, instanceId, typeId, args.host, holdings);
      },
      deallocate_for_instance: async (context, args, delivery) => {
        await this.#fixed.deallocate(context, rowId(args.instance_id, 'instance_id'));
        // each step is idempotent and found again by its rows: until the last one is done the message stays
        delivery.accept();
        return null;
      },
      get_instance_nw_info: (_context, args) =>
        networkInfo(this.work, args.instance_id, rowId(args.instance_type_id, 'instance_type_id'), args.host),
      validate_networks: async (context, args) => {
        await this.#validate(context.projectId, parseWishes(args.networks));
        return null;
      },
      add_fixed_ip_to_instance: async (context, args) => {
        const instanceId = rowId(args.instance_id, 'instance_id');
        await this.#fixed.add(context, instanceId, rowId(args.network_id, 'network_id'), args.host);
        return null;
      },
      _rpc_allocate_fixed_ip: async (context, args) => {
        const instanceId = rowId(args.instance_id, 'instance_id');
        await this.#fixed.giveHere(context, rowId(args.network_id, 'network_id'), instanceId, {
          address: args.address ? textOf(args.address, 'address') : null,
          vpn: args.vpn === true,
          another: args.another !== false,
        });
        return null;
      },
      add_network_to_project: async (_context, args) => {
        await this.addNetwork(textOf(args.project_id, 'project_id'));
        return null;
      },
      remove_fixed_ip_from_instance: async (context, args) => {
        await this.#fixed.remove(context, rowId(args.instance_id, 'instance_id'), textOf(args.address, 'address'));
        return null;
      },
      set_network_host: async (_context, args) => {
        const id = rowId((args.network_ref as { id?: unknown } | null)?.id, 'network_ref.id');
        return setNetworkHost(this.work.db, id, this.work.runtime.host);
      },
      allocate_floating_ip: (context, args) => this.#floating.allocate(context, textOf(args.project_id, 'project_id')),
      deallocate_floating_ip: async (context, args) => {
        await this.#floating.release(context, textOf(args.floating_address, 'floating_address'));
        return null;
      },
      associate_floating_ip: async (context, args, delivery) => {
        const address = textOf(args.floating_address, 'floating_address');
        await this.#floating.associate(context, address, textOf(args.fixed_address, 'fixed_address'), () =>
          delivery.accept(),
        );
        return null;
      },
      disassociate_floating_ip: async (context, args) => {
        await this.#floating.disassociate(context, textOf(args.floating_address, 'floating_address'));
        return null;
      },
      lease_fixed_ip: async (_context, args) => {
        await this.#fixed.lease(textOf(args.address, 'address'));
        return null;
      },
      release_fixed_ip: async (_context, args) => {
        await this.#fixed.release(textOf(args.address, 'address'));
        return null;
      },
    };
  }

  async #validate(projectId: string | null, wishes: readonly NetworkWish[]): Promise<void> {
    if (wishes.length === 0) return;
    const networks = await this.wishedNetworks(projectId, wishes);
    for (const { uuid, address } of wishes) {
      if (address === null) continue;
      if (!isIPv4(address)) throw new FixedIpInvalid(address);
      const row = await fixedIpByAddress(this.work.db, address);
      const network = networks.find((one) => one.uuid === uuid)!;
      if (row?.network_id !== network.id) throw new FixedIpNotFoundForNetwork(address, uuid);
      if (row.instance_id !== null) throw new FixedIpAlreadyInUse(address);
    }
  }

  async #freeTimedOut(): Promise<void> {
    const { db, runtime, log } = this.work;
    const before = dbTime(runtime.clock.now() - runtime.flags.fixed_ip_disassociate_timeout * 1000);
    const floating = await releaseStrandedFloatingIps(db, before);
    if (floating > 0) log.info(`Released ${floating} floating ip(s) which no instance has any more`);
    // where addresses are freed at once, too: another manager of the same networks (2011.3's among them) may have left some
    const fixed = await freeTimedOutFixedIps(db, runtime.host, before);
    if (fixed > 0) log.debug(`Disassociated ${fixed} stale fixed ip(s)`);
  }

  /** Frees what deleted instances still hold: a daemon died before it was done, or its message was lost. */
  async #reclaim(context: Context): Promise<void> {
    for (const instanceId of await instancesToReclaim(this.work.db, !this.hasDhcp)) {
      this.work.log.info(`Freeing the addresses of instance ${instanceId}, which is gone`);
      try {
        await this.#fixed.deallocate(context, instanceId);
      } catch (error) {
        if (error instanceof DBError) throw error;
        this.work.log.error(`Addresses of instance ${instanceId} could not be freed: ${errorText(error)}`, error);
      }
    }
  }
}
