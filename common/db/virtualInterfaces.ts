import { VirtualInterfaceMacAddressException } from '../errors.js';
import type { Random } from '../runtime/runtime.js';
import { placeholders, type Db, type Queryable, type Tx } from './db.js';
import { isUniqueViolation } from './failures.js';
import { lockAddressesOf } from './fixedIps.js';
import { inOneStatement } from './inOneStatement.js';
import type { VirtualInterfaceRow } from './rows.js';
import { firstWhere, rowsWhere } from './where.js';

/** A locally administered MAC address as 2011.3 makes them (nova/utils.py generate_mac_address). */
export function newMacAddress(random: Random): string {
  const tail = [random.below(0x80), random.below(0x100), random.below(0x100)];
  return ['02', '16', '3e', ...tail.map((byte) => byte.toString(16).padStart(2, '0'))].join(':');
}

/**
 * The interface of an instance on a network, made unless it has one: racing callers get the same row. A MAC address that
 * is taken is replaced by another one, `attempts` times; then VirtualInterfaceMacAddressException.
 */
export async function ensureVirtualInterface(
  db: Db,
  random: Random,
  instanceId: number,
  networkId: number,
  attempts: number,
): Promise<VirtualInterfaceRow> {
  const uuid = random.uuid();
  for (let attempt = 0; attempt < attempts; attempt++) {
    const address = newMacAddress(random);
    try {
      return await insertUnlessThere(db, { address, instance_id: instanceId, network_id: networkId, uuid });
    } catch (error) {
      if (!isUniqueViolation(error)) throw error;
    }
  }
  throw new VirtualInterfaceMacAddressException();
}

type NewInterface = Pick<VirtualInterfaceRow, 'address' | 'uuid'> & { instance_id: number; network_id: number };

async function insertUnlessThere(db: Db, values: NewInterface): Promise<VirtualInterfaceRow> {
  return inOneStatement<VirtualInterfaceRow>(db, {
    lock: (tx) => lockAddressesOf(tx, values.instance_id),
    once: (on) => insertFirst(on, values),
    otherwise: async (tx) => {
      const wanted = { instance_id: values.instance_id, network_id: values.network_id };
      const there = await firstWhere(tx, 'virtual_interfaces', wanted);
      if (there !== undefined) return there;
      const made = asNew(tx, values);
      return { ...made, id: await tx.insert('virtual_interfaces', made) };
    },
  });
}

/** Undefined when the instance has an interface there, or the dialect has no INSERT … RETURNING. */
async function insertFirst(db: Queryable, values: NewInterface): Promise<VirtualInterfaceRow | undefined> {
  if (db.dialect === 'mysql') return undefined;
  const made = asNew(db, values);
  const columns = Object.keys(made);
  const [inserted] = await db.all<{ id: number }>(
    `INSERT INTO virtual_interfaces (${columns.join(', ')}) SELECT ${columns.map(() => '?').join(', ')} WHERE NOT EXISTS ` +
      '(SELECT 1 FROM virtual_interfaces WHERE instance_id = ? AND network_id = ?) RETURNING id',
    [...Object.values(made), values.instance_id, values.network_id],
  );
  return inserted && { ...made, id: inserted.id };
}

function asNew(db: Queryable, values: NewInterface): Omit<VirtualInterfaceRow, 'id'> {
  return { ...values, created_at: db.now(), updated_at: null, deleted_at: null, deleted: false };
}

/** The interfaces of instances, by ascending id. */
export async function virtualInterfacesOfInstances(
  db: Queryable,
  instanceIds: readonly number[],
): Promise<VirtualInterfaceRow[]> {
  return rowsWhere(db, 'virtual_interfaces', { instance_id: instanceIds });
}

/** Those of the instances which have an interface. */
export async function instancesWithInterfaces(db: Queryable, instanceIds: readonly number[]): Promise<number[]> {
  const rows = await db.all<{ instance_id: number }>(
    `SELECT DISTINCT instance_id FROM virtual_interfaces WHERE instance_id IN ${placeholders(instanceIds)}`,
    instanceIds,
  );
  return rows.map((row) => row.instance_id);
}

/**
 * Deletes an instance's interfaces for good, and takes them off the addresses which still name them. A repeated call
 * changes nothing. For a transaction in which nobody else gives the instance any (lockAddressesOf).
 */
export async function deleteVirtualInterfaces(tx: Tx, instanceId: number): Promise<void> {
  const interfaces = await virtualInterfacesOfInstances(tx, [instanceId]);
  if (interfaces.length === 0) return;
  const ids = interfaces.map((row) => row.id);
  await Promise.all([
    tx.update('fixed_ips', { virtual_interface_id: null }, `virtual_interface_id IN ${placeholders(ids)}`, ids),
    tx.run(`DELETE FROM virtual_interfaces WHERE id IN ${placeholders(ids)}`, ids),
  ]);
}
