import { expect } from 'chai';
import { existsSync, readFileSync, renameSync } from 'node:fs';
import { join } from 'node:path';
import { startProcessCloud, type ProcessCloud } from '../support/cloud.js';
import { CloudWatch } from '../support/cloudWatch.js';
import { DaemonProcess } from '../support/daemons.js';
import { until } from '../support/rabbitmq.js';
import { freePort } from '../support/serverProcess.js';

describe('signals', function () {
  this.timeout(120_000);
  let cloud: ProcessCloud;
  let watch: CloudWatch;

  before(async () => {
    cloud = await startProcessCloud({ hosts: 1, flags: ['--report_interval=1', '--periodic_interval=1'] });
    watch = new CloudWatch(cloud);
  });
  after(async () => {
    await watch?.end();
    await cloud?.stop();
  });

  /** nova-compute anew, and an instance whose machine it is starting. */
  async function building(...flags: string[]): Promise<string> {
    const old = cloud.daemon('nova-compute');
    if (!old.hasEnded) await old.stop();
    await cloud.start('nova-compute', 'cloud1', flags);
    const id = await watch.ec2.runInstance();
    await until('its machine to start', () => existsSync(watch.machineFile(id)));
    return id;
  }

  it('SIGTERM lets a running build finish, leaves what comes meanwhile in its queue, and ends with 0', async () => {
    const id = await building('--fake_spawn_ms=2500');
    const compute = cloud.daemon('nova-compute');
    compute.signal('SIGTERM');
    await compute.until(/SIGTERM received/);
    await until('its consumers to go', async () => {
      const queues = await cloud.broker.list('queues', cloud.vhost, ['name', 'consumers']);
      return queues.some((queue) => queue['name'] === 'compute.cloud1' && queue['consumers'] === 0);
    });
    const later = await watch.ec2.runInstance();
    expect(await compute.ended()).to.deep.equal({ code: 0, signal: null });
    expect(await watch.state(id)).to.include({ vm_state: 'active', task_state: null });
    await cloud.start('nova-compute');
    expect(await watch.whole(later)).to.equal('active');
    await Promise.all([watch.terminate(id), watch.terminate(later)]);
  });

  it('SIGTERM waits no longer than drain_timeout; the next start takes up what was left', async () => {
    const id = await building('--fake_spawn_ms=600000', '--drain_timeout=1');
    const compute = cloud.daemon('nova-compute');
    compute.signal('SIGTERM');
    expect(await compute.ended()).to.deep.equal({ code: 0, signal: null });
    expect(compute.output).to.match(/still running after 1 seconds|while 1 messages were being worked on/);
    await cloud.start('nova-compute');
    expect(await watch.whole(id)).to.equal('error');
    await watch.terminate(id);
  });

  it('a second SIGTERM ends at once', async () => {
    const id = await building('--fake_spawn_ms=600000', '--drain_timeout=600');
    const compute = cloud.daemon('nova-compute');
    await until('its end', () => {
      compute.signal('SIGTERM');
      return compute.hasEnded;
    });
    expect(await compute.ended()).to.deep.equal({ code: 143, signal: null });
    await cloud.start('nova-compute');
    expect(await watch.whole(id)).to.equal('error');
    await watch.terminate(id);
  });

  it('SIGTERM lets nova-api answer what it was asked', async () => {
    const point = await watch.breakpoint({ table: 'instances', event: 'INSERT' });
    const asked = watch.ec2.runInstance();
    await point.hit();
    const api = cloud.daemon('nova-api');
    api.signal('SIGTERM');
    await api.until(/SIGTERM received/);
    await point.letGo();
    const id = await asked;
    expect(await api.ended()).to.deep.equal({ code: 0, signal: null });
    await cloud.start('nova-api');
    expect(await watch.whole(id)).to.equal('active');
    await watch.terminate(id);
  });

  it('SIGTERM ends a daemon which waits for its database', async () => {
    const away = `--sql_connection=postgresql://nova:x@127.0.0.1:${await freePort()}/nova`;
    const daemon = new DaemonProcess('nova-scheduler', [away, '--fake_rabbit', `--state_path=${cloud.stateFolder}`]);
    await daemon.until(/trying again in/);
    expect(await daemon.stop()).to.deep.equal({ code: 0, signal: null });
  });

  it('SIGHUP makes each daemon write to a new log file', async () => {
    for (const name of ['api', 'compute', 'network', 'scheduler', 'volume']) {
      const binary = `nova-${name}`;
      await cloud.daemon(binary).stop();
      const log = join(cloud.stateFolder, `${binary}.log`);
      const starting = cloud.start(binary, 'cloud1', [`--logfile=${log}`]).catch(() => undefined);
      await until('its log', () => existsSync(log) && read(log).includes(' is ready'));
      renameSync(log, `${log}.1`);
      cloud.daemon(binary).signal('SIGHUP');
      await until('a new log', () => existsSync(log));
      expect(await cloud.daemon(binary).stop()).to.deep.equal({ code: 0, signal: null });
      await starting;
      expect(read(log)).to.contain('SIGTERM received');
      expect(read(`${log}.1`))
        .to.contain(' is ready')
        .and.not.contain('SIGTERM received');
      await cloud.start(binary);
    }
    await watch.works();
  });
});

const read = (path: string): string => readFileSync(path, 'utf8');
