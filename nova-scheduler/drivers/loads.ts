import type { LoadedService } from '../../common/db/services.js';
import type { Clock } from '../../common/runtime/runtime.js';

/** A list is used for so many times as long as its reading took, and at most this many milliseconds. */
const usesOfReading = 10;
const longestMs = 1000;

/** A service, and what its host carries by now. */
export interface Candidate {
  readonly service: LoadedService;
  load: number;
}

interface Snapshot {
  readonly candidates: Promise<Candidate[]>;
  /** What was given to hosts since the reading began. */
  readonly given: Map<string, number>;
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

  /** The services of a topic, the least loaded first, of equals the older row. */
  async list(topic: string, fresh: boolean): Promise<Candidate[]> {
    const known = this.#snapshots.get(topic);
    const snapshot = known !== undefined && !fresh && this.clock.now() < known.goodUntil ? known : this.#begin(topic);
    const candidates = await snapshot.candidates;
    const loadOf = ({ service, load }: Candidate): number => load + (snapshot.given.get(service.host ?? '') ?? 0);
    return candidates
      .map((candidate) => ({ service: candidate.service, load: loadOf(candidate) }))
      .sort((a, b) => a.load - b.load || a.service.id - b.service.id);
  }

  /** A host is about to carry more, or (negative) will not. */
  add(topic: string, host: string, load: number): void {
    const given = this.#snapshots.get(topic)?.given;
    given?.set(host, (given.get(host) ?? 0) + load);
  }

  #begin(topic: string): Snapshot {
    const startedAt = this.clock.now();
    const reading = this.read(topic);
    const snapshot: Snapshot = {
      candidates: reading.then((services) => {
        const tookMs = this.clock.now() - startedAt;
        snapshot.goodUntil = this.clock.now() + Math.min(longestMs, tookMs * usesOfReading);
        return services.map((service) => ({ service, load: service.load }));
      }),
      given: new Map(),
      // whoever comes while it is being read shares it
      goodUntil: Infinity,
    };
    snapshot.candidates.catch(() => (snapshot.goodUntil = -Infinity));
    this.#snapshots.set(topic, snapshot);
    return snapshot;
  }
}
