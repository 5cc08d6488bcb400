import { expect } from 'chai';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { openDatabase } from '../../../common/db/database.js';
import type { Db } from '../../../common/db/db.js';
import { createProject } from '../../../common/db/projects.js';
import { registerService } from '../../../common/db/services.js';
import { syncDatabase } from '../../../common/db/sync.js';
import { createUser } from '../../../common/db/users.js';
import { createImageService } from '../../../common/images/client.js';
import { projectRoot } from '../../../common/projectRoot.js';
import { parseFlags } from '../../../common/flags/parse.js';
import type { ManageEnvironment } from '../../../nova-manage/command.js';
import { manage } from '../../../nova-manage/manage.js';
import { type MemoryLog, testRuntime } from '../../support/runtime.js';

interface Recording {
  argv: string[];
  exit_code: number;
  stdout: string;
  stderr: string;
}

function recording(name: string): Recording {
  const file = join(projectRoot(), 'test', 'recordings', 'nova-manage', `${name}.json`);
  return JSON.parse(readFileSync(file, 'utf8')) as Recording;
}

/** What the CRITICAL line of a run says. */
function critical(stderr: string): string | undefined {
  return / CRITICAL nova \[-\] (.*)/.exec(stderr)?.[1];
}

/** How an answer may differ: the lines' order is the database's in the original, and texts which hold generated values. */
type Comparison = 'equal' | 'same lines' | 'status';

/** The recorded commands in an order in which each finds what it needs. */
const steps: readonly (readonly [name: string, comparison: Comparison])[] = [
  ['version', 'equal'],
  ['version.list', 'equal'],
  ['db.version', 'equal'],
  ['db.sync.again', 'equal'],
  ['_category.network', 'status'],
  ['_wrong-arg-count', 'equal'],
  ['_help.user.create', 'equal'],
  ['_bad-option', 'equal'],
  ['_uppercase', 'same lines'],
  ['user.list', 'same lines'],
  ['user.create', 'equal'],
  ['user.create.generated', 'status'],
  ['user.create.options', 'equal'],
  ['user.create.err-both', 'equal'],
  ['user.admin', 'equal'],
  ['user.exports', 'equal'],
  ['user.modify.err', 'equal'],
  ['user.delete.err', 'equal'],
  ['project.create', 'equal'],
  ['project.create.no-desc', 'equal'],
  ['project.create.err-exists', 'equal'],
  ['project.add.err', 'equal'],
  ['project.add', 'equal'],
  ['project.list.err-user', 'equal'],
  ['project.modify', 'equal'],
  ['project.modify.err', 'equal'],
  ['role.add.not-member', 'equal'],
  ['role.add.err-role', 'equal'],
  ['role.add.err-global', 'equal'],
  ['role.add.project', 'equal'],
  ['role.has.no', 'equal'],
  ['role.has.err', 'equal'],
  ['role.remove', 'equal'],
  ['role.remove.global', 'equal'],
  ['project.quota', 'equal'],
  ['project.quota.set', 'equal'],
  ['project.quota.unlimited', 'equal'],
  ['project.delete.err', 'equal'],
  ['project.delete', 'equal'],
  ['network.create.err-label', 'equal'],
  ['network.create.err-range', 'equal'],
  ['network.create.err-bridge', 'equal'],
  ['network.create.err-cidr', 'equal'],
  ['network.create.err-overlap', 'equal'],
  ['network.create.err-supernet', 'equal'],
  ['network.create.several', 'equal'],
  ['network.create.v6', 'equal'],
  ['network.modify.err', 'equal'],
  ['network.modify.project', 'equal'],
  ['network.delete.err-associated', 'equal'],
  ['network.modify.host', 'equal'],
  ['network.delete.err', 'equal'],
  ['floating.create.err', 'equal'],
  ['floating.create', 'equal'],
  ['floating.create.single', 'equal'],
  ['floating.list.host-none', 'equal'],
  ['floating.delete', 'equal'],
  ['floating.delete.err', 'equal'],
  ['instance_type.list', 'same lines'],
  ['flavor.list', 'same lines'],
  ['instance_type.list.err', 'equal'],
  ['instance_type.create.err-args', 'equal'],
  ['instance_type.create.err-zero', 'equal'],
  ['instance_type.create', 'equal'],
  ['instance_type.create.full', 'equal'],
  ['instance_type.create.err-flavorid', 'same lines'],
  ['instance_type.delete', 'equal'],
  ['instance_type.list.inactive', 'same lines'],
  ['instance_type.delete.purge', 'equal'],
  ['instance_type.delete.err', 'equal'],
  ['instance_type.delete.err-purge', 'equal'],
  ['service.enable.err', 'equal'],
  ['service.list.nohost', 'equal'],
  ['service.disable', 'equal'],
  ['vm.list.empty', 'equal'],
  ['vm.list.nohost', 'equal'],
];

