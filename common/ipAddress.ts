/** Arithmetic on IPv4 and IPv6 addresses and CIDRs (RFC 4632, RFC 4291, RFC 5952). Numbers are BigInt, network order. */
import { createHash } from 'node:crypto';
import { isIPv4, isIPv6 } from 'node:net';

export interface Cidr {
  readonly version: 4 | 6;
  /** The address as written, host bits included. */
  readonly address: bigint;
  /** The address without its host bits. */
  readonly network: bigint;
  readonly prefix: number;
  /** Addresses in it. */
  readonly size: bigint;
}

export { isIPv4, isIPv6 };

const bitsOf = { 4: 32, 6: 128 } as const;

/** The number of an address; null when the text is none. */
export function parseAddress(text: string): { version: 4 | 6; value: bigint } | null {
  if (isIPv4(text)) return { version: 4, value: text.split('.').reduce((sum, part) => sum * 256n + BigInt(part), 0n) };
  if (!isIPv6(text) || text.includes('%')) return null;
  const dotted = /^(.*:)(\d+\.\d+\.\d+\.\d+)$/.exec(text);
  const tail = dotted ? parseAddress(dotted[2]!)!.value : 0n;
  const plain = dotted ? `${dotted[1]}${(tail >> 16n).toString(16)}:${(tail & 0xffffn).toString(16)}` : text;
  const [head = '', rest] = plain.split('::');
  const groups = (part: string): string[] => (part === '' ? [] : part.split(':'));
  const before = groups(head);
  const after = rest === undefined ? [] : groups(rest);
  const all = [...before, ...Array<string>(8 - before.length - after.length).fill('0'), ...after];
  return { version: 6, value: all.reduce((sum, part) => (sum << 16n) | BigInt(`0x${part}`), 0n) };
}

/** An address as text: dotted, or the shortest form of RFC 5952. */
export function formatAddress(version: 4 | 6, value: bigint): string {
  if (version === 4) return [24n, 16n, 8n, 0n].map((shift) => String((value >> shift) & 255n)).join('.');
  const groups = Array.from({ length: 8 }, (_, i) => ((value >> BigInt(112 - 16 * i)) & 0xffffn).toString(16));
  const longest = [...groups.join(':').matchAll(/(?:^|:)0(?::0)+(?=:|$)/g)].sort(
    (a, b) => b[0].length - a[0].length,
  )[0];
  if (longest === undefined) return groups.join(':');
  const text = groups.join(':');
  const left = text.slice(0, longest.index);
  const right = text.slice(longest.index + longest[0].length).replace(/^:/, '');
  return `${left}::${right}`;
}

/** `10.0.0.0/24`, `fd00::/64`; null when the text is no CIDR. A prefix length must be there. */
export function parseCidr(text: string): Cidr | null {
  const match = /^([0-9a-fA-F.:]{2,45})\/(\d{1,3})$/.exec(text);
  const address = match && parseAddress(match[1]!);
  if (!match || !address) return null;
  const prefix = Number(match[2]);
  const bits = bitsOf[address.version];
  if (prefix > bits) return null;
  const size = 1n << BigInt(bits - prefix);
  return {
    version: address.version,
    address: address.value,
    network: address.value - (address.value % size),
    prefix,
    size,
  };
}

/** A CIDR as text, without host bits. */
export function formatCidr(cidr: Pick<Cidr, 'version' | 'network' | 'prefix'>): string {
  return `${formatAddress(cidr.version, cidr.network)}/${cidr.prefix}`;
}

/** The address at an index of a CIDR, e.g. 1 for the first after the network's own. */
export function addressAt(cidr: Cidr, index: number | bigint): string {
  return formatAddress(cidr.version, cidr.network + BigInt(index));
}

/** The dotted netmask of an IPv4 CIDR. */
export function netmask(cidr: Cidr): string {
  return formatAddress(4, (1n << 32n) - cidr.size);
}

/** Whether `inner` lies within `outer` (equal ones do). */
export function contains(outer: Cidr, inner: Cidr): boolean {
  return (
    outer.version === inner.version &&
    outer.network <= inner.network &&
    inner.network + inner.size <= outer.network + outer.size
  );
}

/**
 * The IPv6 address which a guest gives itself in a prefix: the EUI-64 of its MAC (RFC 2462, RFC 4291 appendix A; flag
 * ipv6_backend=rfc2462). Null for a prefix or MAC that is none.
 */
export function rfc2462Address(prefix: string, mac: string): string | null {
  const cidr = parseCidr(prefix);
  const bytes = macBytes(mac);
  if (cidr?.version !== 6 || bytes === null) return null;
  const [a, b, c, d, e, f] = bytes as [number, number, number, number, number, number];
  const eui64 = [a ^ 2, b, c, 0xff, 0xfe, d, e, f].reduce((sum, byte) => (sum << 8n) | BigInt(byte), 0n);
  return formatAddress(6, cidr.network | eui64);
}

/**
 * The IPv6 address made of a project's name and a MAC (nova 2011.3, nova/ipv6/account_identifier.py; flag
 * ipv6_backend=account_identifier). Null for a prefix or MAC that is none.
 */
export function accountIdentifierAddress(prefix: string, mac: string, projectId: string): string | null {
  const cidr = parseCidr(prefix);
  const bytes = macBytes(mac);
  if (cidr?.version !== 6 || bytes === null) return null;
  const project = BigInt(`0x${createHash('sha1').update(projectId).digest('hex').slice(0, 8)}`);
  const low = bytes.slice(3).reduce((sum, byte) => (sum << 8n) | BigInt(byte), 0n);
  return formatAddress(6, cidr.network | (project << 32n) | ((0xffn << 24n) ^ low));
}

/** The IPv6 address of a guest by the flag ipv6_backend. Null for a prefix or MAC that is none. */
export function guestAddressV6(backend: string, prefix: string, mac: string, projectId: string | null): string | null {
  return backend === 'account_identifier' && projectId !== null
    ? accountIdentifierAddress(prefix, mac, projectId)
    : rfc2462Address(prefix, mac);
}

function macBytes(mac: string): number[] | null {
  return /^([0-9a-f]{2}:){5}[0-9a-f]{2}$/i.test(mac) ? mac.split(':').map((part) => parseInt(part, 16)) : null;
}
