import { associateNetwork, fillVpnPublicAddress, getNetwork } from '../../common/db/networks.js';
import type { NetworkRow } from '../../common/db/rows.js';
import { DhcpManager } from './dhcp.js';
import type { NetworkWish } from './wishes.js';

/**
 * Each project on its own networks, each in a VLAN with a bridge and a DHCP server on its host, and with a way in for the
 * VPN clients of the project's cloudpipe (nova 2011.3, nova/network/manager.py VlanManager).
 */
export class VlanManager extends DhcpManager {
  readonly shouldCreateVlan = true;

  /** The wished networks, else the project's; a project without any gets the first free one. Throws NoMoreNetworks. */
  override async networksFor(projectId: string, wishes: readonly NetworkWish[]): Promise<NetworkRow[]> {
    return wishes.length > 0 ? this.wishedNetworks(projectId, wishes) : associateNetwork(this.work.db, projectId);
  }

  override async addNetwork(projectId: string): Promise<void> {
    await associateNetwork(this.work.db, projectId, true);
  }

  override vpnAddress(network: NetworkRow): string | null {
    return network.vpn_private_address;
  }

  /** Those of other projects are not there. */
  protected override isFor(network: NetworkRow, projectId: string | null): boolean {
    return network.project_id === null || network.project_id === projectId;
  }

  /** Cloudpipes are reached at the flag vpn_ip unless the operator chose another address. */
  protected override async prepare(network: NetworkRow): Promise<NetworkRow> {
    const { db, runtime } = this.work;
    if (network.vpn_public_address !== null) return network;
    const { vpn_ip: address } = runtime.flags;
    if (await fillVpnPublicAddress(db, network.id, address)) return { ...network, vpn_public_address: address };
    return getNetwork(db, network.id);
  }

  protected override async complete(network: NetworkRow): Promise<void> {
    const { driver, runtime } = this.work;
    const {
      vpn_public_address: publicAddress,
      vpn_public_port: publicPort,
      vpn_private_address: privateAddress,
    } = network;
    if (publicAddress !== runtime.flags.vpn_ip || publicPort === null || privateAddress === null) return;
    await driver.ensureVpnForward({ publicAddress, publicPort, privateAddress });
  }
}
