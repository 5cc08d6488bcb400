import { FloatingIpAlreadyInUse, FloatingIpNotFoundForAddress, FixedIpNotFoundForAddress } from '../errors.js';
import type { Flags } from '../flags/flags.js';
import { placeholders, type Db, type Queryable, type Tx } from './db.js';
import { checkFloatingIps } from './quotas.js';
import type { FloatingIpRow } from './rows.js';
import { lockWhere, rowsWhere } from './where.js';

/** Candidates read at a time; a claim goes on to the next ones while others win them. */
const candidatesAtATime = 16;

/** A floating address with what it is associated with; the added columns are null when it is free. */
export interface FloatingIpView extends FloatingIpRow {
  fixed_address: string | null;
  instance_id: number | null;
  instance_host: string | null;
  instance_hostname: string | null;
  network_id: number | null;
  network_host: string | null;
  multi_host: boolean | null;
}

const view =
  'SELECT l.*, x.address AS fixed_address, x.instance_id AS instance_id, i.host AS instance_host, i.hostname AS instance_hostname, ' +
  'x.network_id AS network_id, n.host AS network_host, n.multi_host AS multi_host FROM floating_ips l ' +
  'LEFT JOIN fixed_ips x ON x.id = l.fixed_ip_id LEFT JOIN instances i ON i.id = x.instance_id ' +
  'LEFT JOIN networks n ON n.id = x.network_id';

/**
 * Marks the first free address as a project's; null when none is free. Throws QuotaError when the project has as many as
 * it may. Racing callers get different addresses, and those of one project never exceed its quota: they count under the
 * project's lock, and the claim is a conditional UPDATE, repeated on the next candidate while others win.
 */
export async function claimFloatingIp(db: Db, flags: Flags, projectId: string): Promise<FloatingIpRow | null> {
  return db.transaction(async (tx) => {
    await checkFloatingIps(tx, flags, projectId);
    return claimFrom(tx, { project_id: projectId });
  });
}

/**
 * Gives a fixed address of a new instance a floating one, on a host, in one step and outside of the quota; the one which
 * it got so before, when there is one. Null when none is free. Throws FixedIpNotFoundForAddress when no instance uses the
 * fixed address. Racing callers get the same floating address.
 */
export async function claimAutoAssignedFloatingIp(
  db: Db,
  projectId: string,
  fixed: { id: number; address: string | null },
  host: string,
): Promise<FloatingIpRow | null> {
  return db.transaction(async (tx) => {
    await lockFixedIp(tx, fixed);
    const there = (await floatingIpsOfFixedIps(tx, [fixed.id])).find((row) => row.auto_assigned);
    return there ?? claimFrom(tx, { project_id: projectId, auto_assigned: true, fixed_ip_id: fixed.id, host });
  });
}

/** Keeps a fixed address from being deallocated until the transaction ends. Throws FixedIpNotFoundForAddress. */
async function lockFixedIp(tx: Tx, fixed: { id: number; address: string | null }): Promise<void> {
  const inUse = await tx.first<{ id: number }>(
    `SELECT id FROM fixed_ips WHERE id = ? AND instance_id IS NOT NULL AND allocated = ? AND deleted = ?${tx.forUpdate}`,
    [fixed.id, true, false],
  );
  if (inUse === undefined) throw new FixedIpNotFoundForAddress(fixed.address ?? String(fixed.id));
}

async function claimFrom(
  tx: Tx,
  values: { project_id: string; auto_assigned?: boolean; fixed_ip_id?: number; host?: string },
): Promise<FloatingIpRow | null> {
  for (let after = -1; ;) {
    const candidates = await tx.all<FloatingIpRow>(
      'SELECT * FROM floating_ips WHERE project_id IS NULL AND fixed_ip_id IS NULL AND deleted = ? AND id > ? ' +
        `ORDER BY id LIMIT ${candidatesAtATime}`,
      [false, after],
    );
    if (candidates.length === 0) return null;
    for (const row of candidates) {
      after = row.id;
      const free = 'id = ? AND project_id IS NULL AND fixed_ip_id IS NULL AND deleted = ?';
      if ((await tx.update('floating_ips', values, free, [row.id, false])) > 0) return { ...row, ...values };
    }
  }
}

