import type { Flags } from '../../common/flags/flags.js';
import type { Clock } from '../../common/runtime/runtime.js';
import { Refusal } from './refusal.js';

/** What a user has left. */
interface Bucket {
  requests: number;
  /** As of when, in milliseconds since the epoch. */
  at: number;
}

/** Most users who are remembered; whoever has not asked for longest is forgotten first, and has all of his again. */
const mostUsers = 10_000;

/**
 * Bounds how many requests a minute a user may make (flag ec2_rate_limit; none when 0, as in nova 2011.3, whose limits are
 * of the OpenStack API alone). So many at once, and one more for each part of a minute which passes. Requests which
 * nobody signed don't count. Each nova-api process counts for itself.
 */
export class RateLimit {
  /** In the order of their last requests. */
  readonly #buckets = new Map<string, Bucket>();

  constructor(
    private readonly clock: Clock,
    private readonly flags: Pick<Flags, 'ec2_rate_limit'>,
  ) {}

  /** Counts a request. Throws Refusal (503 RequestLimitExceeded, which today's clients wait for and repeat) for one too many. */
  take(userId: string): void {
    const perMinute = this.flags.ec2_rate_limit;
    if (perMinute <= 0) return;
    const now = this.clock.now();
    const bucket = this.#buckets.get(userId) ?? { requests: perMinute, at: now };
    const earned = (Math.max(0, now - bucket.at) / 60_000) * perMinute;
    bucket.requests = Math.min(perMinute, bucket.requests + earned);
    bucket.at = now;
    this.#buckets.delete(userId);
    this.#buckets.set(userId, bucket);
    if (this.#buckets.size > mostUsers) this.#buckets.delete(this.#buckets.keys().next().value!);
    if (bucket.requests < 1) {
      const seconds = Math.ceil(((1 - bucket.requests) / perMinute) * 60);
      throw new Refusal(503, 'RequestLimitExceeded', 'Request limit exceeded.', seconds);
    }
    bucket.requests -= 1;
  }
}
