import { dbTime } from '../../../common/time.js';
import { expect } from 'chai';
import type { ManageEnvironment } from '../../../nova-manage/command.js';
import { manage } from '../../../nova-manage/manage.js';
import { createProject } from '../../../common/db/projects.js';
import { createUser } from '../../../common/db/users.js';
import { createRpc } from '../../../common/rpc/client.js';
import { InProcessBus } from '../../../common/rpc/inProcess.js';
import { RealRuntime } from '../../../common/runtime/real.js';
import { startCompute } from '../../../nova-compute/start.js';
import { startScheduler } from '../../../nova-scheduler/start.js';
import { anImage, fixedImages, rulesCloud, type RulesCloud } from '../../support/cloudRules.js';

/** A nova-manage over the database and the bus of a cloud. */
class Operator {
  readonly out: string[] = [];
  constructor(private readonly environment: Omit<ManageEnvironment, 'print'>) {}

  async run(words: string): Promise<number> {
    this.out.length = 0;
    const print = (line: string): void => void this.out.push(line);
    return manage(words.split(' '), { ...this.environment, print }, { out: print, err: print });
  }
}

function operatorOf({ cloud, db }: RulesCloud): Operator {
  const { runtime, rpc, images } = cloud.parts;
  return new Operator({
    runtime: runtime as RealRuntime,
    database: async () => db,
    rawDatabase: async () => db,
    rpc: async () => rpc,
    images: () => images,
  });
}

