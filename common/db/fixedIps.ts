import { FixedIpAlreadyInUse, FixedIpNotFoundForNetwork } from '../errors.js';
import { placeholders, type Db, type Queryable, type Tx } from './db.js';
import { inOneStatement } from './inOneStatement.js';
import { findInstanceState } from './instances.js';
import { unusableAddresses } from './networks.js';
import type { FixedIpRow, NetworkRow } from './rows.js';
import { changeWhere, checked, firstWhere, rowsWhere, type Condition } from './where.js';

/** Candidates read at a time; a claim goes on to the next ones while others win them. */
const candidatesAtATime = 16;

/**
 * Gives an instance the lowest free address of a network; null when none is free. An instance which has an address in
 * the network already gets that one again, unless it is to be `another`. With `interfaceId` the address is in use on that
 * interface then. Racing callers get different addresses: the claim is a conditional UPDATE, repeated on the next
 * candidate while others win. Network, broadcast and gateway addresses are never given, even where a row is not reserved
 * (nova 2011.3 forgot the broadcast address).
 */
export async function claimFixedIp(
  db: Db,
  network: NetworkRow,
  instanceId: number,
  options: { readonly another: true } | { readonly interfaceId?: number } = {},
): Promise<FixedIpRow | null> {
  if ('another' in options) {
    return db.transaction(async (tx) => {
      await lockAddressesOf(tx, instanceId);
      return claimFrom(tx, network, { instance_id: instanceId });
    });
  }
  const { interfaceId } = options;
  const owner = { instance_id: instanceId, ...(interfaceId === undefined ? {} : inUseOn(interfaceId)) };
  return inOneStatement<FixedIpRow | null>(db, {
    lock: (tx) => lockAddressesOf(tx, instanceId),
    once: (on, skipLocked) => claimLowest(on, network, owner, skipLocked),
    otherwise: async (tx) => {
      const own = await ownFixedIp(tx, network.id, instanceId);
      const keeps =
        own !== undefined && (interfaceId === undefined || (await allocateFixedIp(tx, own, instanceId, interfaceId)));
      return keeps ? { ...own, ...owner } : claimFrom(tx, network, owner);
    },
  });
}

/** What a claim writes. */
type Owner = Partial<Pick<FixedIpRow, 'allocated' | 'virtual_interface_id'>> &
  ({ readonly instance_id: number } | { readonly host: string });

function inUseOn(virtualInterfaceId: number): { allocated: true; virtual_interface_id: number } {
  return { allocated: true, virtual_interface_id: virtualInterfaceId };
}

/** Undefined when the instance has one already, none is free, or the dialect has no UPDATE … RETURNING. */
async function claimLowest(
  db: Queryable,
  network: NetworkRow,
  owner: Owner & { readonly instance_id: number },
  skipLocked: string,
): Promise<FixedIpRow | undefined> {
  if (db.dialect === 'mysql') return undefined;
  const free = freeAddresses(network);
  const written = Object.keys(owner).map((column) => `${column} = ?`);
  const none = 'NOT EXISTS (SELECT 1 FROM fixed_ips WHERE instance_id = ? AND network_id = ? AND deleted = ?)';
  const [row] = await db.all<FixedIpRow>(
    `UPDATE fixed_ips SET ${written.join(', ')}, updated_at = ? WHERE id = (SELECT id FROM fixed_ips WHERE ${free.sql} ` +
      `ORDER BY id LIMIT 1${skipLocked}) AND ${none} RETURNING *`,
    [...Object.values(owner), db.now(), ...free.params, owner.instance_id, network.id, false],
  );
  return row;
}

/**
 * Gives a host an address of its own in a multi_host network, or the one it has; null when none is free. Racing callers
 * of one host get the same address.
 */
export async function claimHostFixedIp(db: Db, network: NetworkRow, host: string): Promise<FixedIpRow | null> {
  return db.transaction(async (tx) => {
    await tx.lock(`fixed-ip-host:${network.id}:${host}`);
    const own = await firstWhere(tx, 'fixed_ips', { network_id: network.id, host, deleted: false });
    return own ?? claimFrom(tx, network, { host });
  });
}

/**
 * Gives an instance the address which it wishes; with `reserved` one which is kept for its kind, as a cloudpipe's. Of
 * racing callers one gets it. Throws FixedIpNotFoundForNetwork when the network has no such address to give,
 * FixedIpAlreadyInUse when another instance has it.
 */
