import { expect } from 'chai';
import { chmodSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { CertificateAuthority } from '../../../common/crypto/ca.js';
import { openDatabase } from '../../../common/db/database.js';
import type { Db } from '../../../common/db/db.js';
import { createProject } from '../../../common/db/projects.js';
import { registerService } from '../../../common/db/services.js';
import { syncDatabase } from '../../../common/db/sync.js';
import { createUser } from '../../../common/db/users.js';
import { parseFlags } from '../../../common/flags/parse.js';
import type { ImageService } from '../../../common/images/imageService.js';
import { projectRoot } from '../../../common/projectRoot.js';
import { categories } from '../../../nova-manage/categories/index.js';
import type { ManageEnvironment } from '../../../nova-manage/command.js';
import { manage } from '../../../nova-manage/manage.js';
import { anImage } from '../../support/cloudRules.js';
import { type MemoryLog, testRuntime } from '../../support/runtime.js';
import { notRun, steps } from './recordedSteps.js';
import { temporaryFolder } from '../../support/temporary.js';

interface Recording {
  argv: string[];
  exit_code: number;
  stdout: string;
  stderr: string;
}

const folder = join(projectRoot(), 'test', 'recordings', 'nova-manage');
const recording = (name: string): Recording =>
  JSON.parse(readFileSync(join(folder, `${name}.json`), 'utf8')) as Recording;
const recorded = readdirSync(folder).map((file) => file.replace(/\.json$/, ''));

/** What the CRITICAL line of a run says. */
function critical(stderr: string): string | undefined {
  return / CRITICAL nova \[-\] (.*)/.exec(stderr)?.[1];
}

/** A line without what differs from run to run: times of today, and the uuid which our networks have. */
function masked(line: string): string {
  return line
    .replace(/\b20\d\d-\d\d-\d\d \d\d:\d\d:\d\d(\.\d{6})?/g, '<time>')
    .replace(/[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}/, 'None'.padEnd(32))
    .trimEnd();
}

/** A registry which keeps what is uploaded nowhere, and gives it the ids which the recorded one gave. */
function registry(): ImageService {
  let last = 7;
  const never = (): Promise<never> => Promise.reject(new Error('only uploads are made here'));
  return {
    detail: never,
    show: never,
    showByName: never,
    download: never,
    update: never,
    delete: never,
    async create(_context, fields, data) {
      for await (const chunk of data!) expect(chunk.length).to.be.greaterThan(0);
      return anImage({ id: String(++last), name: fields.name ?? null });
    },
  };
}

describe('nova-manage as recorded', () => {
  let db: Db;
  let log: MemoryLog;
  let environment: ManageEnvironment;
  let home: string;
  let out: string[];
  let err: string[];

  const run = (argv: readonly string[]): Promise<number> => {
    out = [];
    err = [];
    log.lines.length = 0;
    const output = { out: (line: string) => void out.push(line), err: (line: string) => void err.push(line) };
    const words = parseFlags({ argv }).positionals;
    return manage(words, { ...environment, print: output.out }, output);
  };
  /** A recorded text with the folder of this test for the one of the recording. */
  const here = (text: string): string => text.replaceAll('/home/user', home);

  before(async () => {
    const made = testRuntime({
      sql_connection: 'sqlite://',
      network_manager: 'nova.network.manager.FlatManager',
      flat_network_bridge: null,
      connection_type: 'xenapi',
      ec2_dmz_host: 'cloud1',
      s3_dmz: 'cloud1',
    });
    log = made.log;
    home = temporaryFolder('manage');
    for (const name of ['disk.img', 'vmlinuz', 'initrd']) writeFileSync(join(home, name), 'bits');
    mkdirSync(join(home, 'conv'));
    db = openDatabase(made.runtime);
    await db.connect();
    await syncDatabase(db);
    await createUser(db, { id: 'admin', accessKey: 'akey', secretKey: 'skey', isAdmin: true });
    await createUser(db, { id: 'demo', accessKey: 'dkey', secretKey: 'dsecret', isAdmin: false });
    await createProject(db, 'proj', 'admin');
    const images = registry();
    environment = {
      runtime: made.runtime,
      print: () => undefined,
      database: async () => db,
      rawDatabase: async () => db,
      rpc: () => Promise.reject(new Error('this test has no bus')),
      images: () => images,
    };
  });
  after(() => db.close());

  /** What the recorded cloud had before, or got by other means than nova-manage. */
  const preparations: Readonly<Record<string, () => Promise<unknown>>> = {
    authority: () => new CertificateAuthority(environment.runtime).ensureRoot(),
    'private network': () => run('network create private 10.0.0.0/20 1 4096 --bridge=br100'.split(' ')),
    services: async () => {
      for (const topic of ['volume', 'network', 'scheduler', 'compute']) {
        const row = { host: 'cloud1', binary: `nova-${topic}`, topic, availabilityZone: 'nova', disabled: false };
        const { id } = await registerService(db, row);
        await db.update('services', { report_count: 1 }, 'id = ?', [id]);
      }
    },
    instances: async () => {
      const common = { host: 'cloud1', image_ref: '3', kernel_id: '1', ramdisk_id: '2', instance_type_id: 2 };
      const type = await db.first<{ id: number }>("SELECT id FROM instance_types WHERE name = 'm1.tiny'");
      const owner = { project_id: 'proj', user_id: 'admin', launch_index: 0, instance_type_id: type!.id };
      const launched_at = '2026-11-20 15:28:15.305233';
      await db.insert('instances', { ...common, ...owner, hostname: 'fog1', vm_state: 'error', launched_at });
      await db.insert('instances', { ...common, ...owner, hostname: 'server-4', vm_state: 'building' });
    },
  };

  for (const step of steps) {
    if (typeof step === 'string') {
      it(`(${step})`, async () => {
        if (step.startsWith('@')) await preparations[step.slice(1)]!();
        else expect(await run(step.slice(1).split(' ')), out.join('\n')).to.equal(0);
      });
      continue;
    }
    const [name, comparison] = step;
    const differs = typeof comparison === 'object' ? comparison : undefined;
    it(`${name}: ${recording(name).argv.join(' ')}${differs ? ` (differs: ${differs.differs})` : ''}`, async () => {
      const { argv, exit_code: status, stdout, stderr } = recording(name);
      const actual = await run(argv.slice(1).map(here));
      const text = out.map((line) => `${line}\n`).join('');
      const all = `printed: ${text}${err.join('\n')}${log.lines.join('\n')}`;
      expect(actual, `exit status; ${all}`).to.equal(differs?.status ?? status);
      const ours = text.split('\n').map(masked);
      const theirs = here(stdout).split('\n').map(masked);
      if (differs !== undefined) {
        const said = log.lines.find((line) => line.startsWith('CRITICAL'))?.replace('CRITICAL nova [-] ', '');
        expect([actual, ours, said], 'as recorded: nothing to excuse').not.to.deep.equal([
          status,
          theirs,
          critical(stderr),
        ]);
        return;
      }
      if (comparison === 'equal') expect(ours, all).to.deep.equal(theirs);
      if (comparison === 'same lines') expect([...ours].sort(), all).to.deep.equal([...theirs].sort());
      if (comparison === 'same set') expect([...new Set(ours)].sort()).to.deep.equal([...new Set(theirs)].sort());
      if (comparison === 'contains') expect(ours.filter((line) => theirs.includes(line))).to.deep.equal(theirs);
      const wished = critical(stderr);
      if (wished !== undefined && stdout.startsWith('Command failed')) {
        expect(log.lines.find((line) => line.startsWith('CRITICAL'))).to.equal(`CRITICAL nova [-] ${wished}`);
      }
    });
  }

  for (const name of recorded.filter((file) => file.startsWith('_category.'))) {
    it(`${name}: every recorded action is there`, async () => {
      const { argv, exit_code: status, stdout } = recording(name);
      expect(await run(argv.slice(1))).to.equal(status);
      const theirs = stdout.trimEnd().split('\n');
      expect(out.filter((line) => theirs.includes(line))).to.deep.equal(theirs);
    });
  }

  for (const name of recorded.filter((file) => file.startsWith('_help.'))) {
    it(`${name}: every recorded option is there`, async () => {
      const { argv, exit_code: status, stdout } = recording(name);
      expect(await run(argv.slice(1)), out.join('\n')).to.equal(status);
      expect(out[0]).to.equal(stdout.split('\n')[0]);
      const options = (text: string): string[] => [...text.matchAll(/^ {2}(--[\w-]+)/gm)].map((match) => match[1]!);
      const ours = options(out.join('\n'));
      expect(options(stdout).filter((option) => !ours.includes(option))).to.deep.equal([]);
    });
  }

  it('knows every recording', () => {
    const known = steps.flatMap((step) => (typeof step === 'string' ? [] : [step[0]]));
    const unknown = recorded.filter(
      (name) => !/^_(help|category)\./.test(name) && !known.includes(name) && !Object.hasOwn(notRun, name),
    );
    expect(unknown).to.deep.equal([]);
    expect(Object.keys(notRun).filter((name) => !recorded.includes(name))).to.deep.equal([]);
  });

  it('explains every command, and answers each with JSON', async () => {
    for (const [category, { commands }] of Object.entries(categories)) {
      for (const [action, command] of Object.entries(commands)) {
        expect(await run([category, action, '-h']), `${category} ${action}`).to.equal(0);
        expect(out, `${category} ${action}`).to.include(command.summary);
        expect(out.join('\n')).to.contain('--json');
      }
    }
    const answer = async (words: string): Promise<unknown> => {
      await run([...words.split(' '), '--json']);
      return JSON.parse(out.join('\n')) as unknown;
    };
    expect(await answer('role has alice netadmin')).to.deep.equal({ has: false });
    expect(await answer('user exports alice')).to.include({ name: 'alice', secret: 'newsecret' });
    expect(await answer('db version')).to.deep.equal({ version: 46 });
    expect(await answer('project add web demo')).to.deep.equal({ status: 0, output: [] });
    expect(await answer('project add web nobody')).to.deep.equal({
      status: 1,
      error: 'User nobody could not be found.',
    });
    expect(await answer('fixed reserve garbage')).to.include({ status: 2 });
    expect(await answer('host list')).to.deep.equal([{ host: 'cloud1', zone: 'nova' }]);
    expect(await answer('config list')).to.include({ state_path: environment.runtime.flags.state_path });
    expect(JSON.stringify(await answer('config list'))).not.to.contain('"guest","rabbit_password');
    expect(await answer('config list')).to.include({ rabbit_password: '***' });
  });

  it('writes rc files which a shell can source, with the recorded values', async () => {
    const recordedLines = recording('project.environment.err').stdout.split('\n');
    expect(await run(recording('project.environment.err').argv.slice(1))).to.equal(0);
    const plain = (line: string): string => line.replace(/ #.*/, '').trim();
    const wished = recordedLines.map(plain).filter((line) => /^(export|alias)/.test(line));
    expect(
      out
        .join('\n')
        .split('\n')
        .filter((line) => wished.includes(line)),
    ).to.deep.equal(wished);
  });

  it('writes what holds secrets for its owner alone, also in place of a file which all could read', async () => {
    await new CertificateAuthority(environment.runtime).ensureRoot();
    const commands = {
      novarc: ['project', 'environment', 'proj', 'admin'],
      'nova.zip': ['project', 'zipfile', 'proj', 'admin'],
    };
    for (const [name, words] of Object.entries(commands)) {
      for (const before of ['nothing', 'a file']) {
        const path = join(home, name);
        if (before === 'a file') chmodSync(path, 0o644);
        expect(await run([...words, path]), out.join('\n')).to.equal(0);
        expect(statSync(path).mode & 0o777, `${name}, where ${before} was`).to.equal(0o600);
        expect(readdirSync(home).filter((other) => other.startsWith(name))).to.deep.equal([name]);
      }
    }
  });

  it('exports what a Keystone imports', async () => {
    await run(['role', 'add', 'alice', 'netadmin', 'web']);
    await run(['shell', 'export']);
    expect(out).to.include.members([
      "tenant add 'proj'",
      "user add 'admin' 'akey' 'proj'",
      "credentials add 'EC2' 'akey:proj' 'skey' 'proj'",
      "role add 'netadmin'",
      "role grant 'alice', 'netadmin', 'web'),",
    ]);
    const path = join(home, 'export');
    const lines = out;
    await run(['shell', 'export', `--filename=${path}`]);
    expect(readFileSync(path, 'utf8').split('\n')).to.deep.equal([...lines, '']);
    expect(statSync(path).mode & 0o777).to.equal(0o600);
  });

  it('runs a script with the database at hand', async () => {
    const path = join(home, 'script.mjs');
    writeFileSync(
      path,
      `export default async ({ database, context }) => {
        const row = await (await database()).first('SELECT COUNT(*) AS count FROM users');
        if (row.count < 2 || !context.isAdmin) throw new Error('not what a script expects');
      };`,
    );
    expect(await run(['shell', 'script', path]), log.lines.join('\n')).to.equal(0);
    expect(await run(['shell', 'script', join(home, 'nothing.mjs')])).to.equal(1);
  });

  it('converts images of the old objectstore, machines after what they boot', async () => {
    const info = {
      a: { imageId: 'ami-1', type: 'machine', kernelId: 'aki-1', isPublic: true, imageLocation: 'b/m.xml' },
      b: { imageId: 'aki-1', type: 'kernel' },
      c: 'no object',
    };
    for (const [name, content] of Object.entries(info)) {
      mkdirSync(join(home, 'conv', name));
      writeFileSync(join(home, 'conv', name, 'info.json'), JSON.stringify(content));
      writeFileSync(join(home, 'conv', name, 'image'), 'bits');
    }
    expect(await run(['image', 'convert', join(home, 'conv')]), log.lines.join('\n')).to.equal(0);
    expect(out).to.deep.equal([
      `Failed to convert ${join(home, 'conv', 'c')}: info.json is no JSON object`,
      'Image registered to 11 (0000000b).',
      'Image registered to 12 (0000000c).',
    ]);
  });

  it('keeps 2011.2 scripts working: the range before the label, and a host before the floating range', async () => {
    expect(await run(['network', 'create', '10.78.0.0/24', '1', '256', '--bridge=br105'])).to.equal(0);
    expect(await run(['floating', 'create', 'cloud1', '5.6.9.0/30'])).to.equal(0);
    await run(['network', 'list', '--json']);
    const networks = JSON.parse(out.join('\n')) as { cidr: string; dhcp_start: string }[];
    expect(networks.at(-1)).to.include({ cidr: '10.78.0.0/24', dhcp_start: '10.78.0.2' });
    await run(['floating', 'list']);
    expect(out).to.include('None\t5.6.9.0\tNone');
  });

  it('reserves the addresses of network, gateway and broadcast', async () => {
    const rows = await db.all<{ address: string }>(
      "SELECT address FROM fixed_ips WHERE address LIKE '10.78.0.%' AND reserved = ? ORDER BY id",
      [true],
    );
    expect(rows.map((row) => row.address)).to.deep.equal(['10.78.0.0', '10.78.0.1', '10.78.0.255']);
  });

  it('says what a quota key may be, and refuses a range which is too large', async () => {
    expect(await run(['project', 'quota', 'proj', 'bogus', '5'])).to.equal(1);
    expect(log.lines.join('\n')).to.contain('--key=bogus is none of cores,');
    expect(await run(['floating', 'create', '10.0.0.0/8'])).to.equal(1);
    expect(await run(['network', 'create', 'huge', '10.0.0.0/8', '1', '16777216', '--bridge=br1'])).to.equal(1);
  });

  it('puts an instance which is stuck into a state from which its user can go on', async () => {
    const id = await db.insert('instances', { vm_state: 'building', task_state: 'scheduling', project_id: 'proj' });
    expect(await run(['vm', 'reset-state', `i-${id.toString(16).padStart(8, '0')}`])).to.equal(0);
    const row = await db.first('SELECT vm_state, task_state FROM instances WHERE id = ?', [id]);
    expect(row).to.include({ vm_state: 'error', task_state: null });
    expect(await run(['vm', 'reset-state', 'i-000000ff'])).to.equal(1);
  });
});