describe('nova-manage on the bus', () => {
  let rules: RulesCloud;
  let operator: Operator;
  beforeEach(async () => {
    const flags = { vpn_image_id: 7, connection_type: 'fake' };
    rules = await rulesCloud({ flags, images: [anImage({ id: '7' })] });
    operator = operatorOf(rules);
    await createUser(rules.db, { id: 'admin', accessKey: 'a', secretKey: 's', isAdmin: true });
    await createProject(rules.db, 'proj', 'admin');
  });
  afterEach(() => rules.close());

  it('deletes volumes: those of a host by its message, those of none at once, attached ones not', async () => {
    const { db, published } = rules;
    const volume = (values: object): Promise<number> =>
      db.insert('volumes', { status: 'available', attach_status: 'detached', size: 1, ...values });
    const [placed, homeless] = [await volume({ host: 'cloud1' }), await volume({ host: null })];
    const attached = await volume({ host: 'cloud1', status: 'in-use', attach_status: 'attached', instance_id: 9 });
    expect(await operator.run(`volume delete vol-0000000${placed}`), operator.out.join('\n')).to.equal(0);
    expect(published.at(-1)).to.include({ routingKey: 'volume.cloud1', method: 'delete_volume', isCall: false });
    expect(published.at(-1)!.args).to.deep.equal({ volume_id: placed });
    expect(await operator.run(`volume delete ${placed}`), 'once more while it is being deleted').to.equal(0);
    expect(published).to.have.length(2);
    expect(await operator.run(`volume delete volume-0000000${homeless}`)).to.equal(0);
    expect(operator.out).to.deep.equal([
      'Volume not yet assigned to host.',
      'Deleting volume from database and skipping rpc.',
    ]);
    expect(await db.first('SELECT deleted FROM volumes WHERE id = ?', [homeless])).to.include({ deleted: true });
    expect(await operator.run(`volume delete ${attached}`)).to.equal(1);
    expect(operator.out[0]).to.equal('Volume is in-use.');
    expect(await operator.run('volume delete garbage')).to.equal(1);
    expect(published).to.have.length(2);
  });

  it('has a volume attached again by the host of its instance', async () => {
    const { db, published } = rules;
    const instance = await db.insert('instances', { host: 'cloud1', project_id: 'proj' });
    const values = { status: 'in-use', attach_status: 'attached', instance_id: instance, mountpoint: '/dev/vdc' };
    const id = await db.insert('volumes', { ...values, host: 'cloud1' });
    expect(await operator.run(`volume reattach ${id}`), operator.out.join('\n')).to.equal(0);
    expect(published.at(-1)).to.include({ routingKey: 'compute.cloud1', method: 'attach_volume' });
    expect(published.at(-1)!.args).to.deep.equal({ instance_id: instance, volume_id: id, mountpoint: '/dev/vdc' });
    const loose = await db.insert('volumes', { status: 'available', attach_status: 'detached' });
    expect(await operator.run(`volume reattach ${loose}`)).to.equal(1);
    expect(operator.out).to.deep.equal(['volume is not attached to an instance']);
  });

  it('shows who is alive by the whole time since the last sign of life, in either direction', async () => {
    const { db, cloud } = rules;
    const now = cloud.parts.runtime.clock.now();
    const day = 86_400_000;
    const signs = { now: 0, recently: -14_000, late: -17_000, 'days ago': -3 * day, ahead: 14_000, tomorrow: day };
    for (const [host, offset] of Object.entries(signs)) {
      const values = { binary: 'nova-compute', topic: 'compute', report_count: 1, disabled: false };
      await db.insert('services', { ...values, host, updated_at: dbTime(now + offset) });
    }
    expect(await operator.run('service list --json')).to.equal(0);
    const shown = JSON.parse(operator.out.join('\n')) as { host: string; state: string }[];
    expect(shown.filter(({ state }) => state === ':-)').map(({ host }) => host)).to.deep.equal([
      'now',
      'recently',
      'ahead',
    ]);
    await db.run('DELETE FROM services');
  });

  it('scrubs a project: its networks are free, its groups and their rules gone, those of others stay', async () => {
    const { db } = rules;
    const network = await db.insert('networks', {
      project_id: 'proj',
      host: 'cloud1',
      injected: false,
      multi_host: false,
    });
    const own = await db.insert('security_groups', { name: 'web', project_id: 'proj' });
    const other = await db.insert('security_groups', { name: 'web', project_id: 'other' });
    await db.insert('security_group_rules', { parent_group_id: own, protocol: 'tcp' });
    await db.insert('security_group_rules', { parent_group_id: other, group_id: own });
    await db.insert('security_group_rules', { parent_group_id: other, protocol: 'udp' });
    await db.insert('security_group_instance_association', { security_group_id: own, instance_id: 1 });
    expect(await operator.run('project scrub proj'), operator.out.join('\n')).to.equal(0);
    expect(await db.first('SELECT project_id, host FROM networks WHERE id = ?', [network])).to.deep.equal({
      project_id: null,
      host: null,
    });
    const left = async (table: string): Promise<number[]> =>
      (await db.all<{ id: number }>(`SELECT id FROM ${table} WHERE deleted = ? ORDER BY id`, [false])).map(
        (row) => row.id,
      );
    expect(await left('security_groups')).to.deep.equal([other]);
    expect(await left('security_group_rules')).to.deep.equal([3]);
    expect(await left('security_group_instance_association')).to.deep.equal([]);
  });

  it('starts a cloudpipe once, in the name of the manager of the project, and shows it', async () => {
    const { db, cloud, published } = rules;
    await cloud.authority.ensureRoot();
    expect(await operator.run('vpn run proj admin'), operator.out.join('\n')).to.equal(0);
    expect(operator.out).to.deep.equal(['proj: i-00000001']);
    expect(await operator.run('vpn run nowhere')).to.equal(1);
    const context = rules.context({ userId: 'admin', isAdmin: true });
    expect(await Promise.all([cloud.vpns.start(context, 'proj'), cloud.vpns.start(context, 'proj')])).to.deep.equal([
      1, 1,
    ]);
    expect(published.filter((message) => message.method === 'run_instance')).to.have.length(1);
    const row = await db.first<Record<string, unknown>>('SELECT * FROM instances WHERE id = 1');
    expect(row).to.include({ user_id: 'admin', project_id: 'proj', image_ref: '7', key_name: 'proj-vpn' });
    const zip = Buffer.from(Buffer.from(String(row!['user_data']), 'base64').toString(), 'base64');
    for (const name of ['autorun.sh', 'crl.pem', 'server.key', 'ca.crt', 'server.crt']) {
      expect(zip.includes(name), name).to.equal(true);
    }
    const rulesOfGroup = await db.all(
      'SELECT protocol, from_port, to_port, cidr FROM security_group_rules ORDER BY id',
    );
    expect(rulesOfGroup).to.deep.equal([
      { protocol: 'udp', from_port: 1194, to_port: 1194, cidr: '0.0.0.0/0' },
      { protocol: 'icmp', from_port: -1, to_port: -1, cidr: '0.0.0.0/0' },
    ]);
    const key = `${cloud.parts.runtime.flags.keys_path}/admin/proj-vpn.pem`;
    expect((await cloud.parts.runtime.exec(['stat', '-c', '%a', key])).stdout.trim()).to.equal('600');
    expect(await operator.run('vpn list')).to.equal(0);
    expect(operator.out.at(-1)).to.match(/^proj {8}\tNone:None {11}\tNone {16}\tNone\ti-00000001\tbuilding\tdown$/);
    await db.update('instances', { deleted: true }, 'id = 1');
    expect(await operator.run('vpn spawn'), operator.out.join('\n')).to.equal(0);
    expect(operator.out).to.deep.equal(['proj: i-00000002']);
  });

  it('asks the daemons about a host, and tells a host to measure itself', async () => {
    const { cloud, db } = rules;
    const bus = new InProcessBus();
    const { flags, log } = cloud.parts.runtime;
    const images = fixedImages([]);
    const partsOf = (binary: string): Parameters<typeof startScheduler>[0] => {
      const runtime = new RealRuntime({ binary, flags, log: log as never });
      const transport = bus.transport(runtime);
      return { runtime, db, transport, rpc: createRpc(runtime, transport), images };
    };
    const daemons = [await startScheduler(partsOf('nova-scheduler')), await startCompute(partsOf('nova-compute'))];
    const { runtime, rpc } = partsOf('nova-manage');
    const asked = new Operator({
      runtime: runtime as RealRuntime,
      database: async () => db,
      rawDatabase: async () => db,
      rpc: async () => rpc,
      images: () => images,
    });
    try {
      expect(await asked.run('service update_resource cloud1'), asked.out.join('\n')).to.equal(0);
      const service = await db.first<{ id: number }>("SELECT id FROM services WHERE topic = 'compute'");
      // The fake hypervisor measures nothing, as 2011.3's.
      const size = { vcpus: 8, memory_mb: 1024, local_gb: 100, vcpus_used: 1, memory_mb_used: 64, local_gb_used: 5 };
      const hypervisor = { hypervisor_type: 'fake', hypervisor_version: 1, cpu_info: '' };
      await db.insert('compute_nodes', { service_id: service!.id, ...size, ...hypervisor });
      expect(await asked.run('service describe_resource cloud1'), asked.out.join('\n')).to.equal(0);
      expect(asked.out[0]).to.equal('HOST\t\t\tPROJECT\t\tcpu\tmem(mb)\tdisk(gb)');
      expect(asked.out[1]).to.match(/^cloud1\(total\)\t\t\t8\t1024\t100$/);
      expect(await asked.run('service describe_resource cloud1 --json')).to.equal(0);
      expect(JSON.parse(asked.out.join('\n'))).to.have.keys('total', 'used_now', 'used_max', 'projects');
      expect(await asked.run('service describe_resource nohost --json')).to.equal(1);
      expect(asked.out.join('\n')).to.contain('Compute host nohost could not be found.');
    } finally {
      for (const daemon of daemons) await daemon.stop();
    }
  });
});
