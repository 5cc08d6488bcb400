import { readFileSync } from 'node:fs';

/** Ticks of all CPUs since the start of the machine: busy ones, and those which a hypervisor gave to other machines. */
interface Ticks {
  readonly busy: number;
  readonly stolen: number;
}

/** Tells how much of the CPU time that was wanted a hypervisor gave to others (`steal` of Linux's /proc/stat, proc(5)). */
export class StolenTime {
  #last = ticks();
  readonly #shares: string[] = [];

  /** Ends a stretch, begun when the one before it ended. */
  note(name: string): void {
    const now = ticks();
    const stolen = now.stolen - this.#last.stolen;
    const wanted = now.busy - this.#last.busy + stolen;
    this.#last = now;
    this.#shares.push(`${name} ${wanted === 0 ? 0 : Math.round((stolen / wanted) * 100)} %`);
  }

  toString(): string {
    return this.#shares.join(', ');
  }
}

function ticks(): Ticks {
  const [user = 0, nice = 0, system = 0, , , irq = 0, softIrq = 0, stolen = 0] = readFileSync('/proc/stat', 'utf8')
    .split('\n', 1)[0]!
    .trim()
    .split(/\s+/)
    .slice(1)
    .map(Number);
  return { busy: user + nice + system + irq + softIrq, stolen };
}