/**
 * Puts a project's address back into the pool. False when it is associated, is another project's by now (`projectId`,
 * null for whoever's) or is free already: then nothing changes.
 */
export async function releaseFloatingIp(db: Queryable, address: string, projectId: string | null): Promise<boolean> {
  const values = { project_id: null, host: null, auto_assigned: false };
  const where = 'address = ? AND fixed_ip_id IS NULL AND project_id IS NOT NULL AND deleted = ?';
  return projectId === null
    ? (await db.update('floating_ips', values, where, [address, false])) > 0
    : (await db.update('floating_ips', values, `${where} AND project_id = ?`, [address, false, projectId])) > 0;
}

/**
 * Associates an address with a fixed one, on a host. Of racing callers one succeeds. A fixed address which is being
 * deallocated is locked against it, so that no floating address follows a fixed one into the pool. A repeated call
 * changes nothing. Throws FloatingIpNotFoundForAddress (also when it has no project), FixedIpNotFoundForAddress (also when
 * no instance uses it), FloatingIpAlreadyInUse.
 */
export async function associateFloatingIp(
  db: Db,
  address: string,
  fixed: { id: number; address: string | null },
  host: string,
): Promise<void> {
  await db.transaction(async (tx) => {
    await lockFixedIp(tx, fixed);
    const won = await tx.update(
      'floating_ips',
      { fixed_ip_id: fixed.id, host },
      'address = ? AND fixed_ip_id IS NULL AND project_id IS NOT NULL AND deleted = ?',
      [address, false],
    );
    if (won > 0) return;
    const row = await lockWhere(tx, 'floating_ips', { address, deleted: false });
    if (row === undefined || row.project_id === null) throw new FloatingIpNotFoundForAddress(address);
    if (row.fixed_ip_id !== fixed.id) throw new FloatingIpAlreadyInUse(address, await addressOf(tx, row.fixed_ip_id));
    if (row.host !== host) throw new FloatingIpAlreadyInUse(address, fixed.address ?? String(fixed.id));
  });
}

async function addressOf(tx: Tx, fixedIpId: number | null): Promise<string> {
  const row = await tx.first<{ address: string }>('SELECT address FROM fixed_ips WHERE id = ?', [fixedIpId]);
  return row?.address ?? 'None';
}

/**
 * Takes an address off its fixed one; answers that one, or null when it had none. With `fixedIpId` only off that one;
 * with `release` it goes back into the pool in the same step. Of racing callers one gets the fixed address.
 */
export async function disassociateFloatingIp(
  db: Db,
  address: string,
  options: { fixedIpId?: number; release?: boolean } = {},
): Promise<string | null> {
  return db.transaction(async (tx) => {
    const row = await tx.first<{ id: number; fixed_ip_id: number | null }>(
      `SELECT id, fixed_ip_id FROM floating_ips WHERE address = ? AND deleted = ? ORDER BY id LIMIT 1${tx.forUpdate}`,
      [address, false],
    );
    if (row === undefined || row.fixed_ip_id === null) return null;
    if (options.fixedIpId !== undefined && row.fixed_ip_id !== options.fixedIpId) return null;
    const released = options.release ? { project_id: null, auto_assigned: false } : {};
    const where = 'id = ? AND fixed_ip_id = ?';
    await tx.update('floating_ips', { fixed_ip_id: null, host: null, ...released }, where, [row.id, row.fixed_ip_id]);
    return addressOf(tx, row.fixed_ip_id);
  });
}

/**
 * Puts addresses back into the pool which instances had got by themselves, and which are associated no more since
 * `before` (a row's time): a daemon died while it gave one up. Answers how many.
 */
export async function releaseStrandedFloatingIps(db: Queryable, before: string): Promise<number> {
  return db.update(
    'floating_ips',
    { project_id: null, host: null, auto_assigned: false },
    'auto_assigned = ? AND fixed_ip_id IS NULL AND deleted = ? AND updated_at < ?',
    [true, false, before],
  );
}

