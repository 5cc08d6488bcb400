import { KeyPairExists, QuotaError } from '../errors.js';
import type { Db, Queryable } from './db.js';
import type { KeyPairRow } from './rows.js';

/** A user's key pair; the private key is nowhere. `fingerprint` is MD5 of the public key, hex pairs with colons. */
export type KeyPair = KeyPairRow;

const columns = 'id, name, user_id, fingerprint, public_key, created_at, updated_at, deleted_at, deleted';

/** The user's key pairs, by name. */
export async function listKeyPairs(db: Queryable, userId: string): Promise<KeyPair[]> {
  return db.all<KeyPair>(`SELECT ${columns} FROM key_pairs WHERE user_id = ? AND deleted = ? ORDER BY name, id`, [
    userId,
    false,
  ]);
}

/** The user's key pair of this name; undefined when there is none. MySQL compares without case: this does not. */
export async function findKeyPair(db: Queryable, userId: string, name: string): Promise<KeyPair | undefined> {
  const rows = await db.all<KeyPair>(
    `SELECT ${columns} FROM key_pairs WHERE user_id = ? AND name = ? AND deleted = ? ORDER BY id`,
    [userId, name, false],
  );
  return rows.find((row) => row.name === name && row.user_id === userId);
}

export interface NewKeyPair {
  readonly userId: string;
  readonly name: string;
  readonly fingerprint: string;
  /** OpenSSH line. */
  readonly publicKey: string;
}

/**
 * Stores a key pair. Throws KeyPairExists, and QuotaError for a user who has `limit`; of callers who race with one name,
 * one stores it (a lock for each user).
 */
export async function createKeyPair(db: Db, key: NewKeyPair, limit = Infinity): Promise<void> {
  await db.transaction(async (tx) => {
    await tx.lock(`key_pairs:${key.userId}`);
    if ((await findKeyPair(tx, key.userId, key.name)) !== undefined) throw new KeyPairExists(key.name);
    const held = await tx.first<{ count: number }>(
      'SELECT COUNT(id) AS count FROM key_pairs WHERE user_id = ? AND deleted = ?',
      [key.userId, false],
    );
    if ((held?.count ?? 0) >= limit) {
      throw new QuotaError('Key pair quota exceeded. You cannot have any more key pairs');
    }
    await tx.insert('key_pairs', {
      name: key.name,
      user_id: key.userId,
      fingerprint: key.fingerprint,
      public_key: key.publicKey,
    });
  });
}

/** Marks the user's key pairs of this name as deleted; none is no error. A repeated or racing call changes nothing more. */
export async function deleteKeyPair(db: Db, userId: string, name: string): Promise<void> {
  await db.transaction(async (tx) => {
    const key = await findKeyPair(tx, userId, name);
    if (key === undefined) return;
    await tx.update('key_pairs', { deleted: true, deleted_at: tx.now() }, 'id = ? AND deleted = ?', [key.id, false]);
  });
}
