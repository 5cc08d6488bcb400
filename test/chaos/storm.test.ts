import { expect } from 'chai';
import { execFileSync, spawnSync } from 'node:child_process';
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { type ProcessCloud, startProcessCloud } from '../support/cloud.js';
import { CloudWatch } from '../support/cloudWatch.js';
import { atRest } from '../support/invariants.js';
import type { DaemonProcess } from '../support/daemons.js';
import { Postgres } from '../support/postgres.js';
import { RabbitMq, until } from '../support/rabbitmq.js';
import { Storm } from '../support/storm.js';

const size = { instances: 200, terminations: 100, volumes: 20, clients: 8 } as const;
/** Seconds without a heartbeat after which a host counts as down. */
const serviceDownTime = 10;

describe('while 200 instances start and 100 are terminated', function () {
  this.timeout(300_000);
  let broker: RabbitMq;
  let server: Postgres;
  let cloud: ProcessCloud;
  let watch: CloudWatch;
  let storms = 0;

  before(async () => {
    [broker, server] = await Promise.all([RabbitMq.start(), Postgres.start()]);
    cloud = await startProcessCloud({
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
    watch = new CloudWatch(cloud);
  });
  after(async () => {
    await watch?.end();
    await cloud?.stop();
    await server?.stop();
    broker?.stop();
  });

  /** Raises a storm, lets something happen in its midst, and checks what is left when all is quiet. */
  async function storm(happen: (storm: Storm) => Promise<void>): Promise<Storm> {
    const one = new Storm(watch.ec2, size, `storm${storms++}`);
    const over = one.run();
    await happen(one);
    await over;
    // Far longer than service_down_time + 10 s: the machine may be slow, the cloud may not be stuck.
    await atRest(watch, 120);
    expect(one.odd, 'answers').to.deep.equal([]);
    expect(new Set(one.accepted).size, 'instances').to.equal(size.instances);
    await until('all queues to be empty, and to belong to somebody', async () => {
      const queues = await broker.list('queues', cloud.vhost, ['name', 'messages', 'consumers']);
      return queues.every(({ messages, consumers }) => messages === 0 && Number(consumers) > 0);
    });
    for (const id of one.toEnd) expect((await watch.state(id)).deleted, `${id} is deleted`).to.equal(true);
    return one;
  }

  /** Ends whatever a storm has left. */
  async function quiet(): Promise<void> {
    const rest = await watch.rows<{ id: number }>('SELECT id FROM instances WHERE NOT deleted');
    for (const { id } of rest) {
      await watch.ec2.done('TerminateInstances', { 'InstanceId.1': `i-${id.toString(16).padStart(8, '0')}` });
    }
    await atRest(watch, 120);
  }
  afterEach(quiet);

  const failed = (): Promise<{ id: number; error: string | null }[]> =>
    watch.rows(`SELECT i.id, a.error FROM instances i LEFT JOIN instance_actions a ON a.instance_id = i.id
                WHERE NOT i.deleted AND i.vm_state = 'error'`);

  it('and nothing else happens, every one runs or is gone', async () => {
    const one = await storm(() => Promise.resolve());
    expect(await failed()).to.deep.equal([]);
    expect([one.refused, one.unanswered]).to.deep.equal([0, 0]);
  });

  for (const binary of ['nova-api', 'nova-scheduler', 'nova-network', 'nova-volume', 'nova-compute']) {
    it(`kill -9 of ${binary} leaves nothing on its way, and nothing behind`, async () => {
      const one = await storm(async (running) => {
        for (const count of [40, 110]) {
          await running.until(count);
          await cloud.daemon(binary).kill();
          await cloud.start(binary);
        }
      });
      if (binary !== 'nova-api') expect(one.unanswered).to.equal(0);
    });
  }

  it('kill -9 of RabbitMQ leaves nothing on its way, and nothing behind', async () => {
    await storm(async (running) => {
      await running.until(60);
      await broker.kill9();
      await broker.restart();
    });
  });

  it('a restart of PostgreSQL leaves nothing on its way, and nothing behind', async () => {
    await storm(async (running) => {
      await running.until(60);
      await server.restart();
    });
  });

  for (const binary of ['nova-scheduler', 'nova-network', 'nova-volume', 'nova-compute']) {
    it(`${binary}, stopped until its work was given away, wakes without harm`, async () => {
      await storm(async (running) => {
        await running.until(40);
        const daemon = cloud.daemon(binary);
        daemon.signal('SIGSTOP');
        // Taken for dead, and so long that whoever waited for it has given up.
        const silent = `SELECT 1 FROM services WHERE "binary" = $1 AND host = 'cloud1'
          AND updated_at < (NOW() AT TIME ZONE 'UTC') - INTERVAL '${serviceDownTime + 5} seconds'`;
        await until(`${binary} to be silent`, async () => (await watch.rows(silent, [binary])).length > 0).finally(() =>
          daemon.signal('SIGCONT'),
        );
      });
    });
  }

  it('a full disk of one host costs what was to be built there, and says so', async function () {
    const disk = join(cloud.stateFolder, 'fake', 'cloud2');
    const filler = join(disk, 'filler');
    const compute = (): DaemonProcess => cloud.daemon('nova-compute', 'cloud2');
    await compute().stop();
    try {
      execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=2m', 'tmpfs', disk], { stdio: 'pipe' });
    } catch {
      await cloud.start('nova-compute', 'cloud2');
      this.skip(); // a container without the right to mount
    }
    try {
      await cloud.start('nova-compute', 'cloud2');
      await storm(async (running) => {
        await running.until(40);
        spawnSync('dd', ['if=/dev/zero', `of=${filler}`, 'bs=4k'], { stdio: 'ignore' });
        await compute().until(/ENOSPC|no space left/i);
        await running.until(150);
        rmSync(filler);
      });
      const broken = await failed();
      expect(broken.length).to.be.greaterThan(0);
      for (const { error } of broken) expect(error).to.match(/no space left/i);
      await quiet();
    } finally {
      await compute().stop();
      execFileSync('umount', [disk]);
      await cloud.start('nova-compute', 'cloud2');
    }
  });

  it('a rolling restart of everything loses no request that was accepted', async () => {
    await storm(async (running) => {
      await running.until(20);
      for (const [binary, host] of [
        ['nova-compute', 'cloud1'],
        ['nova-compute', 'cloud2'],
        ['nova-scheduler', 'cloud1'],
        ['nova-network', 'cloud1'],
        ['nova-volume', 'cloud1'],
        ['nova-api', 'cloud1'],
      ] as const) {
        expect((await cloud.daemon(binary, host).stop()).code, binary).to.equal(0);
        await cloud.start(binary, host);
      }
    });
    expect(await failed()).to.deep.equal([]);
  });
});
