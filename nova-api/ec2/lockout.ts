import type { Flags } from '../../common/flags/flags.js';
import type { Clock } from '../../common/runtime/runtime.js';
import { Refusal } from './refusal.js';

/** Failures of one access key. */
interface Failures {
  count: number;
  /** Milliseconds since the epoch at which they are forgotten. */
  until: number;
}

/** Most access keys which are remembered; with more, those whose failures are forgotten soonest go first. */
const mostKeys = 10_000;

/**
 * Shuts out access keys which fail too often (nova 2011.3, nova/api/ec2/__init__.py Lockout; flags lockout_attempts,
 * lockout_window, lockout_minutes). The first failure opens a window; when the failures within it reach the limit, every
 * request with the key is refused for a while, right or wrong, and then all is forgotten. Success doesn't reset. Each
 * nova-api counts for itself.
 */
export class Lockout {
  readonly #failures = new Map<string, Failures>();

  constructor(
    private readonly clock: Clock,
    private readonly flags: Pick<Flags, 'lockout_attempts' | 'lockout_window' | 'lockout_minutes'>,
  ) {}

  /** Throws Refusal (403) while the access key is shut out. */
  check(access: string): void {
    const failures = this.#current(access);
    if (failures !== undefined && failures.count >= this.flags.lockout_attempts) {
      throw new Refusal(403, 'AuthFailure', 'Too many failed authentications.');
    }
  }

  /** Counts one failure of an access key; answers whether that shut it out. */
  failed(access: string): boolean {
    const now = this.clock.now();
    const { lockout_attempts: limit, lockout_window: window, lockout_minutes: minutes } = this.flags;
    const failures = this.#current(access) ?? { count: 0, until: now + window * 60_000 };
    failures.count++;
    const isShutOut = failures.count >= limit;
    if (isShutOut) failures.until = now + minutes * 60_000;
    if (!this.#failures.has(access) && this.#failures.size >= mostKeys) this.#makeRoom(now);
    this.#failures.set(access, failures);
    return isShutOut;
  }

  #current(access: string): Failures | undefined {
    const failures = this.#failures.get(access);
    if (failures === undefined || failures.until > this.clock.now()) return failures;
    this.#failures.delete(access);
    return undefined;
  }

  /** Forgets what is over, and else the tenth which matters least: not shut out before shut out, older before newer. */
  #makeRoom(now: number): void {
    for (const [access, { until }] of this.#failures) if (until <= now) this.#failures.delete(access);
    if (this.#failures.size < mostKeys) return;
    const weight = ({ count }: Failures): number => (count >= this.flags.lockout_attempts ? 1 : 0);
    const least = [...this.#failures].sort(([, a], [, b]) => weight(a) - weight(b) || a.until - b.until);
    for (const [access] of least.slice(0, mostKeys / 10)) this.#failures.delete(access);
  }
}
