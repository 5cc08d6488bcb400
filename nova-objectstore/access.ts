import { Callers } from '../common/auth/authenticate.js';
import type { Queryable } from '../common/db/db.js';
import { AccessKeyNotFound, ProjectMembershipNotFound, ProjectNotFound, StartupError } from '../common/errors.js';
import type { Runtime } from '../common/runtime/runtime.js';
import type { Bucket } from './bucketStore.js';
import { S3Refusal } from './refusal.js';
import type { ChunkSigner } from './awsChunked.js';
import { readClaim, type S3Request } from './signatures.js';

/** Who makes a request, and what he may. */
export interface Visitor {
  /** The project which owns what he makes; null without authentication. */
  readonly project: string | null;
  readonly isAdmin: boolean;
  mayUse(bucket: Bucket): boolean;
}

/** A request which was let in. */
export interface Admission {
  readonly visitor: Visitor;
  /** SHA-256 (hex) which the caller signed for the body; undefined for none. */
  readonly bodySha256: string | undefined;
  /** How the caller signed the chunks of the body; null when nobody checks, or they were not signed. */
  readonly chunkSigner: ChunkSigner | null;
}

/** Lets requests in, or throws S3Refusal. */
export interface Access {
  admit(request: S3Request): Promise<Admission>;
}

/** As in 2011.3: whoever reaches the port may read and write everything. */
export const openAccess: Access = {
  async admit() {
    const visitor = { project: null, isAdmin: false, mayUse: () => true };
    return { visitor, bodySha256: undefined, chunkSigner: null };
  },
};

/**
 * Signatures are checked with the users' secret keys. A bucket belongs to the project of whoever made it, and is used by
 * the members of the project and by administrators; one of 2011.3's, which belongs to nobody, by administrators.
 */
export class KeyAccess implements Access {
  readonly #callers: Callers;

  constructor(
    private readonly runtime: Runtime,
    db: Queryable,
  ) {
    this.#callers = new Callers(db, runtime.flags);
  }

  async admit(request: S3Request): Promise<Admission> {
    const claim = readClaim(request);
    this.#checkTime(claim);
    const caller = await this.#callers.find(claim.accessKey).catch((error: unknown) => {
      const isUnknown =
        error instanceof AccessKeyNotFound ||
        error instanceof ProjectNotFound ||
        error instanceof ProjectMembershipNotFound;
      throw isUnknown ? unknownKey() : error;
    });
    // Whoever has no secret can't sign; an empty one would let everybody sign for him.
    if (caller.secretKey === '') throw unknownKey();
    claim.verify(caller.secretKey);
    const { projectId: project, isAdmin } = caller;
    const visitor = { project, isAdmin, mayUse: (bucket: Bucket) => isAdmin || bucket.owner === project };
    return { visitor, bodySha256: claim.bodySha256, chunkSigner: claim.chunkSigner(caller.secretKey) };
  }

  /** The client's own end always counts; its time counts where the flag ec2_timestamp_window says so. */
  #checkTime(claim: { signedAt: number | undefined; expiresAt: number | undefined }): void {
    const now = this.runtime.clock.now();
    if (claim.expiresAt !== undefined && claim.expiresAt < now) {
      throw new S3Refusal(403, 'AccessDenied', 'Request has expired');
    }
    const windowMs = this.runtime.flags.ec2_timestamp_window * 1000;
    if (windowMs <= 0 || claim.expiresAt !== undefined) return;
    if (claim.signedAt === undefined || Math.abs(claim.signedAt - now) > windowMs) {
      throw new S3Refusal(403, 'RequestTimeTooSkewed', "The request's time and the server's differ too much");
    }
  }
}

const unknownKey = (): S3Refusal =>
  new S3Refusal(403, 'InvalidAccessKeyId', 'The access key is unknown, or its user is no member of the project');

/** The access which the flag s3_auth chooses. Throws StartupError. */
export function chooseAccess(runtime: Runtime, db: Queryable | null): Access {
  switch (runtime.flags.s3_auth) {
    case 'keys':
      if (db === null) throw new StartupError('--s3_auth=keys needs the database');
      return new KeyAccess(runtime, db);
    case 'noauth':
      runtime.log
        .logger('nova.objectstore')
        .warn(
          'The objectstore runs without authentication (said by --s3_auth): whoever reaches the port reads and changes ' +
            'every bucket. Use --s3_auth=keys to check signatures',
        );
      return openAccess;
    default:
      throw new StartupError(`--s3_auth=${runtime.flags.s3_auth}: the values are keys and noauth`);
  }
}
