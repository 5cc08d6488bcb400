import { addressAt, parseCidr } from '../ipAddress.js';
import { NetworkNotFound, NoMoreNetworks } from '../errors.js';
import type { Db, Queryable, Tx, Values } from './db.js';
import type { NetworkRow } from './rows.js';
import { changeWhere, firstWhere, lockWhere, rowsWhere } from './where.js';

/** One address of a new network. */
export interface NewFixedIp {
  address: string;
  /** Never handed out. */
  reserved: boolean;
}

/**
 * Writes new networks, each with one fixed_ips row an address, and answers their ids. `plan` sees the networks which are
 * there and answers what to write (or throws). Racing callers run one after the other, so that no two write networks
 * which overlap.
 */
export async function createNetworks(
  db: Db,
  plan: (
    existing: readonly NetworkRow[],
  ) => readonly { network: Values<'networks'>; addresses: readonly NewFixedIp[] }[],
): Promise<number[]> {
  return db.transaction(async (tx) => {
    await tx.lock('networks');
    const ids: number[] = [];
    for (const { network, addresses } of plan(await listNetworks(tx))) {
      const id = await tx.insert('networks', { injected: false, multi_host: false, ...network });
      await tx.insertMany(
        'fixed_ips',
        addresses.map(({ address, reserved }) => ({
          address,
          network_id: id,
          allocated: false,
          leased: false,
          reserved,
        })),
      );
      ids.push(id);
    }
    return ids;
  });
}

/** Every network, by ascending id. */
export async function listNetworks(db: Queryable): Promise<NetworkRow[]> {
  return rowsWhere(db, 'networks', { deleted: false });
}

/** The networks with these ids, by ascending id. */
export async function networksByIds(db: Queryable, ids: readonly number[]): Promise<NetworkRow[]> {
  return rowsWhere(db, 'networks', { id: ids, deleted: false });
}

/** The networks on which an instance has an interface, by ascending id. */
export async function networksOfInstance(db: Queryable, instanceId: number): Promise<NetworkRow[]> {
  return db.all<NetworkRow>(
    'SELECT * FROM networks WHERE id IN (SELECT network_id FROM virtual_interfaces WHERE instance_id = ?) AND deleted = ? ' +
      'ORDER BY id',
    [instanceId, false],
  );
}

/** Throws NetworkNotFound. */
export async function getNetwork(db: Queryable, id: number): Promise<NetworkRow> {
  const row = await firstWhere(db, 'networks', { id, deleted: false });
  if (row === undefined) throw new NetworkNotFound(id);
  return row;
}

/** The networks with these uuids, by ascending id. */
export async function networksByUuids(db: Queryable, uuids: readonly string[]): Promise<NetworkRow[]> {
  return rowsWhere(db, 'networks', { uuid: uuids, deleted: false });
}

/** The network with exactly this cidr. */
export async function networkByCidr(db: Queryable, cidr: string): Promise<NetworkRow | undefined> {
  return firstWhere(db, 'networks', { cidr, deleted: false });
}

/** The networks which a host serves: those it is the host of, and those in which it has an address of its own (multi_host). */
export async function networksOfHost(db: Queryable, host: string): Promise<NetworkRow[]> {
  return db.all<NetworkRow>(
    'SELECT * FROM networks WHERE deleted = ? AND (host = ? OR id IN ' +
      '(SELECT network_id FROM fixed_ips WHERE host = ? AND deleted = ?)) ORDER BY id',
    [false, host, host, false],
  );
}

/**
 * Makes `host` the network's host unless it has one; answers the host it has then. Of racing callers the first wins and
 * all get the winner's name. Throws NetworkNotFound.
 */
export async function setNetworkHost(db: Db, id: number, host: string): Promise<string> {
  return db.transaction(async (tx) => {
    const won = await tx.update('networks', { host }, "id = ? AND deleted = ? AND (host IS NULL OR host = '')", [
      id,
      false,
    ]);
    if (won > 0) return host;
    const row = await tx.first<{ host: string }>(
      `SELECT host FROM networks WHERE id = ? AND deleted = ?${tx.forUpdate}`,
      [id, false],
    );
    if (row === undefined) throw new NetworkNotFound(id);
    return row.host;
  });
}

/**
 * Makes `host` the host of every network which has none, except multi_host ones (there each host carries its own). Of
 * racing callers one wins each network. Answers how many were won.
 */
export async function hostHomelessNetworks(db: Queryable, host: string): Promise<number> {
  const homeless = "(host IS NULL OR host = '') AND multi_host = ? AND deleted = ?";
  return db.update('networks', { host }, homeless, [false, false]);
}

/**
 * Sets or clears (null) project and host, as the operator says; what is absent stays. False when there is no such
 * network. The last of racing callers wins, column by column.
 */
export async function changeNetwork(
  db: Queryable,
  id: number,
  values: Pick<
    Values<'networks'>,
    'project_id' | 'host' | 'uuid' | 'injected' | 'gateway_v6' | 'vpn_public_address' | 'vpn_public_port'
  >,
): Promise<boolean> {
  return changeWhere(db, 'networks', values, { id, deleted: false });
}

