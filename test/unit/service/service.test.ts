import { expect } from 'chai';
import type { DaemonParts, RunningDaemon } from '../../../common/daemon.js';
import { openDatabase } from '../../../common/db/database.js';
import type { Db } from '../../../common/db/db.js';
import type { ServiceRow } from '../../../common/db/rows.js';
import { syncDatabase } from '../../../common/db/sync.js';
import { adminContext } from '../../../common/context.js';
import { HostAlreadyServed, MessageNotDelivered } from '../../../common/errors.js';
import type { FlagName } from '../../../common/flags/flags.js';
import type { ImageService } from '../../../common/images/imageService.js';
import type { Manager, PeriodicTask } from '../../../common/manager.js';
import { createRpc } from '../../../common/rpc/client.js';
import { InProcessBus } from '../../../common/rpc/inProcess.js';
import type { Delivery } from '../../../common/rpc/types.js';
import type { RealRuntime } from '../../../common/runtime/real.js';
import { runService } from '../../../common/service.js';
import { listUnderWay } from '../../../common/underWay.js';
import { testRuntime, type MemoryLog } from '../../support/runtime.js';

interface EchoRpc {
  echo(args: { text: string }): Promise<string>;
}

/** A daemon on a bus and a database in memory, whose steps the test sees. */
class Stage {
  readonly steps: string[] = [];
  readonly runtime: RealRuntime;
  readonly log: MemoryLog;
  readonly parts: DaemonParts;
  readonly manager: Manager<EchoRpc>;
  readonly tasks: PeriodicTask[] = [];
  initHost: () => Promise<void> = async () => undefined;
  echo: (text: string, delivery: Delivery) => Promise<string> = async (text) => text;

  constructor(
    readonly db: Db,
    bus: InProcessBus,
    flags: Partial<Record<FlagName, unknown>> = {},
  ) {
    const made = testRuntime({ report_interval: 1, periodic_interval: 1, ...flags }, { binary: 'nova-echo' });
    this.runtime = made.runtime;
    this.log = made.log;
    const transport = bus.transport(this.runtime);
    // No test of these reaches an image.
    const images = {} as ImageService;
    this.parts = { runtime: this.runtime, db, transport, rpc: createRpc(this.runtime, transport), images };
    this.manager = {
      methods: { echo: { required: ['text'], ack: 'claim' } },
      handlers: {
        echo: async (_context, { text }, delivery) => {
          this.steps.push(`echo ${text}`);
          return this.echo(text, delivery);
        },
      },
      initHost: async () => {
        this.steps.push('initHost');
        await this.initHost();
      },
      updateAvailableResource: async () => {
        this.steps.push(`resources with ${(await this.rows()).length} row`);
      },
      periodicTasks: this.tasks,
      close: async () => {
        this.steps.push('close');
      },
    };
  }

  start(): Promise<RunningDaemon> {
    return runService(this.parts, { binary: 'nova-echo', topic: 'echo', manager: this.manager });
  }

  cast(text: string): Promise<void> {
    return this.parts.rpc.target<EchoRpc>('echo').cast.echo(adminContext(this.runtime), { text });
  }

  rows(): Promise<ServiceRow[]> {
    return this.db.all<ServiceRow>('SELECT * FROM services ORDER BY id');
  }
}

