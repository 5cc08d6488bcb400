import { expect } from 'chai';
import { createFloatingIps } from '../../../common/db/floatingIps.js';
import type { PeriodicTask } from '../../../common/manager.js';
import { runService } from '../../../common/service.js';
import type { NetworkDriver } from '../../../nova-network/linux/driver.js';
import { FlatDHCPManager } from '../../../nova-network/manager/flatDhcp.js';
import type { NetworkManagerClass } from '../../../nova-network/manager/choose.js';
import type { NetworkManager } from '../../../nova-network/manager/networkManager.js';
import { VlanManager } from '../../../nova-network/manager/vlan.js';
import type { FlagName } from '../../../common/flags/flags.js';
import type { RunningDaemon } from '../../../common/daemon.js';
import { caller, failure, NetworkFixture } from './fixture.js';

const context = caller({ isAdmin: true });

/** A driver which says what it was asked for, and may fail. */
class NotingDriver implements NetworkDriver {
  readonly calls: string[] = [];
  fails: string | null = null;
  /** Holds the next set-ups until it is resolved. */
  gate: Promise<void> | null = null;

  async #note(call: string): Promise<void> {
    this.calls.push(call);
    if (this.fails !== null && call.startsWith(this.fails)) throw new Error(`${this.fails} failed`);
  }
  init = (): Promise<void> => this.#note('init');
  setUpNetwork: NetworkDriver['setUpNetwork'] = async (network, { dhcpServer, mac }) => {
    expect(mac).to.match(/^02:16:3e:/);
    await this.gate;
    await this.#note(`setUpNetwork ${network.id} ${dhcpServer}`);
  };
  updateDhcp: NetworkDriver['updateDhcp'] = async (network, _setup, hosts) =>
    this.#note(`updateDhcp ${network.id} ${(await hosts()).map(({ address }) => address).join()}`);
  updateRouterAdvertisement: NetworkDriver['updateRouterAdvertisement'] = async (network) => {
    await this.#note(`updateRouterAdvertisement ${network.id}`);
    return 'fe80::1';
  };
  ensureVpnForward: NetworkDriver['ensureVpnForward'] = (forward) =>
    this.#note(`vpn ${Object.values(forward).join(' ')}`);
  releaseDhcp: NetworkDriver['releaseDhcp'] = (network, address) => this.#note(`releaseDhcp ${network.id} ${address}`);
  bindFloatingIp = (address: string): Promise<void> => this.#note(`bind ${address}`);
  unbindFloatingIp = (address: string): Promise<void> => this.#note(`unbind ${address}`);
  ensureFloatingForward = (address: string): Promise<void> => this.#note(`forward ${address}`);
  removeFloatingForward = (address: string): Promise<void> => this.#note(`stop ${address}`);
}

