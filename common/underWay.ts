import type { Clock } from './runtime/runtime.js';

interface Doing {
  readonly what: string;
  readonly since: number;
}

/** Of this process: a signal asks it, not one of its daemons. */
const doing = new Set<Doing>();

/** Does `work`, which {@link listUnderWay} shows meanwhile. */
export async function underWay<T>(clock: Clock, what: string, work: () => Promise<T>): Promise<T> {
  const one = { what, since: clock.now() };
  doing.add(one);
  try {
    return await work();
  } finally {
    doing.delete(one);
  }
}

/** What this process is doing, the oldest first, e.g. `message run_instance, for 12.3 s`; at most `most` lines. */
export function listUnderWay(clock: Clock, most: number): string[] {
  const now = clock.now();
  const lines = [...doing]
    .sort((a, b) => a.since - b.since)
    .slice(0, most)
    .map(({ what, since }) => `${what}, for ${((now - since) / 1000).toFixed(1)} s`);
  return doing.size > most ? [...lines, `${doing.size - most} more`] : lines;
}

/** The process from outside: age, memory, and what keeps it alive. */
export function processState(): string {
  const { rss, heapUsed } = process.memoryUsage();
  const megabytes = (bytes: number): string => `${Math.round(bytes / 2 ** 20)} MB`;
  const open = new Map<string, number>();
  for (const kind of process.getActiveResourcesInfo()) open.set(kind, (open.get(kind) ?? 0) + 1);
  const kinds = [...open].sort().map(([kind, count]) => `${count} ${kind}`);
  return (
    `up for ${Math.round(process.uptime())} s, ${megabytes(rss)} of memory, ${megabytes(heapUsed)} of them objects; ` +
    `open: ${kinds.join(', ') || 'nothing'}`
  );
}
