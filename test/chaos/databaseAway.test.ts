import { expect } from 'chai';
import { startProcessCloud, type ProcessCloud } from '../support/cloud.js';
import { CloudWatch } from '../support/cloudWatch.js';
import { type DaemonProcess } from '../support/daemons.js';
import { Postgres } from '../support/postgres.js';
import { until } from '../support/rabbitmq.js';

const workers = ['nova-compute', 'nova-network', 'nova-scheduler', 'nova-volume'] as const;

describe('PostgreSQL', function () {
  this.timeout(180_000);
  let server: Postgres;
  let cloud: ProcessCloud;
  let watch: CloudWatch;

  before(async () => {
    server = await Postgres.start();
    const flags = ['--report_interval=1', '--periodic_interval=1', '--sql_retry_interval=1'];
    cloud = await startProcessCloud({ hosts: 1, server, flags });
    watch = new CloudWatch(cloud);
  });
  after(async () => {
    await watch?.end();
    await cloud?.stop();
    await server?.stop();
  });

  const lines = (daemon: DaemonProcess, pattern: RegExp): number =>
    daemon.output.split('\n').filter((line) => pattern.test(line)).length;

  /** What the daemons say of an outage from `away` to `back`, beside `meanwhile`. */
  async function outage(away: () => Promise<void>, meanwhile: () => Promise<void>): Promise<void> {
    const daemons = workers.map((binary) => cloud.daemon(binary));
    const before = daemons.map((daemon) => [lines(daemon, /model server went away/), lines(daemon, /Recovered model/)]);
    const count = (daemon: DaemonProcess, pattern: RegExp, which: 0 | 1): number =>
      lines(daemon, pattern) - before[daemons.indexOf(daemon)]![which]!;
    await away();
    await Promise.all(
      daemons.map((daemon) =>
        until(`${daemon.binary} to notice`, () => count(daemon, /model server went away/, 0) === 1),
      ),
    );
    await meanwhile();
    await server.restart();
    await Promise.all(
      daemons.map((daemon) =>
        until(`${daemon.binary} to recover`, () => count(daemon, /Recovered model server connection!/, 1) === 1),
      ),
    );
    for (const daemon of daemons) {
      expect(count(daemon, /model server went away/, 0), daemon.binary).to.equal(1);
      expect(daemon.hasEnded, daemon.binary).to.equal(false);
    }
    expect(cloud.daemon('nova-api').hasEnded).to.equal(false);
  }

  it('which is killed for some intervals: 503 meanwhile, periodic tasks go on, and everything works again', async () => {
    const compute = cloud.daemon('nova-compute');
    await outage(
      () => server.kill9(),
      async () => {
        const answers = await Promise.all([
          watch.ec2.call('DescribeInstances'),
          watch.ec2.call('RunInstances', { ImageId: 'ami-00000001' }),
          watch.ec2.call('AllocateAddress'),
        ]);
        for (const { status, xml } of answers) {
          expect(status).to.equal(503);
          expect(xml)
            .to.match(/<Code>Unavailable<\/Code>/)
            .and.not.match(/ at |\.ts|\.js|p@ss|Connection terminated/);
        }
        await until('two intervals to fail', () => lines(compute, /Error during sync_power_states/) >= 2);
      },
    );
    await watch.works();
  });

  it('which is restarted twice in a row', async () => {
    await server.restart();
    await server.restart();
    await watch.works();
  });

  it('which is away when a message comes: its work is done afterwards', async () => {
    const [compute, network, scheduler] = ['nova-compute', 'nova-network', 'nova-scheduler'].map((name) =>
      cloud.daemon(name),
    );
    const ended = await watch.ec2.runInstance();
    await watch.settled(ended, 'active');
    scheduler!.signal('SIGSTOP');
    compute!.signal('SIGSTOP');
    const started = await watch.ec2.runInstance();
    await watch.ec2.done('TerminateInstances', { 'InstanceId.1': ended });
    await server.kill9();
    scheduler!.signal('SIGCONT');
    compute!.signal('SIGCONT');
    await scheduler!.until(/No database for run_instance, trying again[^]*No database for run_instance, trying again/);
    await compute!.until(
      /No database for terminate_instance, trying again[^]*No database for terminate_instance, trying again/,
    );
    await server.restart();
    expect(network!.hasEnded).to.equal(false);
    expect(await watch.whole(started)).to.equal('active');
    await watch.settled(ended, 'deleted');
    await watch.holdsNothing(ended);
    await watch.terminate(started);
  });

  it('which is away while an instance is built: it runs, or is in error with a reason', async () => {
    await cloud.daemon('nova-compute').stop();
    await cloud.start('nova-compute', 'cloud1', ['--fake_spawn_ms=1500']);
    const id = await watch.ec2.runInstance();
    await until('its machine to start', async () => (await watch.state(id)).task_state === 'spawning');
    await server.kill9();
    await cloud.daemon('nova-compute').until(/its failure could not be recorded/);
    await server.restart();
    await watch.whole(id);
    await watch.terminate(id);
  });

  it('which is away when daemons start: a line for each attempt, and they start by themselves', async () => {
    const binaries = [...workers, 'nova-api'];
    await Promise.all(binaries.map((binary) => cloud.daemon(binary).stop()));
    await server.kill9();
    const starting = binaries.map((binary) => cloud.start(binary));
    const patient = binaries.map((binary) =>
      until(`${binary} to try`, () => {
        const seen = cloud
          .output()
          .match(/No answer from the database postgresql:\/\/\S+:[^\n]*; trying again in \d+ s/g);
        return (seen?.length ?? 0) >= 2 * binaries.length;
      }),
    );
    await Promise.all(patient);
    await server.restart();
    await Promise.all(starting);
    await watch.works();
  });

  it('has told nobody its password', () => {
    expect(cloud.output()).not.to.match(/p@ss|p%40ss/);
  });
});
