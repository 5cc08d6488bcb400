import { Invalid, UserExists, UserNotFound } from '../errors.js';
import type { Db, Queryable, Tx } from './db.js';
import { isUniqueViolation } from './failures.js';
import type { UserRow } from './rows.js';
import { softDelete } from './where.js';

const columns = 'id, name, access_key, secret_key, is_admin';
/** A user: `id` is the login name, `access_key` and `secret_key` are in clear, `is_admin` null counts as false. */
export type User = Pick<UserRow, 'id' | 'name' | 'access_key' | 'secret_key' | 'is_admin'>;

/** The user who has this access key; undefined when nobody has. MySQL compares without case: this does not. */
export async function userByAccessKey(db: Queryable, accessKey: string): Promise<User | undefined> {
  const users = await db.all<User>(`SELECT ${columns} FROM users WHERE access_key = ? AND deleted = ? ORDER BY id`, [
    accessKey,
    false,
  ]);
  return users.find((user) => user.access_key === accessKey);
}

/** A user by id. Throws UserNotFound. */
export async function userById(db: Queryable, id: string): Promise<User> {
  const users = await db.all<User>(`SELECT ${columns} FROM users WHERE id = ? AND deleted = ?`, [id, false]);
  const user = users.find((candidate) => candidate.id === id);
  if (user === undefined) throw new UserNotFound(id);
  return user;
}

/** Every user, by id. */
export async function listUsers(db: Queryable): Promise<User[]> {
  return db.all<User>(`SELECT ${columns} FROM users WHERE deleted = ? ORDER BY id`, [false]);
}

export interface NewUser {
  readonly id: string;
  readonly accessKey: string;
  readonly secretKey: string;
  readonly isAdmin: boolean;
}

/**
 * Makes a user. Throws UserExists, also for the id of a user that was marked deleted; of two racing callers one gets
 * it. Two users with one access key are refused with Invalid, as the second could never sign in.
 */
export async function createUser(db: Db, user: NewUser): Promise<void> {
  try {
    await db.transaction(async (tx) => {
      await tx.lock('users');
      await refuseSharedKey(tx, user.id, user.accessKey);
      await tx.insert('users', {
        id: user.id,
        access_key: user.accessKey,
        secret_key: user.secretKey,
        is_admin: user.isAdmin,
      });
    });
  } catch (error) {
    throw isUniqueViolation(error) ? new UserExists(user.id) : error;
  }
}

async function refuseSharedKey(tx: Tx, id: string, accessKey: string): Promise<void> {
  const holder = await userByAccessKey(tx, accessKey);
  if (holder !== undefined && holder.id !== id) throw new Invalid(`The access key is taken by user ${holder.id}`);
}

/** What {@link modifyUser} changes; undefined leaves a column alone. */
export interface UserChanges {
  readonly accessKey?: string;
  readonly secretKey?: string;
  readonly isAdmin?: boolean;
}

/** Changes a user's keys or admin mark, only what differs. Throws UserNotFound, Invalid for an access key that is taken. */
export async function modifyUser(db: Db, id: string, changes: UserChanges): Promise<void> {
  await db.transaction(async (tx) => {
    if (changes.accessKey !== undefined) await tx.lock('users');
    const user = await userById(tx, id);
    if (changes.accessKey !== undefined) await refuseSharedKey(tx, id, changes.accessKey);
    const values: { access_key?: string; secret_key?: string; is_admin?: boolean } = {};
    if (changes.accessKey !== undefined && changes.accessKey !== user.access_key) values.access_key = changes.accessKey;
    if (changes.secretKey !== undefined && changes.secretKey !== user.secret_key) values.secret_key = changes.secretKey;
    if (changes.isAdmin !== undefined && changes.isAdmin !== (user.is_admin ?? false))
      values.is_admin = changes.isAdmin;
    if (Object.keys(values).length > 0) await tx.update('users', values, 'id = ?', [id]);
  });
}

/**
 * Deletes a user with all roles, memberships and key pairs: key pairs softly, the rest from the tables. Throws
 * UserNotFound, and Invalid while the user manages a project (2011.3 found that out halfway). In one transaction.
 */
export async function deleteUser(db: Db, id: string): Promise<void> {
  await db.transaction(async (tx) => {
    await userById(tx, id);
    const managed = await tx.first<{ id: string }>('SELECT id FROM projects WHERE project_manager = ? ORDER BY id', [
      id,
    ]);
    if (managed !== undefined) {
      throw new Invalid(
        `User ${id} manages project ${managed.id}; give the project another manager or delete it first`,
      );
    }
    await softDelete(tx, 'key_pairs', { user_id: id });
    // Roles first: in the database they refer to the membership.
    await tx.run('DELETE FROM user_project_role_association WHERE user_id = ?', [id]);
    await tx.run('DELETE FROM user_project_association WHERE user_id = ?', [id]);
    await tx.run('DELETE FROM user_role_association WHERE user_id = ?', [id]);
    await tx.run('DELETE FROM users WHERE id = ?', [id]);
  });
}

/** The user's global roles, sorted. */
export async function globalRoles(db: Queryable, userId: string): Promise<string[]> {
  const rows = await db.all<{ role: string }>(
    'SELECT role FROM user_role_association WHERE user_id = ? ORDER BY role',
    [userId],
  );
  return rows.map((row) => row.role);
}

/** Grants a global role; a role which the user has stays as it is, also when two callers race. Throws UserNotFound. */
export async function addGlobalRole(db: Db, userId: string, role: string): Promise<void> {
  await insertOnce(db, async (tx) => {
    await userById(tx, userId);
    if ((await globalRoles(tx, userId)).includes(role)) return;
    await tx.insert('user_role_association', { user_id: userId, role });
  });
}

/** Takes a global role away; false when the user didn't have it. */
export async function removeGlobalRole(db: Queryable, userId: string, role: string): Promise<boolean> {
  return (await db.run('DELETE FROM user_role_association WHERE user_id = ? AND role = ?', [userId, role])) > 0;
}

/** Runs a transaction which inserts a row unless it is there; a racing caller who inserted it first is success too. */
export async function insertOnce(db: Db, work: (tx: Tx) => Promise<void>): Promise<void> {
  try {
    await db.transaction(work);
  } catch (error) {
    if (!isUniqueViolation(error)) throw error;
  }
}
