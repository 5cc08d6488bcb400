import type { Logger } from '../../common/log.js';
import type { NetworkDriver, NetworkSetup, VpnForward } from './driver.js';

/** Leaves the host alone (flag fake_network) and says at DEBUG what it would have done. Keeps no state. */
export class FakeNetworkDriver implements NetworkDriver {
  constructor(private readonly log: Logger) {}

  async init(): Promise<void> {
    this.log.debug('fake network: host rules');
  }
  async setUpNetwork(network: { id: number }, { dhcpServer }: NetworkSetup): Promise<void> {
    this.log.debug(`fake network: set up network ${network.id}, gateway ${dhcpServer}`);
  }
  async updateDhcp(network: { id: number }): Promise<void> {
    this.log.debug(`fake network: update DHCP of network ${network.id}`);
  }
  async updateRouterAdvertisement(network: { id: number }): Promise<null> {
    this.log.debug(`fake network: advertise the IPv6 prefix of network ${network.id}`);
    return null;
  }
  async ensureVpnForward({ publicAddress, publicPort, privateAddress }: VpnForward): Promise<void> {
    this.log.debug(`fake network: forward ${publicAddress}:${publicPort} to the cloudpipe at ${privateAddress}`);
  }
  async releaseDhcp(network: { id: number }, address: string): Promise<void> {
    this.log.debug(`fake network: release the lease of ${address} in network ${network.id}`);
  }
  async bindFloatingIp(floatingAddress: string): Promise<void> {
    this.log.debug(`fake network: bind ${floatingAddress}`);
  }
  async unbindFloatingIp(floatingAddress: string): Promise<void> {
    this.log.debug(`fake network: unbind ${floatingAddress}`);
  }
  async ensureFloatingForward(floatingAddress: string, fixedAddress: string): Promise<void> {
    this.log.debug(`fake network: forward ${floatingAddress} to ${fixedAddress}`);
  }
  async removeFloatingForward(floatingAddress: string, fixedAddress: string): Promise<void> {
    this.log.debug(`fake network: stop forwarding ${floatingAddress} to ${fixedAddress}`);
  }
}
