import { expect } from 'chai';
import { openDatabase } from '../../../common/db/database.js';
import type { Db } from '../../../common/db/db.js';
import type { VolumeRow } from '../../../common/db/rows.js';
import { syncDatabase } from '../../../common/db/sync.js';
import { anything, changeWhere, firstWhere, rowsWhere, softDelete, type Wanted } from '../../../common/db/where.js';
import { testRuntime } from '../../support/runtime.js';

describe('rows whose columns are as wanted', () => {
  let db: Db;
  beforeEach(async () => {
    db = openDatabase(testRuntime({ sql_connection: 'sqlite://' }).runtime);
    await syncDatabase(db);
    await db.insert('volumes', { host: 'one', status: 'available' });
    await db.insert('volumes', { host: 'two', status: 'in-use' });
    await db.insert('volumes', { host: null, status: 'creating' });
    await db.insert('volumes', { host: 'one', status: 'error', deleted: true });
  });
  afterEach(() => db.close());
  const ids = async (wanted: Wanted<VolumeRow>): Promise<number[]> =>
    (await rowsWhere(db, 'volumes', wanted)).map((row) => row.id);

  it('are those with the value, with none of it, or with one of a list', async () => {
    expect(await ids({ host: 'one' })).to.deep.equal([1, 4]);
    expect(await ids({ host: 'one', deleted: false })).to.deep.equal([1]);
    expect(await ids({ host: null })).to.deep.equal([3]);
    expect(await ids({ status: ['in-use', 'creating'] })).to.deep.equal([2, 3]);
    expect(await ids({ host: ['two', null] })).to.deep.equal([2, 3]);
    expect(await ids({ host: [null] })).to.deep.equal([3]);
  });

  it('are all where anything goes, and none where nothing can be equal', async () => {
    expect(await ids({})).to.deep.equal([1, 2, 3, 4]);
    expect(await ids({ host: anything, deleted: false })).to.deep.equal([1, 2, 3]);
    expect(await ids({ id: [] })).to.deep.equal([]);
    // what a message leaves out must not find every row
    expect(await ids({ host: undefined })).to.deep.equal([]);
    expect(await firstWhere(db, 'volumes', { id: undefined })).to.equal(undefined);
    expect(await changeWhere(db, 'volumes', { size: 1 }, { id: undefined })).to.equal(false);
    expect(await softDelete(db, 'volumes', { id: [] })).to.equal(0);
  });

  it('are changed once, and deleted once', async () => {
    expect((await firstWhere(db, 'volumes', { host: ['two', 'one'] }))?.id).to.equal(1);
    const take = (): Promise<boolean> => changeWhere(db, 'volumes', { host: 'three' }, { id: 3, host: null });
    expect([await take(), await take()]).to.deep.equal([true, false]);
    expect(await softDelete(db, 'volumes', { host: 'one' })).to.equal(1);
    expect(await softDelete(db, 'volumes', { host: 'one' })).to.equal(0);
    const row = await firstWhere(db, 'volumes', { id: 1 });
    expect([row?.deleted, row?.deleted_at === null, row?.updated_at]).to.deep.equal([true, false, null]);
  });
});
