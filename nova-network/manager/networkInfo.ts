import { claimHostFixedIp, fixedIpsOfInstances } from '../../common/db/fixedIps.js';
import { findInstance } from '../../common/db/instances.js';
import { networksOfInstance } from '../../common/db/networks.js';
import type { FixedIpRow, NetworkRow, VirtualInterfaceRow } from '../../common/db/rows.js';
import { virtualInterfacesOfInstances } from '../../common/db/virtualInterfaces.js';
import { InstanceNotFound, NoMoreFixedIps } from '../../common/errors.js';
import { guestAddressV6 } from '../../common/ipAddress.js';
import type { InstanceId } from '../../common/rpc/compute.js';
import type { InterfaceOfInfo, NetworkInfo, NetworkOfInfo } from '../../common/rpc/network.js';
import type { Holdings } from './fixedAddresses.js';
import type { NetworkWork } from './kind.js';
import { rowId } from './wishes.js';

/**
 * What an instance has, as nova-compute and the APIs need it: one pair an interface whose network still exists. One
 * query a table, unless it is `known` what it has. The instance may be deleted already. Throws InstanceNotFound for a uuid
 * which never was.
 */
export async function networkInfo(
  work: NetworkWork,
  key: InstanceId,
  instanceTypeId: number,
  host: string | null,
  known?: Holdings,
): Promise<NetworkInfo> {
  const { db } = work;
  const instanceId = await idOf(work, key);
  const [held, interfaces, onNetworks, flavor] = await Promise.all([
    known?.addresses ?? fixedIpsOfInstances(db, [instanceId]),
    known?.interfaces ?? virtualInterfacesOfInstances(db, [instanceId]),
    known?.networks ?? networksOfInstance(db, instanceId),
    db.first<{ rxtx_cap: number }>('SELECT rxtx_cap FROM instance_types WHERE id = ?', [instanceTypeId]),
  ]);
  // One which is given back and waits for the end of its lease is no longer the guest's once it has another.
  const addresses = held[0]?.allocated === true ? held.filter((row) => row.allocated === true) : held;
  if (addresses.length === 0) work.log.warn(`No fixed IPs for instance ${instanceId}`);
  if (interfaces.length === 0) return [];
  const networks = new Map(onNetworks.map((network) => [network.id, network]));
  const info: NetworkInfo = [];
  for (const vif of interfaces) {
    const network = networks.get(vif.network_id ?? -1);
    if (network === undefined) continue;
    const own = addresses.filter((row) => row.network_id === network.id);
    const dhcpServer = await dhcpServerOf(work, network, host);
    info.push([ofNetwork(network), ofInterface(work, network, vif, own, dhcpServer, flavor?.rxtx_cap ?? 0)]);
  }
  return info;
}

async function idOf(work: NetworkWork, key: InstanceId): Promise<number> {
  if (typeof key !== 'string' || /^\d{1,10}$/.test(key)) return rowId(key, 'instance_id');
  const instance = await findInstance(work.db, key, { deleted: 'any' });
  if (instance === undefined) throw new InstanceNotFound(key);
  return instance.id;
}

/** The gateway; of a multi_host network the address of the instance's host in it, taken from the pool when need be. */
async function dhcpServerOf(work: NetworkWork, network: NetworkRow, host: string | null): Promise<string | null> {
  if (!network.multi_host || host === null) return network.gateway;
  const row = await claimHostFixedIp(work.db, network, host);
  if (row === null) throw new NoMoreFixedIps();
  return row.address;
}

function ofNetwork(network: NetworkRow): NetworkOfInfo {
  return {
    bridge: network.bridge,
    id: network.id,
    cidr: network.cidr,
    cidr_v6: network.cidr_v6,
    injected: network.injected === true,
    vlan: network.vlan,
    bridge_interface: network.bridge_interface,
    multi_host: network.multi_host === true,
  };
}

function ofInterface(
  work: NetworkWork,
  network: NetworkRow,
  vif: VirtualInterfaceRow,
  addresses: readonly FixedIpRow[],
  dhcpServer: string | null,
  rxtxCap: number,
): InterfaceOfInfo {
  const mac = vif.address ?? '';
  const { ipv6_backend: backend } = work.runtime.flags;
  const ip6 = network.cidr_v6 ? guestAddressV6(backend, network.cidr_v6, mac, network.project_id) : null;
  return {
    label: network.label,
    gateway: network.gateway,
    dhcp_server: dhcpServer,
    broadcast: network.broadcast,
    mac,
    vif_uuid: vif.uuid ?? '',
    rxtx_cap: rxtxCap,
    dns: [network.dns1, network.dns2].filter((dns): dns is string => dns !== null && dns !== ''),
    ips: addresses.map((row) => ({ ip: row.address ?? '', netmask: network.netmask ?? '', enabled: '1' })),
    should_create_bridge: work.kind.shouldCreateBridge,
    should_create_vlan: work.kind.shouldCreateVlan,
    ...(ip6 === null ? {} : { ip6s: [{ ip: ip6, netmask: network.netmask_v6 ?? '', enabled: '1' as const }] }),
    ...(network.gateway_v6 ? { gateway6: network.gateway_v6 } : {}),
  };
}
