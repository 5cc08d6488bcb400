import { readFileSync } from 'node:fs';
import type { Client } from 'pg';
import { startProcessCloud, type ProcessCloud } from '../test/support/cloud.js';
import { Postgres } from '../test/support/postgres.js';
import { RabbitMq, until } from '../test/support/rabbitmq.js';
import { childrenOf } from '../test/support/serverProcess.js';

/** Room for whatever is measured: quotas and hosts never refuse. */
export const roomyFlags = [
  '--quota_instances=-1',
  '--quota_cores=-1',
  '--quota_ram=-1',
  '--quota_floating_ips=-1',
  '--quota_volumes=-1',
  '--quota_gigabytes=-1',
  '--quota_security_groups=-1',
  '--max_cores=1000000',
];
/** What the daemons which are measured run with, beside where things are. */
export const benchFlags = ['--fake_spawn_ms=0', '--noverbose', ...roomyFlags];

const daemons = ['nova-api', 'nova-scheduler', 'nova-network', 'nova-compute', 'nova-volume'] as const;

/** Which instances there are. */
export interface Counts {
  readonly active: number;
  /** Not deleted, in whatever state. */
  readonly live: number;
  readonly error: number;
}

/** PostgreSQL and RabbitMQ of the run, started when first asked for. */
export class Servers {
  #postgres: Promise<Postgres> | null = null;
  #broker: Promise<RabbitMq> | null = null;

  postgres(): Promise<Postgres> {
    return (this.#postgres ??= Postgres.start());
  }

  broker(): Promise<RabbitMq> {
    return (this.#broker ??= RabbitMq.start());
  }

  async stop(): Promise<void> {
    await (await this.#postgres)?.stop();
    (await this.#broker)?.stop();
  }
}

/** Five daemons, one of a kind, on PostgreSQL and RabbitMQ, and a look past them into the database. */
export class BenchCloud {
  private constructor(
    readonly processes: ProcessCloud,
    private readonly sql: Client,
  ) {}

  static async start(servers: Servers, flags: readonly string[] = []): Promise<BenchCloud> {
    const processes = await startProcessCloud({
      hosts: 1,
      server: await servers.postgres(),
      broker: await servers.broker(),
      firehose: false,
      objectstore: false,
      networkSize: 4096,
      flags: [...benchFlags, ...flags],
    });
    return new BenchCloud(processes, await processes.server.connect(processes.database));
  }

  get environment(): ProcessCloud['environment'] {
    return this.processes.environment;
  }

  async rows<R extends object>(text: string, values: readonly unknown[] = []): Promise<R[]> {
    return (await this.sql.query<R & Record<string, unknown>>(text, [...values])).rows;
  }

  async counts(): Promise<Counts> {
    const [row] = await this.rows<Record<keyof Counts, string>>(
      "SELECT count(*) FILTER (WHERE vm_state = 'active' AND task_state IS NULL) AS active, count(*) AS live, " +
        "count(*) FILTER (WHERE vm_state = 'error') AS error FROM instances WHERE NOT deleted",
    );
    return { active: Number(row!.active), live: Number(row!.live), error: Number(row!.error) };
  }

  /** Waits until so many instances run. Throws when one fails. */
  async running(count: number, seconds = 300): Promise<void> {
    await until(
      `${count} running instances`,
      async () => {
        const { active, error } = await this.counts();
        if (error > 0) throw new Error(`${error} instances failed:\n${this.processes.output().slice(-4000)}`);
        return active >= count;
      },
      seconds,
    );
  }

  async gone(seconds = 300): Promise<void> {
    await until('no instances', async () => (await this.counts()).live === 0, seconds);
  }

  /** Throws when an instance was lost, or two hold one address. */
  async requireWhole(ids: readonly string[]): Promise<void> {
    const rows = await this.rows<{ address: string; instances: string }>(
      'SELECT i.id, count(f.id) AS addresses, min(f.address) AS address FROM instances i LEFT JOIN fixed_ips f ' +
        'ON f.instance_id = i.id AND f.allocated WHERE NOT i.deleted GROUP BY i.id HAVING count(f.id) <> 1',
    );
    const { active } = await this.counts();
    const distinct = new Set(ids).size;
    if (rows.length > 0) throw new Error(`${rows.length} instances have not one address each`);
    if (active !== ids.length || distinct !== ids.length) {
      throw new Error(`of ${ids.length} instances (${distinct} ids) ${active} run`);
    }
  }

  /** Resident megabytes of each daemon. */
  memory(): { binary: string; megabytes: number }[] {
    return daemons.map((binary) => ({ binary, megabytes: residentMegabytes(this.processes.daemon(binary).pid) }));
  }

  /** Seconds of CPU which each daemon, the servers and this client have used. */
  cpu(): Map<string, number> {
    const { server, broker } = this.processes;
    const { user, system } = process.cpuUsage();
    return new Map([
      ...daemons.map((binary): [string, number] => [binary.slice(5), cpuSeconds(this.processes.daemon(binary).pid)]),
      ['PostgreSQL', treeCpuSeconds(server.pid!)],
      ['RabbitMQ', treeCpuSeconds(broker.pid!)],
      ['client', (user + system) / 1e6],
    ]);
  }

  async stop(): Promise<void> {
    await this.sql.end();
    await this.processes.stop();
  }
}

/** What a process has in memory, itself alone. */
export function residentMegabytes(pid: number): number {
  const kilobytes = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1];
  return Math.round(Number(kilobytes) / 1024);
}

/** What a process has used of the CPUs; Linux counts in hundredths of a second. */
export function cpuSeconds(pid: number): number {
  return statSeconds(`/proc/${pid}/stat`).own;
}

/** What the main thread of a process has used. */
export function threadCpuSeconds(pid: number): number {
  return statSeconds(`/proc/${pid}/task/${pid}/stat`).own;
}

function statSeconds(path: string): { own: number; ofEnded: number } {
  const stat = readFileSync(path, 'utf8');
  const fields = stat
    .slice(stat.lastIndexOf(')') + 2)
    .split(' ')
    .map(Number);
  return { own: (fields[11]! + fields[12]!) / 100, ofEnded: (fields[13]! + fields[14]!) / 100 };
}

/** What a process and those below it have used, with those which have ended. */
export function treeCpuSeconds(pid: number): number {
  try {
    const { own, ofEnded } = statSeconds(`/proc/${pid}/stat`);
    return childrenOf(pid).reduce((sum, child) => sum + treeCpuSeconds(child), own + ofEnded);
  } catch (error) {
    // a short-lived one has ended between two looks, and is counted with its parent
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT' || code === 'ESRCH') return 0;
    throw error;
  }
}
