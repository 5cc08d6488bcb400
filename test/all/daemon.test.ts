import { expect } from 'chai';
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { commandOf, runProgramToEnd, spawnDaemon, type DaemonProcess } from '../support/daemons.js';
import { temporaryFolder } from '../support/temporary.js';

describe('one daemon in its process', function () {
  this.timeout(120_000);
  let folder: string;
  let daemon: DaemonProcess | null = null;
  const flags = (...more: string[]): string[] => [
    `--state_path=${folder}`,
    '--fake_rabbit',
    '--my_ip=127.0.0.1',
    ...more,
  ];

  beforeEach(async () => {
    folder = temporaryFolder('daemon');
    expect((await runProgramToEnd('nova-manage', flags('db', 'sync'))).code).to.equal(0);
  });
  afterEach(async () => {
    if (daemon !== null && !daemon.hasEnded) await daemon.kill();
    daemon = null;
    rmSync(folder, { recursive: true, force: true });
  });

  it('logs in the form of Nova, tolerates flags of others, and ends with 0 on SIGTERM', async () => {
    daemon = await spawnDaemon('nova-scheduler', flags('--libvirt_type=kvm', '--nodaemon'));
    expect(daemon.output).to.match(
      /^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} AUDIT nova\.service \[-\] Starting scheduler node \(version 2011\.3/m,
    );
    expect(await daemon.stop()).to.deep.equal({ code: 0, signal: null });
    expect(daemon.output).not.to.match(/TRACE|ERROR|CRITICAL/);
  });

  it('opens its log anew on SIGHUP', async () => {
    const log = join(folder, 'nova-scheduler.log');
    daemon = await spawnDaemon('nova-scheduler', flags(`--logdir=${folder}`), { ready: /^/ });
    await eventually(() => existsSync(log) && readFileSync(log, 'utf8').includes(' is ready'));
    renameSync(log, `${log}.1`);
    daemon.signal('SIGHUP');
    await eventually(() => existsSync(log));
    await daemon.stop();
    expect(readFileSync(log, 'utf8')).to.contain('SIGTERM received');
    expect(readFileSync(`${log}.1`, 'utf8')).not.to.contain('SIGTERM received');
  });

  it('writes into its log on SIGUSR1 what it is doing, and opens no debugger', async () => {
    daemon = await spawnDaemon('nova-scheduler', flags());
    daemon.signal('SIGUSR1');
    await daemon.until(/INFO nova\.service \[-\] State: up for \d+ s, \d+ MB of memory/);
    await daemon.until(/INFO nova\.service \[-\] Under way: nothing/);
    expect(await daemon.stop()).to.deep.equal({ code: 0, signal: null });
    expect(daemon.output).not.to.match(/debugger/i);
  });

  it('goes on when nobody reads its output any more', async () => {
    const command = [...commandOf('nova-manage'), ...flags('user', 'create', 'late')]
      .map((word) => `'${word}'`)
      .join(' ');
    // The reader has left before the first line.
    const script = `exec 3> >(exec true); sleep 0.2; ${command} >&3`;
    const { status, stderr } = spawnSync('bash', ['-c', script], { encoding: 'utf8', cwd: folder });
    expect(status, stderr).to.equal(0);
    expect(stderr).not.to.match(/EPIPE/);
    expect((await runProgramToEnd('nova-manage', flags('user', 'list'))).output).to.match(/^late$/m);
  });

  it('is refused with a sentence without a schema', async () => {
    const { code, output } = await runProgramToEnd(
      'nova-scheduler',
      flags(`--sql_connection=sqlite:///${folder}/other.sqlite`),
    );
    expect(code).to.equal(1);
    expect(output)
      .to.contain('nova-manage db sync')
      .and.not.match(/\n {4}at /);
  });

  it('is refused with a sentence for a default of 2011.3 which is not there', async () => {
    const network = await runProgramToEnd('nova-network', flags());
    expect(network.code).to.equal(1);
    expect(network.output).to.contain('--fake_network');
    const compute = await runProgramToEnd('nova-compute', flags());
    expect(compute.code).to.equal(1);
    expect(compute.output).to.match(/--connection_type=libvirt.*fake/);
  });

  it('shows no password at any level', async () => {
    daemon = await spawnDaemon('nova-scheduler', flags('--verbose', '--rabbit_password=hunter2'));
    await daemon.stop();
    expect(daemon.output).to.contain('rabbit_password : ***').and.not.contain('hunter2');
  });
});

async function eventually(check: () => boolean): Promise<void> {
  for (let attempt = 0; attempt < 1500; attempt += 1) {
    if (check()) return;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  throw new Error('it did not happen within thirty seconds');
}
