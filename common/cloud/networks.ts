import { createNetworks, type NewFixedIp } from '../db/networks.js';
import type { Db, Values } from '../db/db.js';
import type { NetworkRow } from '../db/rows.js';
import { Invalid, NetworkNotCreated } from '../errors.js';
import { addressAt, type Cidr, contains, formatCidr, netmask, parseCidr } from '../ipAddress.js';
import type { Random } from '../runtime/runtime.js';

/** What makes networks: the arguments of `nova-manage network create`, with flags already in the place of what is absent. */
export interface NetworkRequest {
  label: string;
  /** CIDR which is cut into `count` networks of `size` addresses each; null for IPv6 alone. */
  rangeV4: string | null;
  rangeV6: string | null;
  gatewayV6: string | null;
  count: number;
  /** Addresses of one network; rounded up to a power of two. */
  size: number;
  multiHost: boolean;
  bridge: string | null;
  bridgeInterface: string | null;
  dns1: string | null;
  dns2: string | null;
  projectId: string | null;
  uuid: string | null;
  /** Addresses kept at the top for VPN clients. */
  vpnClients: number;
  /** Present for the VLAN manager: first VLAN id and first VPN port. */
  vlan?: { start: number; vpnStart: number };
}

/** The request for one network of a whole IPv4 range, on the bridge of 2011.3's examples, with nothing else said. */
export function plainNetwork(label: string, rangeV4: string): NetworkRequest {
  return {
    label,
    rangeV4,
    rangeV6: null,
    gatewayV6: null,
    count: 1,
    size: 2 ** (32 - Number(rangeV4.split('/')[1])),
    multiHost: false,
    bridge: 'br100',
    bridgeInterface: null,
    dns1: null,
    dns2: null,
    projectId: null,
    uuid: null,
    vpnClients: 0,
  };
}

/** More addresses than this in one go are a mistyped range: each becomes a row. */
const mostAddresses = 1 << 18;

/**
 * Makes networks with all their fixed addresses and answers their ids (nova 2011.3, nova/network/manager.py
 * create_networks). The network's own address, gateway, broadcast and, for a VLAN, the VPN server are reserved; 2011.3
 * left the broadcast address to be handed out. Throws NetworkNotCreated for what is missing and Invalid for ranges which
 * don't fit or overlap.
 */
export async function makeNetworks(parts: { db: Db; random: Random }, request: NetworkRequest): Promise<number[]> {
  checkRequest(request);
  return createNetworks(parts.db, (existing) => {
    const v4 = subnetsV4(request, existing);
    const v6 = subnetsV6(request);
    const length = Math.max(v4.length, v6.length);
    checkVlans(request, existing, length);
    const ports = vpnPorts(request, existing, length);
    return Array.from({ length }, (_, index) => {
      const uuid = request.uuid !== null && request.count === 1 ? request.uuid : parts.random.uuid();
      return planOne(request, index, v4[index], v6[index], uuid, ports[index]);
    });
  });
}

function checkRequest(request: NetworkRequest): void {
  if (request.label === '') throw new NetworkNotCreated('--label');
  if (request.rangeV4 === null && request.rangeV6 === null) {
    throw new NetworkNotCreated('--fixed_range_v4 or --fixed_range_v6');
  }
  if (request.vlan === undefined && request.bridge === null) throw new NetworkNotCreated('--bridge');
  if (request.vlan !== undefined && request.bridgeInterface === null) throw new NetworkNotCreated('--bridge_interface');
  if (!(request.count >= 1 && request.size >= 4)) throw new Invalid('At least one network of four addresses is needed');
  if (request.count * request.size > mostAddresses) {
    throw new Invalid(
      `${request.count} networks of ${request.size} addresses are more than ${mostAddresses} addresses`,
    );
  }
  if (request.vlan !== undefined && request.count + request.vlan.start > 4094) {
    throw new Invalid('The sum between the number of networks and the vlan start cannot be greater than 4094');
  }
}

/** Two projects in one VLAN would see each other's guests. */
function checkVlans({ vlan }: NetworkRequest, existing: readonly NetworkRow[], count: number): void {
  if (vlan === undefined) return;
  const other = existing.find((row) => row.vlan !== null && row.vlan >= vlan.start && row.vlan < vlan.start + count);
  if (other !== undefined) throw new Invalid(`VLAN ${other.vlan} is in use by network ${other.cidr ?? other.id}`);
}

/** The first ports from vpnStart on which no cloudpipe has: with the same port two would not be told apart. */
function vpnPorts({ vlan }: NetworkRequest, existing: readonly NetworkRow[], count: number): number[] {
  if (vlan === undefined) return [];
  const used = new Set(existing.map((row) => row.vpn_public_port));
  const ports: number[] = [];
  for (let port = vlan.vpnStart; ports.length < count; port++) if (!used.has(port)) ports.push(port);
  return ports;
}

