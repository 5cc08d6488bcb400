import { type ProcessCloud, startProcessCloud } from './cloud.js';
import { CloudWatch } from './cloudWatch.js';
import { atRest } from './invariants.js';
import { Postgres } from './postgres.js';
import { RabbitMq, until } from './rabbitmq.js';
import { Storm, type StormSize } from './storm.js';

/** What each storm asks for. */
export const stormSize: StormSize = { instances: 200, terminations: 100, volumes: 20, clients: 8 };
/** Seconds without a heartbeat after which a host counts as down. */
export const serviceDownTime = 10;

/** Something which happens in the midst of a storm, and is over when it resolves. */
export interface Trouble {
  readonly what: string;
  /** Requests stay unanswered meanwhile, as nobody takes them. */
  readonly silences?: boolean;
  happen(cloud: StormyCloud, running: Storm): Promise<void>;
}

/** What came of a storm. */
export interface Aftermath {
  readonly storm: Storm;
  /**
   * From the end of the trouble, or from the answer to the last request where that came later, until nothing was on its
   * way any more, and nothing was left behind.
   */
  readonly restSeconds: number;
}

/** Five daemons and a second compute host, on a broker and a database of their own, in troubled times. */
export class StormyCloud {
  #storms = 0;

  private constructor(
    readonly processes: ProcessCloud,
    readonly broker: RabbitMq,
    readonly server: Postgres,
    readonly watch: CloudWatch,
  ) {}

  static async start(): Promise<StormyCloud> {
    const [broker, server] = await Promise.all([RabbitMq.start(), Postgres.start()]);
    const processes = await startProcessCloud({
      hosts: 2,
      broker,
      server,
      networkSize: 1024,
      flags: [
        '--report_interval=1',
        '--periodic_interval=1',
        `--service_down_time=${serviceDownTime}`,
        `--scheduling_timeout=${serviceDownTime}`,
        '--rpc_response_timeout=10',
        '--quota_instances=-1',
        '--quota_cores=-1',
        '--quota_ram=-1',
        '--quota_volumes=-1',
        '--quota_gigabytes=-1',
        '--max_cores=1000',
        '--max_gigabytes=1000000',
      ],
    });
    return new StormyCloud(processes, broker, server, new CloudWatch(processes));
  }

  /** Raises a storm, lets something happen in its midst, and waits until all is quiet. Throws what is left then. */
  async raise(happen: (running: Storm) => Promise<void>): Promise<Aftermath> {
    const storm = new Storm(this.watch.ec2, stormSize, `storm${this.#storms++}`);
    const over = storm.run();
    await Promise.all([happen(storm), over]);
    const calmAt = performance.now();
    // far longer than service_down_time + 10 s: the machine may be slow, the cloud may not be stuck
    await atRest(this.watch, 120);
    return { storm, restSeconds: (performance.now() - calmAt) / 1000 };
  }

  /** Ends whatever a storm has left. */
  async clear(): Promise<void> {
    const rest = await this.watch.rows<{ id: number }>('SELECT id FROM instances WHERE NOT deleted');
    for (const { id } of rest) {
      await this.watch.ec2.done('TerminateInstances', { 'InstanceId.1': `i-${id.toString(16).padStart(8, '0')}` });
    }
    await atRest(this.watch, 120);
  }

  async stop(): Promise<void> {
    await this.watch.end();
    await this.processes.stop();
    await this.server.stop();
    this.broker.stop();
  }
}

/** A daemon is killed twice, and started again at once, as its supervisor does. */
export const kills: readonly Trouble[] = [
  'nova-api',
  'nova-scheduler',
  'nova-network',
  'nova-volume',
  'nova-compute',
].map((binary) => ({
  what: `kill -9 of ${binary}`,
  silences: binary === 'nova-api',
  async happen({ processes }, running) {
    for (const count of [40, 110]) {
      await running.until(count);
      await processes.daemon(binary).kill();
      await processes.start(binary);
    }
  },
}));

export const outages: readonly Trouble[] = [
  {
    what: 'kill -9 of RabbitMQ',
    async happen({ broker }, running) {
      await running.until(60);
      await broker.kill9();
      await broker.restart();
    },
  },
  {
    what: 'a restart of PostgreSQL',
    async happen({ server }, running) {
      await running.until(60);
      await server.restart();
    },
  },
];

/** A daemon stands still until its work was given away. */
export const pauses: readonly Trouble[] = ['nova-scheduler', 'nova-network', 'nova-volume', 'nova-compute'].map(
  (binary) => ({
    what: `${binary}, stopped until its work was given away`,
    async happen({ processes, watch }, running) {
      await running.until(40);
      const daemon = processes.daemon(binary);
      daemon.signal('SIGSTOP');
      // taken for dead, and so long that whoever waited for it has given up
      const silent = `SELECT 1 FROM services WHERE "binary" = $1 AND host = 'cloud1'
        AND updated_at < (NOW() AT TIME ZONE 'UTC') - INTERVAL '${serviceDownTime + 5} seconds'`;
      await until(`${binary} to be silent`, async () => (await watch.rows(silent, [binary])).length > 0).finally(() =>
        daemon.signal('SIGCONT'),
      );
    },
  }),
);

/** One daemon after the other is restarted in good order. */
export const rollingRestart: Trouble = {
  what: 'a rolling restart of everything',
  async happen({ processes }, running) {
    await running.until(20);
    for (const [binary, host] of [
      ['nova-compute', 'cloud1'],
      ['nova-compute', 'cloud2'],
      ['nova-scheduler', 'cloud1'],
      ['nova-network', 'cloud1'],
      ['nova-volume', 'cloud1'],
      ['nova-api', 'cloud1'],
    ] as const) {
      const { code } = await processes.daemon(binary, host).stop();
      if (code !== 0) throw new Error(`${binary} on ${host} ended with ${code}`);
      await processes.start(binary, host);
    }
  },
};
