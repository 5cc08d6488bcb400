import { lastSeenAt, type LoadedService } from '../../common/db/services.js';
import type { Clock } from '../../common/runtime/runtime.js';

/** A list is used for so many times as long as its reading took, and at most this many milliseconds. */
const usesOfReading = 10;
const longestMs = 1000;

/** A host with a service of the topic, and what it carries by now. */
export interface Candidate {
  readonly host: string;
  /** When its service gave a sign of life, in milliseconds of the clock; NaN when it never did. */
  readonly seenAt: number;
  readonly load: number;
}

interface Snapshot {
  readonly candidates: Promise<readonly Candidate[]>;
  readonly byHost: Map<string, { seenAt: number; load: number }>;
  /** What was given to hosts while the list was read; null afterwards. */
  given: [host: string, load: number][] | null;
  goodUntil: number;
}

/**
 * Services by what their hosts carry. To sum that up for a thousand hosts and a hundred thousand instances takes tens of
 * milliseconds, so that is done for a tenth of the time at most: meanwhile what this scheduler gives to hosts is added to
 * the last sums. Whoever finds no host in the recent list asks for a fresh one, and the choice itself is a conditional
 * UPDATE: an old list never gives a host too much, nor refuses anything.
 */
export class Loads {
  readonly #snapshots = new Map<string, Snapshot>();

  constructor(
    private readonly clock: Clock,
    private readonly read: (topic: string) => Promise<LoadedService[]>,
  ) {}

  /** The hosts of a topic, the older service first. Their loads follow {@link add} as long as the list is the recent one. */
  list(topic: string, fresh: boolean): Promise<readonly Candidate[]> {
    const known = this.#snapshots.get(topic);
    const snapshot = known !== undefined && !fresh && this.clock.now() < known.goodUntil ? known : this.#begin(topic);
    return snapshot.candidates;
  }

  /** A host is about to carry more, or (negative) will not. */
  add(topic: string, host: string, load: number): void {
    const snapshot = this.#snapshots.get(topic);
    snapshot?.given?.push([host, load]);
    const candidate = snapshot?.byHost.get(host);
    if (candidate !== undefined) candidate.load += load;
  }

  #begin(topic: string): Snapshot {
    const startedAt = this.clock.now();
    const reading = this.read(topic);
    const snapshot: Snapshot = {
      candidates: reading.then((services) => {
        const tookMs = this.clock.now() - startedAt;
        snapshot.goodUntil = this.clock.now() + Math.min(longestMs, tookMs * usesOfReading);
        return this.#candidates(services, snapshot);
      }),
      byHost: new Map(),
      given: [],
      // whoever comes while it is being read shares it
      goodUntil: Infinity,
    };
    snapshot.candidates.catch(() => (snapshot.goodUntil = -Infinity));
    this.#snapshots.set(topic, snapshot);
    return snapshot;
  }

  #candidates(services: readonly LoadedService[], snapshot: Snapshot): Candidate[] {
    const candidates: Candidate[] = [];
    for (const service of [...services].sort((one, other) => one.id - other.id)) {
      if (service.host === null) continue;
      const seenAt = lastSeenAt(service);
      const known = snapshot.byHost.get(service.host);
      if (known === undefined) {
        const candidate = { host: service.host, seenAt, load: service.load };
        snapshot.byHost.set(candidate.host, candidate);
        candidates.push(candidate);
      } else if (!(known.seenAt >= seenAt)) known.seenAt = seenAt;
    }
    for (const [host, load] of snapshot.given ?? []) {
      const candidate = snapshot.byHost.get(host);
      if (candidate !== undefined) candidate.load += load;
    }
    snapshot.given = null;
    return candidates;
  }
}
