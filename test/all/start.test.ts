import { expect } from 'chai';
import { chmodSync, existsSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { createServer, type AddressInfo } from 'node:net';
import { join } from 'node:path';
import { openDatabase } from '../../common/db/database.js';
import { deleteProject } from '../../common/db/projects.js';
import { deleteUser, globalRoles } from '../../common/db/users.js';
import { DaemonProcess, runProgramToEnd, spawnDaemon } from '../support/daemons.js';
import { testRuntime } from '../support/runtime.js';
import { temporaryFolder } from '../support/temporary.js';

const ready = /Ctrl-C ends it/;

describe('nova-all', function () {
  this.timeout(180_000);
  const running: DaemonProcess[] = [];
  let state: string;

  const flags = (...more: string[]): string[] => [
    `--state_path=${state}`,
    '--ec2_listen_port=0',
    '--images_listen_port=0',
    '--s3_port=0',
    ...more,
  ];
  const start = async (...more: string[]): Promise<DaemonProcess> => {
    const cloud = await spawnDaemon('nova-all', flags(...more), { ready });
    running.push(cloud);
    return cloud;
  };
  /** What a shell knows after sourcing the file. */
  const rc = (name = 'novarc'): Record<string, string> =>
    Object.fromEntries(
      [...readFileSync(join(state, name), 'utf8').matchAll(/^export (\w+)="?([^"\n]*)"?$/gm)].map((match) => [
        match[1]!,
        match[2]!,
      ]),
    );

  const folders: string[] = [];
  const temporary = (): string => {
    const folder = temporaryFolder('all');
    folders.push(folder);
    return folder;
  };

  beforeEach(() => {
    state = join(temporary(), 'state');
  });
  afterEach(async () => {
    for (const cloud of running.splice(0)) if (!cloud.hasEnded) await cloud.kill();
    for (const folder of folders.splice(0)) rmSync(folder, { recursive: true, force: true });
  });

  it('makes a cloud at its first start, and finds it again at its second', async () => {
    const first = await start();
    const demo = rc();
    expect(demo).to.include.keys(
      'EC2_URL',
      'EC2_ACCESS_KEY',
      'EC2_SECRET_KEY',
      'S3_URL',
      'NOVA_URL',
      'AWS_ACCESS_KEY_ID',
      'AWS_SECRET_ACCESS_KEY',
    );
    expect(demo['EC2_ACCESS_KEY']).to.match(/^[0-9a-f-]{36}:demo$/);
    // Today's clients have one general endpoint and one a service; S3 must not end at the EC2 door.
    expect(demo['AWS_ENDPOINT_URL_S3']).to.equal(demo['S3_URL']);
    expect(rc('novarc.admin')['EC2_ACCESS_KEY']).to.match(/:admin$/);
    expect(statSync(join(state, 'novarc')).mode & 0o777).to.equal(0o600);
    expect((await fetch(demo['EC2_URL']!)).status, 'an unsigned request').to.be.within(400, 499);
    expect(first.output).to.contain(demo['EC2_URL']);

    first.signal('SIGINT');
    expect(await first.ended()).to.deep.equal({ code: 0, signal: null });
    expect(existsSync(join(state, 'nova-all.pid'))).to.equal(false);

    const second = await start();
    expect(second.output).not.to.contain('making');
    const again = rc();
    expect([again['EC2_ACCESS_KEY'], again['EC2_SECRET_KEY']]).to.deep.equal([
      demo['EC2_ACCESS_KEY'],
      demo['EC2_SECRET_KEY'],
    ]);
    expect(second.output, 'the port of this start').to.contain(again['EC2_URL']);
    expect(await second.stop()).to.deep.equal({ code: 0, signal: null });
  });

  it('carries on a first start which was killed, and keeps away what was taken away later', async () => {
    const killed = new DaemonProcess('nova-all', flags());
    running.push(killed);
    await killed.until(/making user and project demo/);
    await killed.kill();

    const cloud = await start();
    const { runtime } = testRuntime({ sql_connection: `sqlite:///${join(state, 'nova.sqlite')}` });
    const db = openDatabase(runtime);
    expect(await globalRoles(db, 'demo')).to.deep.equal(['netadmin', 'sysadmin']);
    expect(await db.first('SELECT COUNT(*) AS count FROM networks')).to.deep.equal({ count: 1 });
    await cloud.stop();

    await deleteProject(db, 'demo');
    await deleteUser(db, 'demo');
    await db.close();
    await (await start()).stop();
    const later = openDatabase(testRuntime({ sql_connection: `sqlite:///${join(state, 'nova.sqlite')}` }).runtime);
    expect(await later.all('SELECT id FROM users')).to.deep.equal([{ id: 'admin' }]);
    await later.close();
  });

  it('is refused a second time on the same state, which names the first; kill -9 leaves nothing behind', async () => {
    const first = await start();
    const second = await runProgramToEnd('nova-all', flags());
    expect(second.code).to.equal(1);
    expect(second.output.trim().split('\n')).to.have.length(1);
    expect(second.output).to.contain(`process id ${first.pid}`);
    await first.kill();
    await (await start()).stop();
  });

  it('works beside nova-manage', async () => {
    await start();
    const manage = await runProgramToEnd('nova-manage', [`--state_path=${state}`, 'user', 'list']);
    expect(manage).to.include({ code: 0, output: 'admin\ndemo\n' });
  });

  /** One sentence, no stack, exit 1. */
  async function refused(more: string[], sentence: RegExp): Promise<void> {
    state = join(temporary(), 'state');
    const { code, output } = await runProgramToEnd('nova-all', flags(...more));
    expect(
      output.split('\n').filter((line) => line !== '' && !/^nova-all: (making|starting|registering)/.test(line)),
      output,
    ).to.have.length(1);
    expect(output)
      .to.match(sentence)
      .and.not.match(/\n {4}at /);
    expect(code).to.equal(1);
  }

  it('says in one sentence what keeps it from starting', async () => {
    await refused(['--flagfile=/nonexistent/nova.conf'], /Unable to open flagfile \/nonexistent\/nova\.conf/);
    await refused(['--rabbit_port=abc'], /IllegalFlagValue: flag --rabbit_port=abc/);
    await refused(['--connection_type=libvirt'], /--connection_type=libvirt: .*fake/);
    await refused(['--sql_connection=oracle://x'], /--sql_connection/);
    await refused(['--logfile=/dev/null/nova.log'], /log file/);
    await refused(['--fixed_range=nonsense'], /--fixed_range=nonsense/);
    const notSqlite = join(temporary(), 'x.sqlite');
    writeFileSync(notSqlite, 'this is no database'.repeat(100));
    await refused([`--sql_connection=sqlite:///${notSqlite}`], /nova-all: .*x\.sqlite/);
  });

  it('names a port which is in use', async () => {
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const { port } = server.address() as AddressInfo;
    try {
      await refused([`--ec2_listen_port=${port}`], new RegExp(`${port}`));
    } finally {
      await new Promise((resolve) => server.close(resolve));
    }
  });

  it('takes what a flag file says, and shows what it cannot use', async () => {
    const file = join(temporary(), 'nova.conf');
    writeFileSync(file, '[DEFAULT]\n--floating_range=4.4.4.0/30\n--no_such_flag=1\n');
    chmodSync(file, 0o600);
    const cloud = await start(`--flagfile=${file}`);
    expect(cloud.output).to.contain('making 2 floating addresses');
    await cloud.stop();
    expect(readFileSync(join(state, 'nova-all.log'), 'utf8')).to.contain(`WARNING nova [-] ${file} line 1`);
  });

  it('shows its flags and leaves', async () => {
    const help = await runProgramToEnd('nova-all', ['--help']);
    expect(help.code).to.equal(0);
    expect(help.output).to.contain('--state_path').and.to.contain("default: './state'");
  });
});