function subnetBits(size: number): number {
  return Math.ceil(Math.log2(size));
}

function range(text: string, version: 4 | 6): Cidr {
  const cidr = parseCidr(text);
  if (cidr === null || cidr.version !== version) throw new Invalid(`invalid IPNetwork ${text}`);
  return cidr;
}

function subnet(whole: Cidr, prefix: number, index: number): Cidr {
  const size = 1n << BigInt((whole.version === 4 ? 32 : 128) - prefix);
  const network = whole.network + BigInt(index) * size;
  return { version: whole.version, address: network, network, prefix, size };
}

/** The first free subnets of the range; what exists is stepped over, unless it contains the whole of one. */
function subnetsV4(request: NetworkRequest, existing: readonly NetworkRow[]): Cidr[] {
  if (request.rangeV4 === null) return [];
  const whole = range(request.rangeV4, 4);
  const prefix = 32 - subnetBits(request.size);
  if (prefix < whole.prefix || BigInt(request.count) * (1n << BigInt(32 - prefix)) > whole.size) {
    throw new Invalid(`The network range is not big enough to fit ${request.count}. Network size is ${request.size}`);
  }
  const used = existing.map((row) => (row.cidr === null ? null : parseCidr(row.cidr))).filter((cidr) => cidr !== null);
  const found: Cidr[] = [];
  const most = Number(whole.size >> BigInt(32 - prefix));
  let obstacle: { wanted: Cidr; other: Cidr } | undefined;
  for (let index = 0; index < most && found.length < request.count; index++) {
    const wanted = subnet(whole, prefix, index);
    const other = used.find((cidr) => contains(cidr, wanted) || contains(wanted, cidr));
    if (other === undefined) found.push(wanted);
    else if (other.prefix < wanted.prefix) {
      throw new Invalid(
        `requested cidr (${formatCidr(wanted)}) conflicts with existing supernet (${formatCidr(other)})`,
      );
    } else obstacle = { wanted, other };
  }
  if (found.length === request.count) return found;
  if (obstacle !== undefined && obstacle.other.prefix > obstacle.wanted.prefix) {
    const { wanted, other } = obstacle;
    throw new Invalid(
      `requested cidr (${formatCidr(wanted)}) conflicts with existing smaller cidr (${formatCidr(other)})`,
    );
  }
  throw new Invalid('cidr already in use');
}

function subnetsV6(request: NetworkRequest): Cidr[] {
  if (request.rangeV6 === null) return [];
  const whole = range(request.rangeV6, 6);
  // One network is the whole range as it was given: a /64 is what guests can configure themselves in.
  if (request.count === 1) return [whole];
  const prefix = 128 - subnetBits(request.size);
  if (prefix < whole.prefix) throw new Invalid(`${request.rangeV6} is too small for ${request.count} networks`);
  return Array.from({ length: request.count }, (_, index) => subnet(whole, prefix, index));
}

function planOne(
  request: NetworkRequest,
  index: number,
  v4: Cidr | undefined,
  v6: Cidr | undefined,
  uuid: string,
  vpnPort: number | undefined,
): { network: Values<'networks'>; addresses: NewFixedIp[] } {
  const { vlan } = request;
  const network: Values<'networks'> = {
    label: request.count > 1 ? `${request.label}_${index}` : request.label,
    bridge: vlan === undefined ? request.bridge : `br${vlan.start + index}`,
    bridge_interface: request.bridgeInterface,
    multi_host: request.multiHost,
    project_id: request.projectId,
    uuid,
  };
  if (vlan === undefined) Object.assign(network, { dns1: request.dns1, dns2: request.dns2 });
  else Object.assign(network, { vlan: vlan.start + index, vpn_public_port: vpnPort! });
  if (v6 !== undefined) {
    Object.assign(network, {
      cidr_v6: formatCidr(v6),
      netmask_v6: String(v6.prefix),
      gateway_v6: request.gatewayV6 ?? addressAt(v6, 1),
    });
  }
  if (v4 === undefined) return { network, addresses: [] };
  Object.assign(network, {
    cidr: formatCidr(v4),
    netmask: netmask(v4),
    gateway: addressAt(v4, 1),
    broadcast: addressAt(v4, v4.size - 1n),
    dhcp_start: addressAt(v4, vlan === undefined ? 2 : 3),
    ...(vlan !== undefined && { vpn_private_address: addressAt(v4, 2) }),
  });
  const bottom = vlan === undefined ? 2 : 3;
  const top = 1 + request.vpnClients;
  const size = Number(v4.size);
  const addresses = Array.from({ length: size }, (_, position) => ({
    address: addressAt(v4, position),
    reserved: position < bottom || size - position <= top,
  }));
  return { network, addresses };
}