describe('nova-manage as recorded', () => {
  let db: Db;
  let log: MemoryLog;
  let environment: ManageEnvironment;
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

  before(async () => {
    const made = testRuntime({
      sql_connection: 'sqlite://',
      network_manager: 'nova.network.manager.FlatManager',
      flat_network_bridge: null,
    });
    log = made.log;
    db = openDatabase(made.runtime);
    await db.connect();
    await syncDatabase(db);
    await createUser(db, { id: 'admin', accessKey: 'akey', secretKey: 'skey', isAdmin: true });
    await createUser(db, { id: 'demo', accessKey: 'dkey', secretKey: 'dsecret', isAdmin: false });
    await createProject(db, 'proj', 'admin');
    await registerService(db, {
      host: 'cloud1',
      binary: 'nova-volume',
      topic: 'volume',
      availabilityZone: 'nova',
      disabled: false,
    });
    environment = {
      runtime: made.runtime,
      print: () => undefined,
      database: async () => db,
      rawDatabase: async () => db,
      rpc: () => Promise.reject(new Error('this test has no bus')),
      images: () => createImageService(made.runtime),
    };
    expect(await run(['network', 'create', 'public', '10.9.0.0/24', '1', '256', '--bridge=br101'])).to.equal(0);
  });
  after(() => db.close());

  for (const [name, comparison] of steps) {
    it(`${name}: ${recording(name).argv.join(' ')}`, async () => {
      const recorded = recording(name);
      const status = await run(recorded.argv.slice(1));
      const text = out.map((line) => `${line}\n`).join('');
      expect(status, `exit status; printed: ${text}${err.join('\n')}${log.lines.join('\n')}`).to.equal(
        recorded.exit_code,
      );
      if (comparison === 'equal') expect(text).to.equal(recorded.stdout);
      if (comparison === 'same lines') {
        expect(text.split('\n').sort()).to.deep.equal(recorded.stdout.split('\n').sort());
      }
      const wished = critical(recorded.stderr);
      if (wished !== undefined && recorded.stdout.startsWith('Command failed')) {
        expect(log.lines.find((line) => line.startsWith('CRITICAL'))).to.equal(`CRITICAL nova [-] ${wished}`);
      }
    });
  }

  it('keeps 2011.2 scripts working: the range before the label, and a host before the floating range', async () => {
    expect(await run(['network', 'create', '10.77.0.0/24', '1', '256', '--bridge=br105'])).to.equal(0);
    expect(await run(['floating', 'create', 'cloud1', '5.6.8.0/30'])).to.equal(0);
    await run(['network', 'list', '--json']);
    const networks = JSON.parse(out.join('\n')) as { cidr: string; dhcp_start: string }[];
    expect(networks.at(-1)).to.include({ cidr: '10.77.0.0/24', dhcp_start: '10.77.0.2' });
    await run(['floating', 'list']);
    expect(out).to.include('None\t5.6.8.0\tNone');
  });

  it('reserves the addresses of network, gateway and broadcast', async () => {
    const rows = await db.all<{ address: string }>(
      "SELECT address FROM fixed_ips WHERE address LIKE '10.77.0.%' AND reserved = ? ORDER BY id",
      [true],
    );
    expect(rows.map((row) => row.address)).to.deep.equal(['10.77.0.0', '10.77.0.1', '10.77.0.255']);
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
