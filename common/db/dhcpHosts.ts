import type { Queryable } from './db.js';
import type { NetworkRow } from './rows.js';

/** A guest as the DHCP server of a network knows it. */
export interface DhcpHost {
  mac: string;
  /** As the row has it: chosen by a user. See {@link dhcpName}. */
  hostname: string | null;
  address: string;
  instance_id: number;
  network_id: number;
  /** The guest has taken its address. */
  leased: boolean;
  /** The interface is the instance's first, whose network holds its default gateway. */
  is_first: boolean;
}

/**
 * The guests which a network's DHCP server answers, by ascending id of their addresses: one address an interface, the
 * first (dnsmasq would serve the last of several). With `host` those of instances on that host, which are its own in a
 * multi_host network. One query.
 */
export async function dhcpHosts(db: Queryable, networkId: number, host: string | null = null): Promise<DhcpHost[]> {
  const rows = await db.all<Omit<DhcpHost, 'is_first'> & { vif_id: number; first_vif_id: number }>(
    'SELECT v.address AS mac, i.hostname AS hostname, f.address AS address, f.instance_id AS instance_id, ' +
      'f.network_id AS network_id, f.leased AS leased, v.id AS vif_id, (SELECT MIN(w.id) FROM virtual_interfaces w WHERE w.instance_id = ' +
      'f.instance_id) AS first_vif_id FROM fixed_ips f JOIN virtual_interfaces v ON v.id = f.virtual_interface_id ' +
      'JOIN instances i ON i.id = f.instance_id WHERE f.network_id = ? AND f.deleted = ? AND f.address IS NOT NULL ' +
      `AND v.address IS NOT NULL${host === null ? '' : ' AND i.host = ?'} ORDER BY f.id`,
    [networkId, false, ...(host === null ? [] : [host])],
  );
  const seen = new Set<string>();
  return rows.flatMap(({ vif_id: vif, first_vif_id: first, ...guest }) => {
    if (seen.has(guest.mac)) return [];
    seen.add(guest.mac);
    return [{ ...guest, is_first: vif === first }];
  });
}

/** The host whose instances alone a network's DHCP server on `host` knows: itself in a multi_host network; null for all. */
export function dhcpScope(network: Pick<NetworkRow, 'multi_host'>, host: string): string | null {
  return network.multi_host === true ? host : null;
}

/**
 * A guest's name in the files of dnsmasq, which are lines of comma-separated words: letters, digits and dashes, at most 63
 * (a longer one loses the guest its lease). Null when nothing is left of it.
 */
export function dhcpName(hostname: string | null): string | null {
  const clean = (hostname ?? '').replace(/[^A-Za-z0-9-]/g, '').replace(/^-+/, '');
  if (clean === '') return null;
  return clean.length <= 63 ? clean : `${clean.slice(0, 2)}-${clean.slice(-60)}`;
}