export async function claimWishedFixedIp(
  db: Db,
  network: NetworkRow,
  address: string,
  instanceId: number,
  options: { reserved?: boolean } = {},
): Promise<FixedIpRow> {
  return db.transaction(async (tx) => {
    const where = 'address = ? AND network_id = ? AND reserved = ? AND deleted = ?';
    const params = [address, network.id, options.reserved ?? false, false];
    const usable = !unusableAddresses(network).includes(address);
    if (usable) await tx.update('fixed_ips', { instance_id: instanceId }, `${where} AND instance_id IS NULL`, params);
    const row = await tx.first<FixedIpRow>(`SELECT * FROM fixed_ips WHERE ${where} LIMIT 1${tx.forUpdate}`, params);
    if (!usable || row === undefined) throw new FixedIpNotFoundForNetwork(address, network.uuid ?? network.id);
    if (row.instance_id !== instanceId) throw new FixedIpAlreadyInUse(address);
    return row;
  });
}

async function claimFrom(tx: Tx, network: NetworkRow, owner: Owner): Promise<FixedIpRow | null> {
  const addresses = freeAddresses(network);
  const candidates = (after: number, more: string): Promise<FixedIpRow[]> =>
    tx.all<FixedIpRow>(`SELECT * FROM fixed_ips WHERE ${addresses.sql} AND id > ? ORDER BY id ${more}`, [
      ...addresses.params,
      after,
    ]);
  const claim = async (row: FixedIpRow): Promise<FixedIpRow | null> => {
    const free = 'id = ? AND instance_id IS NULL AND host IS NULL AND reserved = ? AND deleted = ?';
    return (await tx.update('fixed_ips', owner, free, [row.id, false, false])) > 0 ? { ...row, ...owner } : null;
  };
  if (tx.forUpdateSkipLocked !== '') {
    // past those which others are claiming at this moment; when these are all that is left, after them
    const [row] = await candidates(-1, `LIMIT 1${tx.forUpdateSkipLocked}`);
    const claimed = row === undefined ? null : await claim(row);
    if (claimed !== null) return claimed;
  }
  for (let after = -1; ;) {
    const rows = await candidates(after, `LIMIT ${candidatesAtATime}`);
    if (rows.length === 0) return null;
    for (const row of rows) {
      after = row.id;
      const claimed = await claim(row);
      if (claimed !== null) return claimed;
    }
  }
}

/** The addresses of a network which nobody has and a guest may get. */
function freeAddresses(network: NetworkRow): Condition {
  const unusable = unusableAddresses(network);
  const without = unusable.length === 0 ? '' : ` AND address NOT IN ${placeholders(unusable)}`;
  return {
    sql: `network_id = ? AND reserved = ? AND deleted = ? AND instance_id IS NULL AND host IS NULL${without}`,
    params: [network.id, false, false, ...unusable],
  };
}

async function ownFixedIp(tx: Tx, networkId: number, instanceId: number): Promise<FixedIpRow | undefined> {
  return firstWhere(tx, 'fixed_ips', { instance_id: instanceId, network_id: networkId, deleted: false });
}

/** States in which an instance needs its addresses, unless it is about to leave them. */
const runningStates = ['active', 'paused', 'suspended', 'rescued'];
const buildTasks = ['networking', 'block_device_mapping', 'spawning'];
const leavingTasks = ['deleting', 'stopping'];

/** Whether an instance is being built or runs: then a request to free its addresses is an old one. */
export async function needsAddresses(db: Queryable, instanceId: number): Promise<boolean> {
  const row = await findInstanceState(db, instanceId);
  if (row === undefined) return false;
  const { vm_state: vm, task_state: task } = row;
  if (vm === 'building') return task !== null && buildTasks.includes(task);
  return vm !== null && runningStates.includes(vm) && !(task !== null && leavingTasks.includes(task));
}

/**
 * Takes addresses from an instance unless it needs them (any more): one which was stopped and started again keeps what it
 * got, however late the message about its stop comes. Undefined, and nothing done, then. What gives addresses waits.
 */
export async function unlessNeeded<T>(
  db: Db,
  instanceId: number,
  work: (tx: Tx) => Promise<T>,
): Promise<T | undefined> {
  return db.transaction(async (tx) => {
    await lockAddressesOf(tx, instanceId);
    return (await needsAddresses(tx, instanceId)) ? undefined : work(tx);
  });
}

