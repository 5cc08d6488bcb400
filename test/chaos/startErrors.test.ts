import { expect } from 'chai';
import { execFileSync } from 'node:child_process';
import { chmodSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type AddressInfo } from 'node:net';
import { join } from 'node:path';
import { runProgramToEnd, spawnDaemon, type DaemonProcess } from '../support/daemons.js';
import { postgres, type Postgres } from '../support/postgres.js';
import { sharedRabbitMq, type RabbitMq } from '../support/rabbitmq.js';
import { freePort } from '../support/serverProcess.js';
import { temporaryFolder } from '../support/temporary.js';

const workers = ['nova-compute', 'nova-network', 'nova-volume', 'nova-scheduler'] as const;
const drivers = [
  '--connection_type=fake',
  '--fake_network',
  '--network_manager=nova.network.manager.FlatManager',
  '--volume_driver=nova.volume.driver.FakeISCSIDriver',
];

describe('a daemon which cannot start', function () {
  this.timeout(120_000);
  let folder: string;
  let server: Postgres;
  let broker: RabbitMq;
  let vhost: string;
  let database: string;

  const flags = (...more: string[]): string[] => [
    `--state_path=${folder}`,
    '--my_ip=127.0.0.1',
    `--sql_connection=${database}`,
    '--rabbit_host=127.0.0.1',
    `--rabbit_port=${broker.port}`,
    `--rabbit_virtual_host=${vhost}`,
    '--rabbit_password=guest',
    ...drivers,
    ...more,
  ];
  /** Log lines are INFO and AUDIT before the end; what is left is what the operator reads. */
  const sentences = (output: string): string[] =>
    output.split('\n').filter((line) => line !== '' && !/ (DEBUG|INFO|AUDIT) /.test(line));

  /** One sentence, which matches, exit 1, no stack, no secret. */
  async function refused(binary: string, more: readonly string[], sentence: RegExp): Promise<void> {
    const { code, output } = await runProgramToEnd(binary, flags(...more), { cwd: folder });
    expect(sentences(output), output).to.have.length(1);
    expect(sentences(output)[0], binary).to.match(sentence);
    expect(output).not.to.match(/\n\s+at |p@ss|p%40ss|hunter2|TRACE/);
    expect(code).to.equal(1);
  }

  before(async () => {
    [server, broker] = await Promise.all([postgres(), sharedRabbitMq()]);
    vhost = await broker.newVhost();
    database = await server.freshDatabase();
    folder = temporaryFolder('start');
    expect((await runProgramToEnd('nova-manage', flags('db', 'sync'))).code).to.equal(0);
  });
  after(() => rmSync(folder, { recursive: true, force: true }));

  it('names what is wrong with its flags', async () => {
    const unreadable = join(folder, 'unreadable.conf');
    writeFileSync(unreadable, '--verbose\n');
    chmodSync(unreadable, 0);
    await refused('nova-compute', ['--flagfile=/nonexistent/nova.conf'], /flagfile \/nonexistent\/nova\.conf/);
    await refused('nova-compute', [`--flagfile=${folder}`], /flagfile .*(directory|EISDIR)/i);
    if (process.getuid?.() !== 0) await refused('nova-compute', [`--flagfile=${unreadable}`], /permission|EACCES/i);
    await refused('nova-compute', ['--rabbit_port=many'], /--rabbit_port=many/);
    await refused('nova-compute', ['--report_interval=0'], /--report_interval=0/);
    await refused('nova-scheduler', ['--sql_connection=oracle://u:hunter2@h/d'], /--sql_connection/);
    await refused('nova-scheduler', ['--logfile=/dev/null/nova.log'], /\/dev\/null\/nova\.log/);
  });

  it('names the default of 2011.3 whose driver is not there, and the values which work', async () => {
    await refused('nova-compute', ['--connection_type=libvirt'], /--connection_type=libvirt.* fake/);
    await refused(
      'nova-network',
      ['--network_manager=nova.network.quantum.manager.QuantumManager'],
      /--network_manager=nova\.network\.quantum\.manager\.QuantumManager.*FlatManager/,
    );
    await refused('nova-network', ['--nofake_network'], /--fake_network/);
    await refused(
      'nova-volume',
      ['--volume_driver=nova.volume.driver.ISCSIDriver'],
      /--volume_driver=nova\.volume\.driver\.ISCSIDriver.*FakeISCSIDriver/,
    );
    await refused(
      'nova-scheduler',
      ['--scheduler_driver=nova.scheduler.nosuch.NoSuchScheduler'],
      /--scheduler_driver=.*SimpleScheduler/,
    );
    await refused('nova-api', ['--enabled_apis=ec3'], /--enabled_apis.*ec2/);
  });

  it('names a port which is in use', async () => {
    const other = createServer();
    await new Promise<void>((resolve) => other.listen(0, '127.0.0.1', resolve));
    const { port } = other.address() as AddressInfo;
    try {
      const listen = ['--enabled_apis=ec2', '--ec2_listen=127.0.0.1', `--ec2_listen_port=${port}`];
      await refused('nova-api', listen, new RegExp(`${port}.*--ec2_listen_port`));
    } finally {
      await new Promise((resolve) => other.close(resolve));
    }
  });

  it('says what is wrong with the database', async () => {
    await refused(
      'nova-scheduler',
      [`--sql_connection=${database.replace('p%40ss', 'hunter2')}`],
      /--sql_connection.*password/,
    );
    await refused('nova-scheduler', [`--sql_connection=${server.url('nowhere')}`], /--sql_connection.*nowhere/);
    const away = database.replace(/:\d+\//, `:${await freePort()}/`);
    const { code, output } = await runProgramToEnd(
      'nova-scheduler',
      flags(`--sql_connection=${away}`, '--sql_max_retries=2'),
      { cwd: folder },
    );
    expect(code).to.equal(1);
    expect(sentences(output), output).to.have.length(2);
    expect(sentences(output)[0]).to.match(/WARNING.*No answer from the database.*trying again in 1 s/);
    expect(sentences(output)[1]).to.match(/^nova-scheduler: .*--sql_connection.*ECONNREFUSED/);
  });

  it('says what to do about a schema which is not its own', async () => {
    const empty = await server.freshDatabase();
    await refused('nova-scheduler', [`--sql_connection=${empty}`], /nova-manage db sync/);
    const name = empty.slice(empty.lastIndexOf('/') + 1);
    await server.query(name, 'CREATE TABLE instances (id INTEGER)');
    await refused('nova-scheduler', [`--sql_connection=${empty}`], /no schema version/);
    for (const [version, hint] of [
      ['45', /version 45.*46.*db sync/],
      ['47', /version 47.*46/],
    ] as const) {
      const other = await server.freshDatabase();
      expect((await runProgramToEnd('nova-manage', flags(`--sql_connection=${other}`, 'db', 'sync'))).code).to.equal(0);
      await server.query(other, `UPDATE migrate_version SET version = ${version}`);
      await refused('nova-compute', [`--sql_connection=${other}`], hint);
    }
  });

  it('says what is wrong with the broker', async () => {
    await refused('nova-scheduler', ['--rabbit_password=hunter2'], /--rabbit_password/);
    await refused('nova-scheduler', ['--rabbit_virtual_host=/nowhere'], /\/nowhere.*--rabbit_virtual_host/);
    const own = await broker.newVhost();
    const connection = await broker.connect(own);
    const channel = await connection.createChannel();
    await channel.assertExchange('nova', 'topic', { durable: true });
    await connection.close();
    await refused('nova-scheduler', [`--rabbit_virtual_host=${own}`], /--rabbit_durable_queues=false/i);
    await refused('nova-api', [`--rabbit_virtual_host=${own}`, '--enabled_apis='], /rabbit_durable_queues/);
  });

  it('says that the disk is full', async function () {
    if (process.getuid?.() !== 0) this.skip();
    const disk = join(folder, 'full');
    execFileSync('mkdir', ['-p', disk]);
    try {
      execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=64k', 'tmpfs', disk], { stdio: 'pipe' });
    } catch {
      this.skip(); // a container without the right to mount
    }
    try {
      execFileSync('dd', ['if=/dev/zero', `of=${join(disk, 'filler')}`], { stdio: 'ignore' });
    } catch {
      // full: that is the purpose
    }
    try {
      await refused('nova-compute', [`--state_path=${disk}`, '--lock_path=/tmp'], /no space left|full/i);
      await refused(
        'nova-manage',
        [`--sql_connection=sqlite:///${disk}/nova.sqlite`, 'db', 'sync'],
        /full|no space|disk/i,
      );
      const embedded = await runProgramToEnd('nova-all', [
        `--state_path=${disk}/state`,
        '--ec2_listen_port=0',
        '--images_listen_port=0',
      ]);
      expect(embedded.code).to.equal(1);
      expect(embedded.output)
        .to.match(/full|no space|disk/i)
        .and.not.match(/\n\s+at /);
    } finally {
      execFileSync('umount', [disk]);
    }
  });

  it('names the host which is served already, and starts at once when that one was killed', async () => {
    const running: DaemonProcess[] = [];
    try {
      const start = async (binary: string): Promise<DaemonProcess> => {
        const daemon = await spawnDaemon(binary, flags('--host=same'), { cwd: folder });
        running.push(daemon);
        return daemon;
      };
      await Promise.all(
        workers.map(async (binary) => {
          const first = await start(binary);
          await refused(binary, ['--host=same'], /same.*--host/);
          await first.kill();
          await start(binary);
        }),
      );
    } finally {
      await Promise.all(running.map((daemon) => daemon.kill()));
    }
  });
});
