import { existsSync, mkdirSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs';

const [root, v1] = ['/sys/fs/cgroup', '/sys/fs/cgroup/cpu'];
const periodMicroseconds = 100_000;

/**
 * Gives each of some processes at most a share of one core, by a cgroup each (cgroups(7), version 1 or 2). So processes which
 * share few cores show what each would do on its own.
 */
export class CpuQuota {
  readonly #groups: string[] = [];
  readonly #parent = existsSync(`${v1}/cpu.cfs_quota_us`) ? v1 : root;

  /** `share` is 0 to 1 of a core. */
  constructor(private readonly share: number) {}

  /** Throws where the machine has no controller of CPUs, or does not let this user make a group. */
  limit(pids: readonly number[]): void {
    if (this.#parent === root) writeFileSync(`${root}/cgroup.subtree_control`, '+cpu');
    const quota = Math.round(this.share * periodMicroseconds);
    for (const pid of pids) {
      const group = `${this.#parent}/nova-bench-${process.pid}-${pid}`;
      mkdirSync(group);
      this.#groups.push(group);
      if (this.#parent === v1) {
        writeFileSync(`${group}/cpu.cfs_period_us`, String(periodMicroseconds));
        writeFileSync(`${group}/cpu.cfs_quota_us`, String(quota));
      } else writeFileSync(`${group}/cpu.max`, `${quota} ${periodMicroseconds}`);
      writeFileSync(`${group}/cgroup.procs`, String(pid));
    }
  }

  /** Lets the processes run free. */
  lift(): void {
    for (const group of this.#groups.splice(0)) {
      for (const pid of readFileSync(`${group}/cgroup.procs`, 'utf8').split('\n').filter(Boolean)) {
        writeFileSync(`${this.#parent}/cgroup.procs`, pid);
      }
      rmdirSync(group);
    }
  }
}