describe('nova-network: what it asks of its host', () => {
  let cloud: NetworkFixture;
  let driver: NotingDriver;
  let daemon: RunningDaemon;
  let manager: NetworkManager;
  const floatingTask = (): PeriodicTask => manager.periodicTasks.find(({ name }) => name === 'reconcile_floating_ips')!;
  afterEach(async () => {
    await daemon.stop();
    await cloud.stop();
  });

  async function start(Manager: NetworkManagerClass, flags: Partial<Record<FlagName, unknown>> = {}): Promise<void> {
    cloud = await NetworkFixture.start(flags);
    driver = new NotingDriver();
    await cloud.network('10.2.0.0/28', { host: 'cloud1' }, { start: 100, vpnStart: 1000 });
    await serve(Manager);
  }
  async function serve(Manager: NetworkManagerClass): Promise<void> {
    const parts = cloud.daemonParts();
    manager = new Manager(parts, driver);
    daemon = await runService(parts, { binary: 'nova-network', topic: 'network', manager });
  }
  const allocate = async (id: number): Promise<unknown> =>
    cloud.parts.rpc.network.call.allocate_for_instance(context, {
      instance_id: id,
      project_id: 'demo',
      host: 'cloud1',
      instance_type_id: 2,
      vpn: false,
    });

  it('sets its networks up at the start and with each address: gateway, VPN, DHCP, IPv6', async () => {
    await start(VlanManager, { vpn_ip: '4.4.4.4', use_ipv6: true });
    const setUp = (guests: string): string[] => [
      'setUpNetwork 1 10.2.0.1',
      'vpn 4.4.4.4 1000 10.2.0.2',
      `updateDhcp 1 ${guests}`,
    ];
    expect(driver.calls.splice(0)).to.deep.equal(['init', ...setUp('')]);
    await cloud.db.update('networks', { cidr_v6: 'fd00::/64', gateway_v6: 'fd00::1' }, 'id = 1');
    await allocate(await cloud.instance());
    expect(driver.calls.splice(0)).to.deep.equal([...setUp('10.2.0.3'), 'updateRouterAdvertisement 1']);
    expect(await cloud.db.first('SELECT gateway_v6 FROM networks')).to.deep.equal({ gateway_v6: 'fe80::1' });
    await allocate(await cloud.instance());
    expect(driver.calls).to.deep.equal([...setUp('10.2.0.3,10.2.0.4'), 'updateRouterAdvertisement 1']);
  });

  it('keeps an association as long as its host forwards it, and brings host and rows together from time to time', async () => {
    await start(VlanManager);
    await createFloatingIps(cloud.db, ['1.2.3.1']);
    await allocate(await cloud.instance());
    const { network } = cloud.parts.rpc;
    const address = await network.call.allocate_floating_ip(context, { project_id: 'demo' });
    const pair = { floating_address: address, fixed_address: '10.2.0.3' };
    const associated = async (): Promise<boolean> =>
      (await cloud.db.first<{ fixed_ip_id: number | null }>('SELECT fixed_ip_id FROM floating_ips'))!.fixed_ip_id !==
      null;
    const tick = async (): Promise<string[]> => {
      driver.calls.length = 0;
      await floatingTask().run(context);
      return driver.calls.filter((call) => !call.startsWith('setUp') && !call.startsWith('update'));
    };
    await network.call.associate_floating_ip(context, pair);
    driver.fails = 'stop';
    await failure(network.call.disassociate_floating_ip(context, { floating_address: address }));
    expect(await associated()).to.equal(true);
    driver.fails = null;
    expect(await tick()).to.deep.equal(['bind 1.2.3.1', 'forward 1.2.3.1']);
    expect(await tick()).to.deep.equal([]);
    // another host gave it away while this one did not answer
    await cloud.db.update('floating_ips', { fixed_ip_id: null, host: null }, 'address = ?', [address]);
    expect(await tick()).to.deep.equal(['stop 1.2.3.1', 'unbind 1.2.3.1']);
    driver.fails = 'forward';
    await failure(network.call.associate_floating_ip(context, pair));
    expect(await associated()).to.equal(false);
    driver.fails = null;
    expect(await tick()).to.deep.equal(['stop 1.2.3.1', 'unbind 1.2.3.1']);
  });

  it('sets a network up once for many who wait', async () => {
    await start(VlanManager);
    driver.calls.length = 0;
    let open = (): void => undefined;
    driver.gate = new Promise((resolve) => (open = resolve));
    const all = [];
    for (let count = 0; count < 8; count++) all.push(allocate(await cloud.instance()));
    const given = async (): Promise<number> =>
      (await cloud.db.first<{ n: number }>('SELECT COUNT(*) AS n FROM fixed_ips WHERE allocated = ?', [true]))!.n;
    while ((await given()) < 8) await cloud.parts.runtime.sleep(1);
    open();
    await Promise.all(all);
    const guests = driver.calls.filter((call) => call.startsWith('updateDhcp')).map((call) => call.split(',').length);
    expect(guests.length).to.be.lessThan(4);
    expect(guests.at(-1)).to.equal(8);
  });

  it('releases leases where it is told to, and gives the address up though that fails', async () => {
    await start(VlanManager, { force_dhcp_release: true });
    const id = await cloud.instance();
    await allocate(id);
    driver.calls.length = 0;
    driver.fails = 'releaseDhcp';
    await cloud.parts.rpc.network.cast.deallocate_for_instance(context, { instance_id: id, project_id: 'demo' });
    await cloud.settled();
    expect(driver.calls).to.deep.equal(['releaseDhcp 1 10.2.0.3']);
    expect(await cloud.db.all('SELECT id FROM fixed_ips WHERE allocated = ?', [true])).to.deep.equal([]);
  });

  it('records no floating address which it could not bind, and says so', async () => {
    await start(FlatDHCPManager);
    await cloud.network('10.3.0.0/28', { host: 'cloud1' });
    await cloud.db.insert('floating_ips', { address: '1.2.3.1', project_id: 'demo', auto_assigned: false });
    const id = await cloud.instance();
    await allocate(id);
    const fixed = await cloud.db.first<{ address: string }>('SELECT address FROM fixed_ips WHERE allocated = ?', [
      true,
    ]);
    for (const fails of ['bind', 'forward']) {
      driver.fails = fails;
      const associate = cloud.parts.rpc.networkOn('cloud1').call.associate_floating_ip(context, {
        floating_address: '1.2.3.1',
        fixed_address: fixed!.address,
      });
      expect((await failure(associate)).message).to.contain(`${fails} failed`);
      const row = await cloud.db.first('SELECT fixed_ip_id, host, project_id FROM floating_ips');
      expect(row).to.deep.equal({ fixed_ip_id: null, host: null, project_id: 'demo' });
    }
  });

  it('gives an instance nothing when its network cannot be set up, and starts though one cannot', async () => {
    await start(FlatDHCPManager);
    await cloud.network('10.3.0.0/28', { host: 'cloud1' });
    driver.fails = 'setUpNetwork';
    const id = await cloud.instance();
    await allocate(id).then(
      () => expect.fail('allocated'),
      () => undefined,
    );
    expect(await cloud.db.all('SELECT id FROM fixed_ips WHERE allocated = ?', [true])).to.deep.equal([]);
    expect(await cloud.db.all('SELECT id FROM virtual_interfaces')).to.deep.equal([]);
    await daemon.stop();
    await serve(FlatDHCPManager);
    driver.fails = null;
    await allocate(await cloud.instance());
    expect(driver.calls.at(-1)).to.equal('updateDhcp 2 10.3.0.3');
  });
});
