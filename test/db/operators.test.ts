import { expect } from 'chai';
import { changeAgentBuild, createAgentBuild, deleteAgentBuild, listAgentBuilds } from '../../common/db/agentBuilds.js';
import { listFreeResources, writeComputeNode } from '../../common/db/computeNodes.js';
import { openDatabase } from '../../common/db/database.js';
import type { Db, Values } from '../../common/db/db.js';
import { instanceIdAtAddress } from '../../common/db/guests.js';
import { countByHost } from '../../common/db/hosts.js';
import { overdueTasks } from '../../common/db/instanceClaims.js';
import { registerService } from '../../common/db/services.js';
import { syncDatabase } from '../../common/db/sync.js';
import { lastVpnInstance, setVpnEndpoint, vpnEndpoints, vpnInstances } from '../../common/db/vpns.js';
import { forEachDialect } from '../support/dialects.js';
import { testRuntime } from '../support/runtime.js';

forEachDialect((_dialect, freshUrl) => {
  describe('what operators ask for', () => {
    let db: Db;
    beforeEach(async () => {
      db = openDatabase(testRuntime({ sql_connection: await freshUrl() }).runtime);
      await syncDatabase(db);
    });
    afterEach(() => db.close());

    const instance = (values: Values<'instances'>): Promise<number> =>
      db.insert('instances', { project_id: 'acme', vm_state: 'active', image_ref: '3', ...values });
    const service = (host: string, availabilityZone = 'nova'): Promise<unknown> =>
      registerService(db, { host, binary: 'nova-compute', topic: 'compute', availabilityZone, disabled: false });

    it('agent builds: of two for the same guests the first is changed, both are deleted', async () => {
      const key = { hypervisor: 'xen', os: 'linux', architecture: 'x86' };
      const build = (version: string): { version: string; url: string; md5hash: string } => ({
        version,
        url: `http://agents/${version}`,
        md5hash: '0'.repeat(32),
      });
      const first = await createAgentBuild(db, { ...key, ...build('1') });
      const second = await createAgentBuild(db, { ...key, ...build('2') });
      await createAgentBuild(db, { ...key, hypervisor: 'kvm', ...build('9') });
      expect(await changeAgentBuild(db, key, build('3'))).to.equal(true);
      const listed = await listAgentBuilds(db, 'xen');
      expect(listed.map(({ id, version }) => [id, version])).to.deep.equal([
        [first, '3'],
        [second, '2'],
      ]);
      expect(await listAgentBuilds(db)).to.have.length(3);
      expect(await deleteAgentBuild(db, key)).to.equal(2);
      expect(await deleteAgentBuild(db, key)).to.equal(0);
      expect(await changeAgentBuild(db, key, build('4'))).to.equal(false);
      expect((await listAgentBuilds(db)).map(({ hypervisor }) => hypervisor)).to.deep.equal(['kvm']);
    });

    it('cloudpipes: live ones with their addresses, the newest of a project, and where they are reached', async () => {
      const gone = await instance({ image_ref: '7', project_id: 'other', deleted: true });
      const going = await instance({ image_ref: '7', task_state: 'deleting' });
      const vpn = await instance({ image_ref: '7', hostname: 'vpn', task_state: null });
      const fresh = await instance({ image_ref: '7', task_state: 'scheduling', vm_state: 'building' });
      await instance({ image_ref: '3' });
      await db.insert('fixed_ips', { address: '10.0.0.9', instance_id: vpn, deleted: true });
      await db.insert('fixed_ips', { address: '10.0.0.2', instance_id: vpn });
      const shown = (await vpnInstances(db, '7')).map(({ id, address }) => [id, address]);
      expect(shown).to.deep.equal([
        [vpn, '10.0.0.2'],
        [fresh, null],
      ]);
      expect(await lastVpnInstance(db, 'acme', '7')).to.equal(fresh);
      expect(await lastVpnInstance(db, 'other', '7')).to.equal(gone);
      expect(await lastVpnInstance(db, 'nobody', '7')).to.equal(0);
      expect(going).to.be.lessThan(vpn);

      const first = { project_id: 'acme', vpn_public_address: null, vpn_public_port: 1000 };
      await db.insert('networks', { injected: false, multi_host: false, ...first });
      await db.insert('networks', { injected: false, multi_host: false, project_id: 'acme', vpn_public_port: 1001 });
      await db.insert('networks', { injected: false, multi_host: false, vpn_public_port: 1002 });
      expect(await vpnEndpoints(db)).to.deep.equal(new Map([['acme', { address: null, port: 1000 }]]));
      expect(await setVpnEndpoint(db, 'acme', { address: '192.0.2.1', port: 443 })).to.equal(2);
      expect(await setVpnEndpoint(db, 'nobody', { address: '192.0.2.1', port: 443 })).to.equal(0);
      expect(await vpnEndpoints(db)).to.deep.equal(new Map([['acme', { address: '192.0.2.1', port: 443 }]]));
    });

    it('hosts: what each carries, and has left', async () => {
      for (const values of [
        { host: 'a' },
        { host: 'a' },
        { host: 'b' },
        { host: 'b', deleted: true },
        { host: null },
      ]) {
        await instance(values);
      }
      await db.insert('volumes', { host: 'b', size: 3 });
      expect(await countByHost(db, 'instances')).to.deep.equal(
        new Map([
          ['a', 2],
          ['b', 1],
        ]),
      );
      expect(await countByHost(db, 'volumes')).to.deep.equal(new Map([['b', 1]]));

      await service('a');
      await service('b');
      const figures = { vcpus: 4, vcpus_used: 1, memory_mb: 800, memory_mb_used: 300, local_gb: 50, local_gb_used: 70 };
      const hypervisor = { hypervisor_type: 'QEMU', hypervisor_version: 7002022, cpu_info: '' };
      await Promise.all([1, 2, 3].map(() => writeComputeNode(db, 'a', { ...figures, ...hypervisor })));
      expect(await writeComputeNode(db, 'unknown', { ...figures, ...hypervisor })).to.equal(false);
      expect(await listFreeResources(db, 'compute')).to.deep.equal([
        { host: 'a', memory_mb: 500, local_gb: -20 },
        { host: 'b', memory_mb: null, local_gb: null },
      ]);
    });

    it('the zone of a host: as it is told at its start', async () => {
      const zone = async (): Promise<unknown> =>
        (await db.first<{ zone: string }>('SELECT availability_zone AS zone FROM services'))?.zone;
      await service('a', 'rack1');
      await service('a');
      expect(await zone()).to.equal('rack1');
      await service('a', 'rack2');
      expect(await zone()).to.equal('rack2');
    });

    it('whose an address is: the newest live instance’s, fixed or floating', async () => {
      const [old, gone, fresh] = [await instance({}), await instance({ deleted: true }), await instance({})];
      for (const instance_id of [old, fresh, gone]) await db.insert('fixed_ips', { address: '10.0.0.2', instance_id });
      const fixed_ip_id = await db.insert('fixed_ips', { address: '10.0.0.3', instance_id: old });
      await db.insert('floating_ips', { address: '192.0.2.1', fixed_ip_id, auto_assigned: false });
      await db.insert('floating_ips', { address: '192.0.2.2', fixed_ip_id, auto_assigned: false, deleted: true });
      const asked = ['10.0.0.2', '10.0.0.3', '192.0.2.1', '192.0.2.2', '192.0.2.3'];
      const answers = await Promise.all(asked.map((address) => instanceIdAtAddress(db, address)));
      expect(answers).to.deep.equal([fresh, old, old, undefined, undefined]);
    });

    it('tasks which nobody has worked on for too long', async () => {
      const old = { created_at: '2011-01-01 00:00:00', host: 'a' };
      const never = await instance({ ...old, task_state: 'rebooting' });
      const since = await instance({ ...old, task_state: 'deleting', updated_at: '2011-01-01 10:00:00' });
      for (const values of [
        { task_state: null },
        { task_state: 'spawning' },
        { task_state: 'deleting', host: 'b' },
        { task_state: 'deleting', deleted: true },
        { task_state: 'deleting', updated_at: '2011-01-02 00:00:00' },
      ]) {
        await instance({ ...old, ...values });
      }
      const found = await overdueTasks(db, 'a', ['deleting', 'rebooting'], '2011-01-01 12:00:00');
      expect(found).to.deep.equal([never, since]);
    });
  });
});
