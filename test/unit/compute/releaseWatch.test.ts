import { expect } from 'chai';
import { openDatabase } from '../../../common/db/database.js';
import type { Db } from '../../../common/db/db.js';
import { syncDatabase } from '../../../common/db/sync.js';
import { DBError } from '../../../common/errors.js';
import type { Runtime } from '../../../common/runtime/runtime.js';
import { ReleaseWatch } from '../../../nova-compute/manager/releaseWatch.js';
import { countingDb } from '../../support/countingDb.js';
import { testRuntime } from '../../support/runtime.js';

describe('the wait for addresses which nova-network frees', () => {
  let runtime: Runtime;
  let db: Db;
  let sqls: string[];
  let watch: ReleaseWatch;
  beforeEach(async () => {
    ({ runtime } = testRuntime({ sql_connection: 'sqlite://' }));
    const plain = openDatabase(runtime);
    await syncDatabase(plain);
    ({ db, sqls } = countingDb(plain));
    watch = new ReleaseWatch(db, runtime);
  });
  afterEach(() => db.close());

  async function interfaceOf(instanceId: number): Promise<void> {
    await db.insert('virtual_interfaces', { instance_id: instanceId, address: `02:16:3e:00:00:${instanceId}` });
  }
  const free = (instanceId: number): Promise<number> =>
    db.run('DELETE FROM virtual_interfaces WHERE instance_id = ?', [instanceId]);

  it('ends for each instance when its interfaces have gone, with one query for all at a time', async () => {
    const ids = Array.from({ length: 50 }, (_, index) => index + 1);
    for (const id of ids) await interfaceOf(id);
    sqls.length = 0;
    const released: number[] = [];
    const waits = ids.map(async (id) => {
      expect(await watch.released(id, 30)).to.equal(true);
      released.push(id);
    });
    for (const id of ids.slice(0, 25)) await free(id);
    await Promise.all(waits.slice(0, 25));
    expect(released).to.have.members(ids.slice(0, 25));
    for (const id of ids.slice(25)) await free(id);
    await Promise.all(waits);
    const looks = sqls.filter((sql) => sql.startsWith('all SELECT DISTINCT instance_id'));
    expect(looks.length).to.be.within(2, 25);
  });

  it('ends at once for an instance which holds nothing, and in vain after its time', async () => {
    expect(await watch.released(1, 30)).to.equal(true);
    await interfaceOf(2);
    expect(await Promise.all([watch.released(2, 0.05), watch.released(2, 0.1)])).to.deep.equal([false, false]);
    await free(2);
    expect(await watch.released(2, 30)).to.equal(true);
  });

  it('fails with the database, and can be asked again', async () => {
    await interfaceOf(1);
    await db.run('ALTER TABLE virtual_interfaces RENAME TO elsewhere');
    const failures = await Promise.allSettled([watch.released(1, 30), watch.released(2, 30)]);
    for (const failure of failures) {
      expect(failure.status === 'rejected' && failure.reason).to.be.instanceOf(DBError);
    }
    await db.run('ALTER TABLE elsewhere RENAME TO virtual_interfaces');
    const wait = watch.released(1, 30);
    await free(1);
    expect(await wait).to.equal(true);
  });
});