async function eventually(check: () => boolean | Promise<boolean>): Promise<void> {
  for (let attempt = 0; attempt < 1000; attempt += 1) {
    if (await check()) return;
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  throw new Error('it did not happen within ten seconds');
}

describe('a service', () => {
  let db: Db;
  let bus: InProcessBus;
  const running: RunningDaemon[] = [];

  const run = async (stage: Stage): Promise<RunningDaemon> => {
    const daemon = await stage.start();
    running.push(daemon);
    return daemon;
  };

  beforeEach(async () => {
    db = openDatabase(testRuntime({ sql_connection: 'sqlite://' }).runtime);
    await syncDatabase(db);
    bus = new InProcessBus();
  });
  afterEach(async () => {
    for (const daemon of running.splice(0)) await daemon.stop();
    await db.close();
  });

  it('shows the messages and tasks which it is working on, since when', async () => {
    const stage = new Stage(db, bus);
    let end = (): void => undefined;
    const ending = new Promise<string>((resolve) => (end = () => resolve('')));
    stage.echo = () => ending;
    stage.tasks.push({ name: 'look', run: () => ending.then(() => undefined) });
    await run(stage);
    await stage.cast('slow');
    // all of this process: daemons which other tests have halted are at theirs for ever
    const shown = (): string[] =>
      listUnderWay(stage.runtime.clock, Infinity).map((line) => line.replace(/\d+\.\d/, 'N'));
    const isThere = (what: RegExp): boolean => shown().some((line) => what.test(line));
    await eventually(() => isThere(/^message echo \(.+\), for N s$/) && isThere(/^task look, for N s$/));
    expect(listUnderWay(stage.runtime.clock, 1)).to.have.length(2);
    end();
    await eventually(() => !isThere(/^(message echo|task look)/));
  });

  it('recovers before it takes what waits for it, and counts a heartbeat at once', async () => {
    const stage = new Stage(db, bus);
    stage.initHost = async () => {
      await stage.cast('early');
      await stage.runtime.sleep(50);
      expect(stage.steps).to.deep.equal(['initHost']);
      expect(bus.depth('echo')).to.include({ consumers: 1 });
    };
    await run(stage);
    await eventually(() => stage.steps.includes('echo early'));
    expect(stage.steps).to.deep.equal(['initHost', 'resources with 1 row', 'echo early']);
    const [row] = await stage.rows();
    expect(row).to.include({
      host: 'cloud1',
      binary: 'nova-echo',
      topic: 'echo',
      disabled: false,
      availability_zone: 'nova',
    });
    expect(row!.updated_at).to.be.a('string');
    expect(stage.log.lines[0]).to.match(/^AUDIT nova\.service \[-\] Starting echo node \(version 2011\.3/);
  });

  it('keeps what an operator set in its row', async () => {
    await db.insert('services', {
      host: 'cloud1',
      binary: 'nova-echo',
      topic: 'echo',
      report_count: 7,
      disabled: true,
      availability_zone: 'rack1',
    });
    const stage = new Stage(db, bus);
    await run(stage);
    const rows = await stage.rows();
    expect(rows).to.have.length(1);
    expect(rows[0]).to.include({ disabled: true, availability_zone: 'rack1', report_count: 8 });
  });

  it('moves to another availability zone when it is told so at its start', async () => {
    await (await run(new Stage(db, bus))).stop();
    const stage = new Stage(db, bus, { node_availability_zone: 'rack2' });
    await run(stage);
    expect((await stage.rows()).map((row) => row.availability_zone)).to.deep.equal(['rack2']);
  });

  it('makes a new row disabled where --enable_new_services is off', async () => {
    const stage = new Stage(db, bus, { enable_new_services: false });
    await run(stage);
    expect((await stage.rows())[0]).to.include({ disabled: true });
  });

  it('says once that the database went away, once that it is back, and makes its row anew', async () => {
    const stage = new Stage(db, bus);
    await run(stage);
    await db.run('DELETE FROM services');
    await db.run('ALTER TABLE services RENAME TO away');
    await eventually(() => stage.log.lines.some((line) => line.includes('model server went away')));
    await stage.runtime.sleep(1100);
    await db.run('ALTER TABLE away RENAME TO services');
    await eventually(() => stage.log.lines.some((line) => line.includes('Recovered model server connection!')));
    expect(stage.log.lines.filter((line) => line.includes('went away'))).to.have.length(1);
    expect(await stage.rows()).to.have.length(1);
  }).timeout(15_000);

  it('runs every periodic task again and again, whatever the others throw', async () => {
    const stage = new Stage(db, bus);
    let rounds = 0;
    stage.tasks.push({ name: 'bad', run: () => Promise.reject(new Error('oops')) });
    stage.tasks.push({ name: 'good', run: async () => void (rounds += 1) });
    await run(stage);
    expect(rounds).to.equal(0);
    await eventually(() => rounds >= 2);
    expect(stage.log.lines.filter((line) => line.includes('Error during bad: oops')).length).to.be.greaterThan(1);
  }).timeout(15_000);

  it('gives a sign of life though its tasks and handlers hang', async () => {
    const stage = new Stage(db, bus);
    let release = (): void => undefined;
    const end = new Promise<void>((resolve) => (release = resolve));
    let hanging = 0;
    const hang = async (): Promise<void> => {
      hanging += 1;
      await end;
    };
    stage.tasks.push({ name: 'slow', run: hang });
    stage.echo = async (text) => hang().then(() => text);
    await run(stage);
    await stage.cast('hanging');
    await eventually(() => hanging === 2);
    const count = async (): Promise<number> => (await stage.rows())[0]!.report_count;
    const before = await count();
    await eventually(async () => (await count()) > before);
    release();
  }).timeout(15_000);

  it('spreads its periodic tasks over the interval, though all daemons start together', async () => {
    const firsts = await Promise.all(
      Array.from({ length: 12 }, async () => {
        const stage = new Stage(db, new InProcessBus(), { periodic_interval: 60 });
        const waits: number[] = [];
        const sleep = stage.runtime.sleep.bind(stage.runtime);
        stage.runtime.sleep = (ms, signal) => {
          waits.push(ms);
          return sleep(ms, signal);
        };
        await run(stage);
        return Math.max(...waits);
      }),
    );
    expect(Math.min(...firsts)).to.be.at.least(60_000);
    expect(Math.max(...firsts)).to.be.below(120_000);
    expect(new Set(firsts).size).to.be.greaterThan(6);
  });

  it('tries again while what its recovery needs is away', async () => {
    const stage = new Stage(db, bus);
    let attempts = 0;
    stage.initHost = async () => {
      attempts += 1;
      if (attempts === 1) throw new MessageNotDelivered('nobody there');
    };
    await run(stage);
    expect(attempts).to.equal(2);
    expect(stage.log.lines.some((line) => line.includes('Cannot start yet'))).to.equal(true);
  });

  it('is refused beside another one of the same host', async () => {
    await run(new Stage(db, bus));
    const second = new Stage(db, bus);
    const error = await second.start().catch((failure: unknown) => failure);
    expect(error).to.be.instanceOf(HostAlreadyServed);
    expect(second.steps).to.deep.equal([]);
  });

  it('lets running work finish when it stops, and leaves the rest in the queue', async () => {
    const stage = new Stage(db, bus, { rpc_thread_pool_size: 1 });
    let finish: () => void = () => undefined;
    let finished = false;
    stage.echo = async (text, delivery) => {
      delivery.accept();
      await new Promise<void>((resolve) => (finish = resolve));
      finished = true;
      return text;
    };
    const daemon = await stage.start();
    await stage.cast('one');
    await stage.cast('two');
    await eventually(() => stage.steps.includes('echo one'));
    const stopped = daemon.stop();
    await stage.runtime.sleep(20);
    expect(stage.steps).not.to.include('close');
    finish();
    await stopped;
    expect(finished).to.equal(true);
    expect(stage.steps.at(-1)).to.equal('close');
    await stage.parts.transport.close();
    expect(bus.depth('echo')).to.include({ ready: 1 });
  });

  it('gives up on work which does not end within drain_timeout', async () => {
    const stage = new Stage(db, bus, { drain_timeout: 0 });
    stage.echo = () => new Promise(() => undefined);
    const daemon = await stage.start();
    await stage.cast('stuck');
    await eventually(() => stage.steps.includes('echo stuck'));
    await daemon.stop();
    expect(stage.steps.at(-1)).to.equal('close');
  });
});
