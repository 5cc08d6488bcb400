import { ApiError } from '../errors.js';
import { dbTime, parseTime } from '../time.js';
import type { Tx } from './db.js';
import { lockQuota } from './quotas.js';

/** EC2's ClientToken and a digest of the request: a repeated request makes nothing new. Needs the table `ext_client_tokens`. */
export interface ClientToken {
  readonly value: string;
  readonly requestHash: string;
}

/** So long a client token is known, in milliseconds: EC2's own promise. Afterwards it may be used anew. */
export const tokenLifeMs = 24 * 3_600_000;

/**
 * What a request with this token made (the id of a reservation or of a volume); null when there was none.
 * Takes the quota lock of the project, so that of two racing requests one makes it and the other finds it. Throws
 * ApiError (IdempotentParameterMismatch) for a token which was used for another request.
 */
export async function madeWithToken(tx: Tx, projectId: string, token: ClientToken): Promise<string | null> {
  await lockQuota(tx, projectId);
  const known = await tx.first<{ reservation_id: string; request_hash: string }>(
    'SELECT reservation_id, request_hash FROM ext_client_tokens WHERE project_id = ? AND token = ? AND created_at > ?',
    [projectId, token.value, oldestToken(tx)],
  );
  if (known === undefined) return null;
  if (known.request_hash !== token.requestHash) {
    throw new ApiError(
      'Arguments on this idempotent request are inconsistent with arguments used in previous request(s)',
      'IdempotentParameterMismatch',
    );
  }
  return known.reservation_id;
}

/** Notes what a request with a token has made, and forgets the project's old tokens. */
export async function keepToken(tx: Tx, projectId: string, token: ClientToken, made: string): Promise<void> {
  await tx.run('DELETE FROM ext_client_tokens WHERE project_id = ? AND created_at <= ?', [projectId, oldestToken(tx)]);
  await tx.insert('ext_client_tokens', {
    project_id: projectId,
    token: token.value,
    reservation_id: made,
    request_hash: token.requestHash,
  });
}

/** Tokens which were made then or before are forgotten. */
function oldestToken(tx: Tx): string {
  return dbTime(parseTime(tx.now()) - tokenLifeMs);
}