/** Whether a live instance has an interface or an address (in use or not); undefined when there is no such instance. */
export async function holdsAddresses(db: Queryable, instanceId: number): Promise<boolean | undefined> {
  const row = await db.first<{ held: number }>(
    `SELECT (SELECT COUNT(*) FROM virtual_interfaces WHERE instance_id = ?) + ` +
      `(SELECT COUNT(*) FROM fixed_ips WHERE instance_id = ? AND deleted = ?) AS held ` +
      `FROM instances WHERE id = ? AND ${checked('deleted = ?')}`,
    [instanceId, instanceId, false, instanceId, false],
  );
  return row === undefined ? undefined : row.held > 0;
}

/** Waits until this transaction alone gives the instance interfaces and addresses. */
export async function lockAddressesOf(tx: Tx, instanceId: number): Promise<void> {
  await tx.lock(`instance-addresses:${instanceId}`);
}

/**
 * Marks an instance's address as in use on an interface. False when the row is no longer the instance's. Does not touch
 * a row which is so already.
 */
export async function allocateFixedIp(
  db: Queryable,
  row: FixedIpRow,
  instanceId: number,
  virtualInterfaceId: number,
): Promise<boolean> {
  if (row.allocated === true && row.virtual_interface_id === virtualInterfaceId) return true;
  const owned = { id: row.id, instance_id: instanceId };
  return changeWhere(db, 'fixed_ips', inUseOn(virtualInterfaceId), owned);
}

/** Takes an instance's address out of use; the row stays the instance's. A repeated call changes nothing. */
export async function deallocateFixedIp(db: Queryable, id: number, instanceId: number): Promise<boolean> {
  const values = { allocated: false, virtual_interface_id: null };
  const where = 'id = ? AND instance_id = ? AND (allocated = ? OR virtual_interface_id IS NOT NULL)';
  return (await db.update('fixed_ips', values, where, [id, instanceId, true])) > 0;
}

/** Puts a deallocated address back into the pool. One which was allocated again meanwhile stays. */
export async function disassociateFixedIp(db: Queryable, id: number, instanceId: number): Promise<boolean> {
  const where = 'id = ? AND instance_id = ? AND allocated = ?';
  return (await db.update('fixed_ips', { instance_id: null }, where, [id, instanceId, false])) > 0;
}

/**
 * The addresses of instances: those in use by ascending id, then those which are given back and wait for the end of
 * their DHCP lease (an instance which was stopped and started has both).
 */
export async function fixedIpsOfInstances(db: Queryable, instanceIds: readonly number[]): Promise<FixedIpRow[]> {
  return inUseFirst(await rowsWhere(db, 'fixed_ips', { instance_id: instanceIds, deleted: false }));
}

/** The same rows, otherwise in their order: nova-network has given out the first ones, and taken back the rest. */
export function inUseFirst<R extends { allocated: boolean | null }>(rows: readonly R[]): R[] {
  return [...rows.filter((row) => row.allocated === true), ...rows.filter((row) => row.allocated !== true)];
}

/** The row of an address. Of several (networks which overlap) the one which an instance has comes first. */
export async function fixedIpByAddress(db: Queryable, address: string): Promise<FixedIpRow | undefined> {
  const rows = await rowsWhere(db, 'fixed_ips', { address, deleted: false });
  return rows.find((row) => row.instance_id !== null) ?? rows[0];
}

/** Every address, or those of instances on a host, with what `nova-manage fixed list` shows; by ascending id. */
export async function listFixedIps(
  db: Queryable,
  host: string | null = null,
): Promise<
  (FixedIpRow & { cidr: string | null; mac: string | null; hostname: string | null; instance_host: string | null })[]
> {
  const of = host === null ? '' : ' AND i.host = ?';
  return db.all(
    'SELECT f.*, n.cidr AS cidr, v.address AS mac, i.hostname AS hostname, i.host AS instance_host FROM fixed_ips f ' +
      'LEFT JOIN networks n ON n.id = f.network_id LEFT JOIN instances i ON i.id = f.instance_id ' +
      'LEFT JOIN virtual_interfaces v ON v.id = f.virtual_interface_id ' +
      `WHERE f.deleted = ?${of} ORDER BY f.id`,
    host === null ? [false] : [false, host],
  );
}

