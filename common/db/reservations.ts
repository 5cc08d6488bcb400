import { QuotaError } from '../errors.js';
import type { Flags } from '../flags/flags.js';
import { keepToken, madeWithToken, type ClientToken } from './clientTokens.js';
import { placeholders, type Db, type SqlValue, type Tx, type Values } from './db.js';
import { allowedInstances, hasUnlimitedInstances, lockQuota } from './quotas.js';
import type { InstanceTypeRow } from './rows.js';
import { requireGroups } from './securityGroups.js';

/** What a reservation is to be made of. */
export interface NewReservation {
  readonly projectId: string;
  readonly reservationId: string;
  /** At least so many instances or none; `maxCount` if the quota allows. */
  readonly minCount: number;
  readonly maxCount: number;
  readonly type: Pick<InstanceTypeRow, 'vcpus' | 'memory_mb'>;
  /** The columns in which all instances agree; without launch_index, uuid, hostname and task_state. */
  readonly row: Values<'instances'>;
  readonly securityGroupIds: readonly number[];
  /** Block device mappings of each instance, without instance_id. */
  readonly mappings: readonly MappingFields[];
  readonly metadata: Readonly<Record<string, string>>;
  /** A new uuid for each instance. */
  uuid(): string;
  /** Names of the instance with this id. */
  names(id: number): { displayName: string; hostname: string };
  readonly token?: ClientToken;
}
export type MappingFields = Omit<Values<'block_device_mapping'>, 'instance_id' | 'device_name'> & {
  device_name: string;
};

export interface CreatedReservation {
  readonly reservationId: string;
  /** The instances made, by launch index; empty when the token was known: then the reservation is the earlier one. */
  readonly instanceIds: readonly number[];
  readonly repeated: boolean;
}

/**
 * Makes the instances of one reservation with their group memberships, block device mappings and metadata, in one
 * transaction: others see none of them or all, as `building`/`scheduling` with their names.
 *
 * Racing callers of one project follow each other (quota lock), so that together they never exceed a quota, and of two
 * with the same token one makes the reservation and the other gets it. Throws QuotaError (InstanceLimitExceeded),
 * SecurityGroupNotFound when a group is gone, and ApiError (IdempotentParameterMismatch) for a token which was used for
 * another request.
 */
export async function createReservation(db: Db, flags: Flags, wish: NewReservation): Promise<CreatedReservation> {
  const isLimited = !(await hasUnlimitedInstances(db, flags, wish.projectId));
  const make = async (tx: Tx): Promise<CreatedReservation> => {
    const earlier = wish.token === undefined ? null : await madeWithToken(tx, wish.projectId, wish.token);
    if (earlier !== null) return { reservationId: earlier, instanceIds: [], repeated: true };

    const count = isLimited
      ? await allowedInstances(tx, flags, wish.projectId, wish.maxCount, wish.type)
      : wish.maxCount;
    if (count < wish.minCount) throw instanceLimit(count);

    const [ids] = await Promise.all([insertInstances(tx, wish, count), requireGroups(tx, wish.securityGroupIds)]);
    await Promise.all([...insertChildren(tx, wish, ids), nameAndSchedule(tx, wish, ids)]);
    if (wish.token !== undefined) await keepToken(tx, wish.projectId, wish.token, wish.reservationId);
    return { reservationId: wish.reservationId, instanceIds: ids, repeated: false };
  };
  return db.transaction(make, (tx) => madeReservation(tx, wish));
}

/** What this very call has committed, if it has: it may still be about to, and then hold the lock. */
async function madeReservation(tx: Tx, wish: NewReservation): Promise<CreatedReservation | undefined> {
  await lockQuota(tx, wish.projectId);
  const made = await tx.all<{ id: number }>(
    'SELECT id FROM instances WHERE reservation_id = ? AND project_id = ? ORDER BY launch_index',
    [wish.reservationId, wish.projectId],
  );
  if (made.length === 0) return undefined;
  return { reservationId: wish.reservationId, instanceIds: made.map(({ id }) => id), repeated: false };
}

function instanceLimit(left: number): QuotaError {
  return new QuotaError(
    left <= 0
      ? 'Instance quota exceeded. You cannot run any more instances of this type.'
      : `Instance quota exceeded. You can only run ${left} more instances of this type.`,
    'InstanceLimitExceeded',
  );
}

/** Answers the new ids by launch index. Their uuids tell which is which, in whatever order the database numbered them. */
async function insertInstances(tx: Tx, wish: NewReservation, count: number): Promise<number[]> {
  const rows = Array.from({ length: count }, (_, index) => ({ ...wish.row, launch_index: index, uuid: wish.uuid() }));
  if (count === 1) return [await tx.insert('instances', rows[0]!)];
  await tx.insertMany('instances', rows);
  const made = await tx.all<{ id: number; uuid: string }>(
    `SELECT id, uuid FROM instances WHERE reservation_id = ? AND uuid IN ${placeholders(rows)}`,
    [wish.reservationId, ...rows.map((row) => row.uuid)],
  );
  const byUuid = new Map(made.map((row) => [row.uuid, row.id]));
  return rows.map((row) => byUuid.get(row.uuid)!);
}

function insertChildren(tx: Tx, wish: NewReservation, ids: readonly number[]): Promise<void>[] {
  const each = <T>(make: (id: number) => T[]): T[] => ids.flatMap(make);
  const memberships = each((id) =>
    wish.securityGroupIds.map((group) => ({ security_group_id: group, instance_id: id })),
  );
  const mappings = each((id) => wish.mappings.map((mapping) => ({ ...mapping, instance_id: id })));
  const metadata = each((id) => Object.entries(wish.metadata).map(([key, value]) => ({ instance_id: id, key, value })));
  return [
    tx.insertMany('security_group_instance_association', memberships),
    tx.insertMany('block_device_mapping', mappings),
    tx.insertMany('instance_metadata', metadata),
  ];
}

/** Names depend on ids, so they come second, as in nova 2011.3; one statement for all rows. */
async function nameAndSchedule(tx: Tx, wish: NewReservation, ids: readonly number[]): Promise<void> {
  const named = ids.map((id) => ({ id, ...wish.names(id) }));
  const choice = `CASE id ${named.map(() => 'WHEN ? THEN ?').join(' ')} END`;
  const params: SqlValue[] = [
    'scheduling',
    tx.now(),
    ...named.flatMap(({ id, displayName }) => [id, displayName]),
    ...named.flatMap(({ id, hostname }) => [id, hostname]),
    ...ids,
  ];
  await tx.run(
    `UPDATE instances SET task_state = ?, updated_at = ?, display_name = ${choice}, hostname = ${choice} ` +
      `WHERE id IN ${placeholders(ids)}`,
    params,
  );
}
