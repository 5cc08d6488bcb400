import { expect } from 'chai';
import { openDatabase } from '../../common/db/database.js';
import type { Db } from '../../common/db/db.js';
import { allocateTarget, releaseTarget } from '../../common/db/iscsiTargets.js';
import { reserveInstanceHost, reserveVolumeHost, waitingForRun } from '../../common/db/scheduling.js';
import {
  heartbeat,
  listComputeByCores,
  listVolumeByGigabytes,
  registerService,
  serviceIsUp,
} from '../../common/db/services.js';
import { syncDatabase } from '../../common/db/sync.js';
import {
  claimVolumeForAttach,
  claimVolumeForCreate,
  releaseVolume,
  requestVolumeDelete,
} from '../../common/db/volumes.js';
import { createVolumeType, getVolumeType, setVolumeTypeSpecs } from '../../common/db/volumeTypes.js';
import { forEachDialect } from '../support/dialects.js';
import { testRuntime } from '../support/runtime.js';

const times = <T>(count: number, make: (index: number) => T): T[] =>
  Array.from({ length: count }, (_, index) => make(index));

forEachDialect((_dialect, freshUrl) => {
  describe('volumes and schedulers which race', () => {
    /** Two daemons' databases; work is dealt to them in turn. */
    let dbs: [Db, Db];
    let db: Db;
    let now: number;
    before(async () => {
      const flags = { sql_connection: await freshUrl() };
      const runtimes = [testRuntime(flags).runtime, testRuntime(flags).runtime] as const;
      dbs = [openDatabase(runtimes[0]), openDatabase(runtimes[1])];
      db = dbs[0];
      now = runtimes[0].clock.now();
      await syncDatabase(db);
      await dbs[1].connect();
    });
    after(() => Promise.all(dbs.map((each) => each.close())));

    const volume = (values: object = {}): Promise<number> =>
      db.insert('volumes', {
        project_id: 'acme',
        size: 1,
        status: 'available',
        attach_status: 'detached',
        host: 'cloud1',
        ...values,
      });
    const instance = (values: object = {}): Promise<number> =>
      db.insert('instances', {
        project_id: 'acme',
        vm_state: 'building',
        task_state: 'scheduling',
        vcpus: 1,
        ...values,
      });

    it('makes one volume type of a name, and one extra spec of a key', async () => {
      const made = await Promise.allSettled(
        times(10, (index) => createVolumeType(dbs[index % 2]!, 'fast', { a: 'b' })),
      );
      const types = made.flatMap((result) => (result.status === 'fulfilled' ? [result.value] : []));
      expect(types).to.have.length(1);
      const failed = made.flatMap((result) => (result.status === 'rejected' ? [(result.reason as Error).name] : []));
      expect(new Set(failed)).to.deep.equal(new Set(['VolumeTypeExists']));
      const { id } = types[0]!;
      await Promise.all(times(10, (index) => setVolumeTypeSpecs(dbs[index % 2]!, id, { key: String(index), a: 'c' })));
      const rows = await db.all('SELECT id FROM volume_type_extra_specs WHERE volume_type_id = ?', [id]);
      expect(rows).to.have.length(2);
      expect((await getVolumeType(db, id)).extra_specs).to.include({ a: 'c' });
    });

    it('get different targets of one pool, which is filled once', async () => {
      const ids = await Promise.all(times(12, () => volume()));
      const numbers = await Promise.all(
        ids
          .map((id, index) => allocateTarget(dbs[index % 2]!, id, 'cloud1', 10))
          .map((work) => work.catch((error: Error) => error.name)),
      );
      expect(numbers.filter((number) => number === 'NoMoreTargets')).to.have.length(2);
      const given = numbers.filter((number) => typeof number === 'number');
      expect(given.sort((a, b) => a - b)).to.deep.equal(times(10, (index) => index + 1));
      const pool = await db.first<{ count: number }>('SELECT COUNT(id) AS count FROM iscsi_targets');
      expect(pool).to.deep.equal({ count: 10 });
    });

    it('find the numbers added which a raised flag asks for, and no number twice', async () => {
      const id = await volume();
      expect(await allocateTarget(db, id, 'cloud1', 12)).to.equal(11);
      expect(await allocateTarget(db, id, 'cloud1', 12)).to.equal(11);
      await releaseTarget(db, id, 'cloud1');
      expect(await allocateTarget(db, await volume(), 'cloud1', 12)).to.equal(11);
      const pool = await db.all<{ target_num: number }>('SELECT target_num FROM iscsi_targets ORDER BY target_num');
      expect(pool.map((row) => row.target_num)).to.deep.equal(times(12, (index) => index + 1));
    });

    it('give a volume to one instance, a device to one volume, and a deletion or an attachment its way', async () => {
      const id = await volume();
      const instances = await Promise.all(times(6, () => instance()));
      const claims = await Promise.all(
        instances.map((to, index) => claimVolumeForAttach(dbs[index % 2]!, id, to, '/dev/vdb')),
      );
      expect(claims.filter((claim) => claim === 'claimed')).to.have.length(1);
      const others = await Promise.all(times(4, () => volume()));
      const to = instances[0]!;
      const devices = await Promise.all(
        others.map((other, index) => claimVolumeForAttach(dbs[index % 2]!, other, to, '/dev/vdc')),
      );
      expect(devices.filter((claim) => claim === 'claimed')).to.have.length(1);
      const both = await volume();
      const [claim, request] = await Promise.all([
        claimVolumeForAttach(dbs[0], both, to, '/dev/vdd'),
        requestVolumeDelete(dbs[1], both),
      ]);
      expect([claim === 'claimed', request.taken].filter(Boolean)).to.have.length(1);
    });

    it('answer a second claim of the same attachment, and a second release', async () => {
      const id = await volume();
      const to = await instance();
      expect(await claimVolumeForAttach(db, id, to, '/dev/vdb')).to.equal('claimed');
      expect(await claimVolumeForAttach(db, id, to, '/dev/vdb')).to.equal('repeated');
      expect(await releaseVolume(db, id, to + 1)).to.equal(false);
      expect(await releaseVolume(db, id, to)).to.equal(true);
      expect(await releaseVolume(db, id, to)).to.equal(false);
    });

    it('take a volume for one host only', async () => {
      const id = await volume({ status: 'creating', host: null });
      const hosts = ['a', 'b', 'c', 'd'];
      const claims = await Promise.all(hosts.map((host, index) => claimVolumeForCreate(dbs[index % 2]!, id, host)));
      expect(claims.filter((claim) => claim !== undefined)).to.have.length(1);
    });

    it('never exceed the cores and gigabytes of a host', async () => {
      const ids = await Promise.all(times(8, () => instance()));
      const cores = await Promise.all(
        ids.map((id, index) => reserveInstanceHost(dbs[index % 2]!, { id, vcpus: 2 }, waitingForRun, 'small', 6)),
      );
      // The rows have one virtual CPU each, what is reserved for has two: 2 + 1 + … must stay within six.
      expect(cores.filter((result) => result === 'reserved')).to.have.length(5);
      const volumes = await Promise.all(times(6, () => volume({ status: 'creating', host: null, size: 4 })));
      const gigabytes = await Promise.all(
        volumes.map((id, index) => reserveVolumeHost(dbs[index % 2]!, { id, size: 4 }, 'small', 10)),
      );
      expect(gigabytes.filter((result) => result === 'reserved')).to.have.length(2);
    });

    it('find the row of a service once, count every heartbeat, and sort hosts by load with empty ones first', async () => {
      const row = { binary: 'nova-compute', topic: 'compute', availabilityZone: 'nova', disabled: false };
      const registered = await Promise.all(
        times(6, (index) => registerService(dbs[index % 2]!, { ...row, host: 'small' })),
      );
      expect(new Set(registered.map(({ id }) => id))).to.have.property('size', 1);
      await Promise.all(times(5, (index) => heartbeat(dbs[index % 2]!, registered[0]!.id)));
      await registerService(db, { ...row, host: 'empty' });
      await registerService(db, { ...row, host: 'off', disabled: true });
      const services = await listComputeByCores(db, 'compute');
      expect(services.map(({ host, load, report_count: count }) => [host, load, count])).to.deep.equal([
        ['empty', 0, 0],
        ['small', 5, 5],
      ]);
      expect(services.map((service) => serviceIsUp(service, now, 60))).to.deep.equal([true, true]);
      await registerService(db, { ...row, binary: 'nova-volume', topic: 'volume', host: 'small' });
      expect((await listVolumeByGigabytes(db, 'volume')).map(({ host, load }) => [host, load])).to.deep.equal([
        ['small', 8],
      ]);
    });
  });
});
