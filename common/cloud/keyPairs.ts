import type { Context } from '../context.js';
import { createKeyPair, deleteKeyPair, findKeyPair, listKeyPairs, type KeyPair } from '../db/keyPairs.js';
import { projectLimits } from '../db/quotas.js';
import { ApiError, Invalid, InvalidParameterValue, KeyPairExists, KeypairNotFound } from '../errors.js';
import type { CloudParts } from './parts.js';
import { parsePublicKey, rsaPublicKey } from './sshKeys.js';

/** SSH key pairs. They belong to the user, not to a project (nova 2011.3, nova/api/ec2/cloud.py, nova/crypto.py). */
export class KeyPairs {
  constructor(private readonly parts: CloudParts) {}

  /**
   * Makes an RSA key pair of 2048 bits. Answers the private key too (PKCS#1 PEM, which paramiko and boto of 2011 read);
   * it is kept nowhere. Throws KeyPairExists, also for the loser of a race; InvalidParameterValue for the name; QuotaError.
   */
  async create(context: Context, name: string): Promise<{ keyPair: KeyPair; privateKey: string }> {
    const userId = ownerOf(context);
    checkName(name);
    const { db, runtime } = this.parts;
    // Before the work of making a key; whoever races is found when it is stored.
    if ((await findKeyPair(db, userId, name)) !== undefined) throw new KeyPairExists(name);
    const pair = await runtime.random.rsaKeyPair(2048);
    const { line, fingerprint } = rsaPublicKey(pair.publicKey, `nova@${runtime.host}`);
    const limit = await this.#limit(context);
    await createKeyPair(db, { userId, name, fingerprint, publicKey: line }, limit);
    return { keyPair: await this.get(context, name), privateKey: pair.privateKey };
  }

  /**
   * Stores a public key which the caller brings (OpenSSH line or RFC 4716 block). `fingerprint` replaces ours. Throws
   * KeyPairExists, InvalidParameterValue for the name, ApiError for what is no public key, QuotaError.
   */
  async import(context: Context, name: string, publicKey: string, fingerprint?: string): Promise<KeyPair> {
    const userId = ownerOf(context);
    checkName(name);
    const key = parsePublicKey(publicKey);
    if (key === undefined) throw new ApiError('Key is not in valid OpenSSH public key format', 'InvalidKey.Format');
    const stored = {
      userId,
      name,
      fingerprint: (fingerprint ?? key.fingerprint).slice(0, 255),
      publicKey: key.line,
    };
    await createKeyPair(this.parts.db, stored, await this.#limit(context));
    return this.get(context, name);
  }

  /** The caller's key pairs, by name, those of cloudpipe (flag vpn_key_suffix) for administrators only. */
  async list(context: Context): Promise<KeyPair[]> {
    const suffix = this.parts.runtime.flags.vpn_key_suffix;
    const keys = await listKeyPairs(this.parts.db, ownerOf(context));
    return keys.filter((key) => context.isAdmin || suffix === '' || !(key.name ?? '').endsWith(suffix));
  }

  /** The caller's key pair of this name. Throws KeypairNotFound. */
  async get(context: Context, name: string): Promise<KeyPair> {
    const userId = ownerOf(context);
    const key = await findKeyPair(this.parts.db, userId, name);
    if (key === undefined) throw new KeypairNotFound(name, userId);
    return key;
  }

  /** Deletes the caller's key pair of this name; none is no error. */
  async delete(context: Context, name: string): Promise<void> {
    await deleteKeyPair(this.parts.db, ownerOf(context), name);
  }

  /** How many the caller may have, which the project says in which he asks. */
  async #limit(context: Context): Promise<number> {
    const { db, runtime } = this.parts;
    return (await projectLimits(db, runtime.flags, context.requireProject())).key_pairs;
  }
}

function ownerOf(context: Context): string {
  if (context.userId === null) throw new Invalid('The request names no user');
  return context.userId;
}

function checkName(name: string): void {
  if (name === '' || name.length > 255) {
    throw new InvalidParameterValue(
      `Value (${name.slice(0, 100)}) for parameter KeyName is invalid. 1 to 255 characters are expected.`,
    );
  }
}
