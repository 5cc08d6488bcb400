import { createHash } from 'node:crypto';
import type { ClientToken } from '../db/clientTokens.js';
import { hasTable } from '../db/indexes.js';
import { ApiError } from '../errors.js';
import type { CloudParts } from './parts.js';

const longestToken = 64;

/** Throws ApiError for a token which the database could not keep. */
export function checkToken(value: string | undefined): void {
  if (value === undefined || (value.length <= longestToken && !value.includes('\0'))) return;
  throw new ApiError(`ClientToken may have at most ${longestToken} characters, and no NUL`, 'InvalidParameterValue');
}

/** Tokens by which clients say that a request is one which they sent before. */
export class ClientTokens {
  /** Whether the database keeps client tokens; unknown until one comes. */
  #kept: boolean | undefined;

  constructor(private readonly parts: Pick<CloudParts, 'db' | 'runtime'>) {}

  /**
   * The token of a request, with which the same `action` and `wish` will be known again; undefined where the database
   * can't keep it: one which Python made can't until `nova-manage db index`.
   */
  async of(action: string, value: string | undefined, wish: object): Promise<ClientToken | undefined> {
    if (value === undefined) return undefined;
    if (this.#kept !== true) {
      const known = this.#kept;
      this.#kept = await hasTable(this.parts.db, 'ext_client_tokens');
      if (!this.#kept && known === undefined) {
        this.parts.runtime.log
          .logger('nova.cloud.clienttokens')
          .warn(
            `ClientToken has no effect, a repeated ${action} makes everything again: the database lacks the table ` +
              'ext_client_tokens. `nova-manage db index` adds it',
          );
      }
    }
    return this.#kept ? { value, requestHash: hashOf(action, wish) } : undefined;
  }
}

/** Tells two requests with one client token apart. */
function hashOf(action: string, wish: object): string {
  const sorted = Object.entries(wish).sort(([a], [b]) => (a < b ? -1 : 1));
  return createHash('sha256')
    .update(JSON.stringify([action, sorted]))
    .digest('hex');
}
