import { expect } from 'chai';
import type { Context } from '../../../common/context.js';
import { caller, VolumeWorld } from '../../support/volumeWorld.js';

describe('volume types', () => {
  let world: VolumeWorld;
  let admin: Context;
  beforeEach(async () => {
    world = await VolumeWorld.create({ quota_metadata_items: 2 });
    admin = caller(world.runtime, { isAdmin: true });
  });
  const refusal = (work: Promise<unknown>): Promise<string> =>
    work.then(
      () => 'taken',
      (error: Error) => `${error.name}: ${error.message}`,
    );

  it('are made with extra specs, listed, changed and deleted; their names stay taken', async () => {
    const { volumeTypes } = world.cloud;
    const { id } = await volumeTypes.create(admin, 'fast', { rpm: '15000' });
    await volumeTypes.setExtraSpecs(admin, id, { rpm: '10000', raid: '1' });
    expect(await volumeTypes.getByName('fast')).to.deep.include({ id, extra_specs: { rpm: '10000', raid: '1' } });
    expect(await volumeTypes.extraSpec(id, 'raid')).to.equal('1');
    await volumeTypes.deleteExtraSpec(admin, id, 'raid');
    expect((await volumeTypes.list()).map(({ name, extra_specs: specs }) => [name, specs])).to.deep.equal([
      ['fast', { rpm: '10000' }],
    ]);
    await volumeTypes.delete(admin, 'fast');
    expect(await volumeTypes.list()).to.deep.equal([]);
    expect(await refusal(volumeTypes.create(admin, 'fast', { a: 'b' }))).to.equal(
      'VolumeTypeExists: Cannot create volume_type with name fast and specs {"a":"b"}',
    );
    await volumeTypes.delete(admin, 'fast', { purge: true });
    expect((await volumeTypes.create(admin, 'fast')).extra_specs).to.deep.equal({});
  });

  it('refuse what cannot be, and changes by others than administrators', async () => {
    const { volumeTypes } = world.cloud;
    const user = caller(world.runtime);
    const { id } = await volumeTypes.create(admin, 'fast');
    const table: [string, () => Promise<unknown>][] = [
      ['AdminRequired: User does not have admin privileges', () => volumeTypes.create(user, 'slow')],
      ['AdminRequired: User does not have admin privileges', () => volumeTypes.delete(user, 'fast')],
      ['AdminRequired: User does not have admin privileges', () => volumeTypes.setExtraSpecs(user, id, { a: 'b' })],
      ['AdminRequired: User does not have admin privileges', () => volumeTypes.deleteExtraSpec(user, id, 'a')],
      [
        'InvalidVolumeType: Invalid volume type: its name must be 1 to 255 characters long',
        () => volumeTypes.create(admin, ' '),
      ],
      [
        'InvalidVolumeType: Invalid volume type: keys and values of extra specs must be texts of at most 255 characters',
        () => volumeTypes.setExtraSpecs(admin, id, { key: 'x'.repeat(256) }),
      ],
      ['VolumeTypeNotFound: Volume type 9 could not be found.', () => volumeTypes.get(9)],
      ['VolumeTypeNotFound: Volume type 9 could not be found.', () => volumeTypes.deleteExtraSpec(admin, 9, 'a')],
      ['VolumeTypeNotFoundByName: Volume type with name slow could not be found.', () => volumeTypes.getByName('slow')],
      [
        'VolumeTypeNotFoundByName: Volume type with name slow could not be found.',
        () => volumeTypes.delete(admin, 'slow'),
      ],
      [
        'VolumeTypeExtraSpecsNotFound: Volume Type 1 has no extra specs with key constructor.',
        () => volumeTypes.extraSpec(id, 'constructor'),
      ],
    ];
    for (const [expected, work] of table) expect(await refusal(work())).to.equal(expected);
  });

  it('are given to volumes while they last, and metadata within its limits', async () => {
    const { volumeTypes, volumes } = world.cloud;
    const user = caller(world.runtime);
    const { id } = await volumeTypes.create(admin, 'fast');
    const volume = await volumes.create(user, { size: 1, volumeTypeId: id, metadata: { a: '1', b: '2' } });
    expect(volume.volume_type_id).to.equal(id);
    expect((await volumes.get(user, volume.id)).metadata.map(({ key, value }) => [key, value])).to.deep.equal([
      ['a', '1'],
      ['b', '2'],
    ]);
    await volumeTypes.delete(admin, 'fast');
    const refused = await refusal(volumes.create(user, { size: 1, volumeTypeId: id }));
    expect(refused).to.equal(`VolumeTypeNotFound: Volume type ${id} could not be found.`);
    expect(await refusal(volumes.create(user, { size: 1, metadata: { a: '1', b: '2', c: '3' } }))).to.match(
      /^QuotaError/,
    );
    expect(await world.db.all('SELECT id FROM volumes')).to.have.length(1);
  });
});