/** An address with what it is associated with. Undefined when there is none. */
export async function floatingIpByAddress(db: Queryable, address: string): Promise<FloatingIpView | undefined> {
  return db.first<FloatingIpView>(`${view} WHERE l.address = ? AND l.deleted = ? ORDER BY l.id LIMIT 1`, [
    address,
    false,
  ]);
}

/**
 * The addresses of a project, without those which instances got by themselves; with null, all which have a project. By
 * ascending id.
 */
export async function floatingIpsOfProject(db: Queryable, projectId: string | null): Promise<FloatingIpView[]> {
  return projectId === null
    ? db.all<FloatingIpView>(`${view} WHERE l.project_id IS NOT NULL AND l.deleted = ? ORDER BY l.id`, [false])
    : db.all<FloatingIpView>(`${view} WHERE l.project_id = ? AND l.auto_assigned = ? AND l.deleted = ? ORDER BY l.id`, [
        projectId,
        false,
        false,
      ]);
}

/** The floating addresses of fixed ones, by ascending id. */
export async function floatingIpsOfFixedIps(db: Queryable, fixedIpIds: readonly number[]): Promise<FloatingIpRow[]> {
  return rowsWhere(db, 'floating_ips', { fixed_ip_id: fixedIpIds, deleted: false });
}

/** The associated addresses which a host carries, by ascending id. */
export async function floatingIpsOfHost(db: Queryable, host: string): Promise<FloatingIpView[]> {
  return db.all<FloatingIpView>(
    `${view} WHERE l.host = ? AND l.fixed_ip_id IS NOT NULL AND l.deleted = ? ORDER BY l.id`,
    [host, false],
  );
}

/** Every address (or those on a host), with the instance which has it; what `nova-manage floating list` shows. */
export async function listFloatingIps(db: Queryable, host: string | null = null): Promise<FloatingIpView[]> {
  const of = host === null ? '' : ' AND l.host = ?';
  return db.all<FloatingIpView>(
    `${view} WHERE l.deleted = ?${of} ORDER BY l.id`,
    host === null ? [false] : [false, host],
  );
}

/**
 * Adds addresses to the pool; those which are there already are left alone. Answers how many are new. Racing callers
 * don't add an address twice.
 */
export async function createFloatingIps(db: Db, addresses: readonly string[]): Promise<number> {
  return db.transaction(async (tx) => {
    await tx.lock('floating-ips');
    const rows = await tx.all<{ address: string }>('SELECT address FROM floating_ips WHERE deleted = ?', [false]);
    const there = new Set(rows.map((row) => row.address));
    const fresh = [...new Set(addresses)].filter((address) => !there.has(address));
    await tx.insertMany(
      'floating_ips',
      fresh.map((address) => ({ address, auto_assigned: false })),
    );
    return fresh.length;
  });
}

/** Addresses in one statement. */
const deletedAtOnce = 500;

/**
 * Takes addresses out of the pool (soft). Throws FloatingIpNotFoundForAddress for one which isn't there and
 * FloatingIpAlreadyInUse for one which is associated; then none is deleted.
 */
export async function deleteFloatingIps(db: Db, addresses: readonly string[]): Promise<void> {
  await db.transaction(async (tx) => {
    await tx.lock('floating-ips');
    for (let start = 0; start < addresses.length; start += deletedAtOnce) {
      const batch = addresses.slice(start, start + deletedAtOnce);
      const free = await tx.all<{ id: number; address: string }>(
        `SELECT id, address FROM floating_ips WHERE address IN ${placeholders(batch)} AND fixed_ip_id IS NULL AND deleted = ?${tx.forUpdate}`,
        [...batch, false],
      );
      const there = new Set(free.map((row) => row.address));
      const missing = batch.find((address) => !there.has(address));
      if (missing !== undefined) {
        const row = await floatingIpByAddress(tx, missing);
        if (row === undefined) throw new FloatingIpNotFoundForAddress(missing);
        throw new FloatingIpAlreadyInUse(missing, row.fixed_address ?? 'None');
      }
      const ids = free.map((row) => row.id);
      await tx.update('floating_ips', { deleted: true, deleted_at: tx.now() }, `id IN ${placeholders(ids)}`, ids);
    }
  });
}