/** Keeps an address from being handed out, or no longer. False when there is no such address. */
export async function reserveFixedIp(db: Queryable, address: string, reserved: boolean): Promise<boolean> {
  return changeWhere(db, 'fixed_ips', { reserved }, { address, deleted: false });
}

/** A DHCP lease was given or renewed. False when no instance has the address. */
export async function leaseFixedIp(db: Queryable, address: string): Promise<boolean> {
  const where = 'address = ? AND instance_id IS NOT NULL AND deleted = ?';
  return (await db.update('fixed_ips', { leased: true }, where, [address, false])) > 0;
}

/**
 * A DHCP lease ended: a deallocated address goes back to the pool, in the same transaction. Null when no instance has
 * the address; else whether it was freed. A lease that ends late never frees an address which is in use again.
 */
export async function releaseFixedIp(db: Db, address: string): Promise<{ freed: boolean } | null> {
  return db.transaction(async (tx) => {
    const where = 'address = ? AND instance_id IS NOT NULL AND deleted = ?';
    if ((await tx.update('fixed_ips', { leased: false }, where, [address, false])) === 0) return null;
    const freed = await tx.update('fixed_ips', { instance_id: null }, `${where} AND allocated = ?`, [
      address,
      false,
      false,
    ]);
    return { freed: freed > 0 };
  });
}

/**
 * Frees addresses which were deallocated before `before` (a row's time) and whose lease never ended, on networks of a
 * host: those it is the host of, and for multi_host networks those of instances on it. Networks and instances which have
 * no host (any longer) are anybody's: nobody else would free them. Answers how many.
 */
export async function freeTimedOutFixedIps(db: Queryable, host: string, before: string): Promise<number> {
  return db.update(
    'fixed_ips',
    { instance_id: null, leased: false },
    'instance_id IS NOT NULL AND allocated = ? AND deleted = ? AND updated_at < ? AND (network_id IN ' +
      "(SELECT id FROM networks WHERE deleted = ? AND (host = ? OR (multi_host = ? AND (host IS NULL OR host = '')))) " +
      'OR (network_id IN (SELECT id FROM networks WHERE multi_host = ? AND deleted = ?) AND instance_id NOT IN ' +
      '(SELECT id FROM instances WHERE host IS NOT NULL AND host <> ?)))',
    [false, false, before, false, host, false, true, false, host],
  );
}

/**
 * Ids of deleted (or vanished) instances which still hold an address or an interface, at most 1000, ascending: what a
 * daemon that died, or Python's race between deletion and deallocation, left behind. `unallocated` also counts addresses
 * which are deallocated and wait for the end of their lease.
 */
export async function instancesToReclaim(db: Queryable, unallocated: boolean): Promise<number[]> {
  const gone = (column: string): string =>
    `NOT EXISTS (SELECT 1 FROM instances i WHERE i.id = ${column} AND i.deleted = ?)`;
  const held = unallocated ? '' : ' AND (f.allocated = ? OR f.virtual_interface_id IS NOT NULL)';
  const rows = await db.all<{ instance_id: number }>(
    `SELECT f.instance_id AS instance_id FROM fixed_ips f WHERE f.instance_id IS NOT NULL AND f.deleted = ?${held} AND ` +
      `${gone('f.instance_id')} UNION SELECT v.instance_id AS instance_id FROM virtual_interfaces v WHERE ` +
      `${gone('v.instance_id')} ORDER BY instance_id LIMIT 1000`,
    unallocated ? [false, false, false] : [false, true, false, false],
  );
  return rows.map((row) => row.instance_id);
}

/**
 * Ids of the instances of a host which are in `error`, were never launched and have no task, but hold an address or an
 * interface; at most 1000, ascending.
 */
export async function failedBuildsHoldingAddresses(db: Queryable, host: string): Promise<number[]> {
  const rows = await db.all<{ id: number }>(
    'SELECT i.id FROM instances i WHERE i.host = ? AND i.deleted = ? AND i.vm_state = ? AND i.task_state IS NULL AND ' +
      'i.launched_at IS NULL AND (EXISTS (SELECT 1 FROM fixed_ips f WHERE f.instance_id = i.id AND f.allocated = ?) OR ' +
      'EXISTS (SELECT 1 FROM virtual_interfaces v WHERE v.instance_id = i.id)) ORDER BY i.id LIMIT 1000',
    [host, false, 'error', true],
  );
  return rows.map((row) => row.id);
}