/**
 * The networks of a project; when it has none, the first free one becomes its (Vlan). Racing callers of one project get
 * the same network, those of different projects different ones. `more` adds another network though the project has some.
 * Throws NoMoreNetworks when none is free.
 */
export async function associateNetwork(db: Db, projectId: string, more = false): Promise<NetworkRow[]> {
  return db.transaction(async (tx) => {
    await tx.lock(`network-project:${projectId}`);
    const own = await networksOfProject(tx, projectId);
    if (own.length > 0 && !more) return own;
    if (!(await claimNetwork(tx, projectId))) throw new NoMoreNetworks();
    return networksOfProject(tx, projectId);
  });
}

async function claimNetwork(tx: Tx, projectId: string): Promise<boolean> {
  const free = await tx.all<{ id: number }>(
    'SELECT id FROM networks WHERE project_id IS NULL AND vlan IS NOT NULL AND deleted = ? ORDER BY id',
    [false],
  );
  for (const { id } of free) {
    if ((await tx.update('networks', { project_id: projectId }, 'id = ? AND project_id IS NULL', [id])) > 0)
      return true;
  }
  return false;
}

/**
 * Takes a project's networks away from it; their hosts go, too, so that the next project's first instance chooses anew
 * (nova 2011.3, network_disassociate). Answers how many. Addresses which instances hold stay theirs.
 */
export async function disassociateNetworks(db: Queryable, projectId: string): Promise<number> {
  return db.update('networks', { project_id: null, host: null }, 'project_id = ? AND deleted = ?', [projectId, false]);
}

/** Gives a network the public address of its cloudpipe, unless it has one; answers whether. Of racing callers one does. */
export async function fillVpnPublicAddress(db: Queryable, id: number, address: string): Promise<boolean> {
  const where = 'id = ? AND vpn_public_address IS NULL AND deleted = ?';
  return (await db.update('networks', { vpn_public_address: address }, where, [id, false])) > 0;
}

/** The networks of a project, by ascending id. */
export async function networksOfProject(db: Queryable, projectId: string): Promise<NetworkRow[]> {
  return rowsWhere(db, 'networks', { project_id: projectId, deleted: false });
}

/** Why a network could not be deleted. */
export type NetworkDeletion = 'deleted' | 'not found' | 'has a project' | 'in use';

/**
 * Deletes a network with its fixed addresses (2011.3 left these behind, and handed them out for other networks). Nothing
 * changes while it belongs to a project or an instance has an address or interface in it: an address which is claimed
 * at the same moment either comes first, and the network stays, or finds the network gone.
 */
export async function deleteNetwork(db: Db, id: number): Promise<NetworkDeletion> {
  return db.transaction(async (tx) => {
    const network = await lockWhere(tx, 'networks', { id, deleted: false });
    if (network === undefined) return 'not found';
    if (network.project_id !== null) return 'has a project';
    const addresses = await tx.all<{ instance_id: number | null }>(
      `SELECT instance_id FROM fixed_ips WHERE network_id = ?${tx.forUpdate}`,
      [id],
    );
    const interfaces = await tx.first<{ id: number }>(
      'SELECT id FROM virtual_interfaces WHERE network_id = ? LIMIT 1',
      [id],
    );
    if (interfaces !== undefined || addresses.some((row) => row.instance_id !== null)) return 'in use';
    // rows which a Python daemon left associated with a freed address would keep it from being deleted
    const freed = 'fixed_ip_id IN (SELECT id FROM fixed_ips WHERE network_id = ?)';
    await tx.update('floating_ips', { fixed_ip_id: null, host: null }, freed, [id]);
    await tx.run('DELETE FROM fixed_ips WHERE network_id = ?', [id]);
    await tx.run('DELETE FROM networks WHERE id = ?', [id]);
    return 'deleted';
  });
}

/** Gives a uuid to networks which Python's nova-manage made without one. Racing callers leave one of theirs. */
export async function fillNetworkUuids(db: Queryable, newUuid: () => string): Promise<void> {
  const bare = await db.all<{ id: number }>('SELECT id FROM networks WHERE uuid IS NULL AND deleted = ? ORDER BY id', [
    false,
  ]);
  for (const { id } of bare) await db.update('networks', { uuid: newUuid() }, 'id = ? AND uuid IS NULL', [id]);
}

/** Addresses of a network which no guest may get, whatever their rows say: the network's own, broadcast, gateway. */
export function unusableAddresses(network: NetworkRow): string[] {
  const cidr = network.cidr === null ? null : parseCidr(network.cidr);
  const addresses = [network.gateway, network.broadcast];
  if (cidr !== null) addresses.push(addressAt(cidr, 0), addressAt(cidr, cidr.size - 1n));
  return [...new Set(addresses.filter((address): address is string => address !== null && address !== ''))];
}
