import { dhcpHosts, dhcpScope } from '../../common/db/dhcpHosts.js';
import { claimHostFixedIp } from '../../common/db/fixedIps.js';
import { changeNetwork, getNetwork } from '../../common/db/networks.js';
import type { NetworkRow } from '../../common/db/rows.js';
import { newMacAddress } from '../../common/db/virtualInterfaces.js';
import { NoMoreFixedIps } from '../../common/errors.js';
import { Lanes } from '../../common/lanes.js';
import { NetworkManager } from './networkManager.js';

/**
 * Managers whose networks have a gateway and a DHCP server on their host; of a multi_host network on every host (nova
 * 2011.3, nova/network/manager.py RPCAllocateFixedIP and the managers with DHCP).
 */
export abstract class DhcpManager extends NetworkManager {
  readonly shouldCreateBridge = true;
  readonly hasDhcp = true;
  readonly #lanes = new Lanes<number>();
  /** Set-ups which wait for the one before them: they will see what was written until they begin. */
  readonly #waiting = new Map<number, Promise<void>>();

  /**
   * One set-up of a network runs at a time, and whoever comes while one waits shares it: a hundred new addresses are not a
   * hundred rewritten files.
   */
  setUpNetwork({ id }: Pick<NetworkRow, 'id'>): Promise<void> {
    const waiting = this.#waiting.get(id);
    if (waiting !== undefined) return waiting;
    let begun = false;
    const setUp = this.#lanes.run(id, () => {
      begun = true;
      this.#waiting.delete(id);
      return this.#setUp(id);
    });
    if (!begun) this.#waiting.set(id, setUp);
    return setUp;
  }

  /** What a kind adds before the network is set up; answers the row as it is then. */
  protected async prepare(network: NetworkRow): Promise<NetworkRow> {
    return network;
  }

  /** What a kind adds once the gateway is there. */
  protected async complete(_network: NetworkRow): Promise<void> {}

  async #setUp(id: number): Promise<void> {
    const { db, driver, runtime } = this.work;
    const network = await this.prepare(await getNetwork(db, id));
    const setup = { dhcpServer: await this.#dhcpServer(network), mac: newMacAddress(runtime.random) };
    await driver.setUpNetwork(network, setup);
    await this.complete(network);
    if (setup.dhcpServer !== null) {
      const scope = dhcpScope(network, runtime.host);
      await driver.updateDhcp(network, setup, () => dhcpHosts(db, id, scope));
    }
    if (!runtime.flags.use_ipv6 || network.cidr_v6 === null) return;
    const gateway = await driver.updateRouterAdvertisement(network);
    if (gateway !== null && gateway !== network.gateway_v6) await changeNetwork(db, id, { gateway_v6: gateway });
  }

  /** This host's address in the network. Throws NoMoreFixedIps. */
  async #dhcpServer(network: NetworkRow): Promise<string | null> {
    if (network.cidr === null) return null;
    if (!network.multi_host) return network.gateway;
    const own = await claimHostFixedIp(this.work.db, network, this.work.runtime.host);
    if (own === null) throw new NoMoreFixedIps();
    return own.address;
  }
}
