import { expect } from 'chai';
import type { Context } from '../../../common/context.js';
import { describeVolumes } from '../../../common/db/volumes.js';
import { caller, VolumeWorld } from '../../support/volumeWorld.js';

describe('rules of volumes and zones', () => {
  let world: VolumeWorld;
  beforeEach(async () => {
    world = await VolumeWorld.create({ quota_volumes: 3, quota_gigabytes: 10 });
  });
  const user = (): Context => caller(world.runtime);
  const refusal = (work: Promise<unknown>): Promise<string> =>
    work.then(
      () => 'taken',
      (error: Error) => `${error.name}: ${error.message}`,
    );

  it('refuse what 2011.3 refuses, in its words, and change no row', async () => {
    const { volumes } = world.cloud;
    await world.volume({ status: 'in-use', attach_status: 'attached', instance_id: 1, mountpoint: '/dev/vdb' });
    await world.volume({ status: 'creating' });
    await world.volume({ project_id: 'other' });
    await world.instance({ vm_state: 'active', task_state: null, host: 'cloud1' });
    await world.instance({ vm_state: 'stopped', task_state: null, host: 'cloud1' });
    await world.instance({ vm_state: 'active', task_state: null, host: 'cloud1', project_id: 'other' });
    await world.db.insert('snapshots', { volume_id: 1, project_id: 'acme', status: 'creating', volume_size: 1 });
    await world.db.insert('snapshots', { volume_id: 1, project_id: 'acme', status: 'available', volume_size: 3 });
    await world.writes();
    const table: [string, () => Promise<unknown>][] = [
      [
        'QuotaError: Volume quota exceeded. You cannot create a volume of size 5000G',
        () => volumes.create(user(), { size: 5000 }),
      ],
      [
        'InvalidParameterValue: Value (-1) for parameter Size is invalid. An integer from 0 to 2147483647 is expected.',
        () => volumes.create(user(), { size: -1 }),
      ],
      ['ApiError: Size or SnapshotId must be given', () => volumes.create(user(), {})],
      ['SnapshotNotFound: Snapshot 9 could not be found.', () => volumes.create(user(), { snapshotId: 9 })],
      ['ApiError: Snapshot status must be available', () => volumes.create(user(), { snapshotId: 1 })],
      [
        'InvalidParameterValue: A volume of a snapshot of 3G cannot be smaller than that',
        () => volumes.create(user(), { snapshotId: 2, size: 1 }),
      ],
      [
        'InvalidParameterValue: The name must be a text of at most 255 characters',
        () => volumes.create(user(), { size: 1, name: 'x'.repeat(256) }),
      ],
      ['ApiError: Volume status must be available', () => volumes.delete(user(), 1)],
      ['ApiError: Volume status must be available', () => volumes.delete(user(), 2)],
      ['VolumeNotFound: Volume 3 could not be found.', () => volumes.delete(user(), 3)],
      ['VolumeNotFound: Volume 3 could not be found.', () => volumes.list(user(), [1, 3])],
      [
        'ApiError: Invalid device specified: /dev/vdb1. Example device: /dev/vdb',
        () => volumes.attach(user(), 1, 1, '/dev/vdb1'),
      ],
      ['ApiError: Volume status must be available', () => volumes.attach(user(), 1, 1, '/dev/vdc')],
      ["ApiError: Volume isn't attached to anything!", () => volumes.detach(user(), 2)],
      ['ApiError: Volume status must be available', () => volumes.createSnapshot(user(), 2, {})],
      ['ApiError: Snapshot status must be available', () => volumes.deleteSnapshot(user(), 1)],
    ];
    for (const [words, act] of table) expect(await refusal(act())).to.equal(words);
    expect(await world.writes()).to.deep.equal([]);
    expect(world.sent).to.deep.equal([]);

    await world.db.update('volumes', { status: 'available' }, 'id = 2');
    expect(await refusal(volumes.attach(user(), 2, 2, '/dev/vdc'))).to.equal('ApiError: Instance must be running');
    expect(await refusal(volumes.attach(user(), 2, 3, '/dev/vdc'))).to.equal(
      'InstanceNotFound: Instance 3 could not be found.',
    );
  });

  it('never let a project have more than its quota, however many ask at once', async () => {
    const asked = Array.from({ length: 6 }, () => refusal(world.cloud.volumes.create(user(), { size: 4 })));
    const outcomes = await Promise.all(asked);
    expect(outcomes.filter((outcome) => outcome === 'taken')).to.have.length(2);
    expect(await world.cloud.volumes.list(user())).to.have.length(2);
    expect(world.sent.map((sent) => sent.method)).to.deep.equal(['create_volume', 'create_volume']);
  });

  it('leave nothing half-done when the bus cannot be reached', async () => {
    world.unreachable.add('scheduler').add('volume.cloud1');
    expect((await world.cloud.volumes.create(user(), { size: 1 })).status).to.equal('error');
    await world.volume();
    expect(await refusal(world.cloud.volumes.delete(user(), 2))).to.match(/^MessageNotDelivered/);
    expect((await world.volumeRow(2)).status).to.equal('error_deleting');
    await world.volume();
    expect((await world.cloud.volumes.createSnapshot(user(), 3, {})).status).to.equal('error');
    await world.db.update('snapshots', { status: 'available' }, 'id = 1');
    expect(await refusal(world.cloud.volumes.deleteSnapshot(user(), 1))).to.match(/^MessageNotDelivered/);
    expect((await world.snapshotRow(1)).status).to.equal('error_deleting');
  });

  it('delete a volume at once which no host has', async () => {
    await world.volume({ status: 'error', host: null });
    await world.cloud.volumes.delete(user(), 1);
    expect((await world.volumeRow(1)).deleted).to.equal(true);
    expect(world.sent).to.deep.equal([]);
  });

  it('free a volume whose instance is gone', async () => {
    await world.instance({ deleted: true, host: 'cloud1' });
    await world.volume({ status: 'in-use', attach_status: 'attached', instance_id: 1, mountpoint: '/dev/vdb' });
    await world.cloud.volumes.detach(user(), 1);
    expect(await world.volumeRow(1)).to.include({ status: 'available', attach_status: 'detached', instance_id: null });
    expect(world.sent).to.deep.equal([]);
  });

  it('show administrators all volumes and others those of their project, with one query a table', async () => {
    await world.instance({ host: 'cloud2' });
    await world.volume({ status: 'in-use', attach_status: 'attached', instance_id: 1 });
    await world.volume({ project_id: 'other' });
    await world.db.insert('volume_metadata', { volume_id: 1, key: 'k', value: 'v' });
    let queries = 0;
    const counting = new Proxy(world.db, {
      get: (db, name) => {
        if (name !== 'all') return Reflect.get(db, name) as unknown;
        return (sql: string, params: []) => {
          queries += 1;
          return db.all(sql, params);
        };
      },
    });
    await describeVolumes(counting, null);
    expect(queries).to.equal(3);
    const [mine] = await world.cloud.volumes.list(user());
    expect(mine!.instance).to.include({ id: 1, host: 'cloud2' });
    expect(mine!.metadata).to.deep.equal([{ volume_id: 1, key: 'k', value: 'v' }]);
    expect(await world.cloud.volumes.list(user())).to.have.length(1);
    expect(await world.cloud.volumes.list(caller(world.runtime, { isAdmin: true }))).to.have.length(2);
  });

  it('make zones of services', async () => {
    await world.service('cloud1', 'compute');
    await world.service('cloud2', 'compute', { availability_zone: 'east', disabled: true });
    await world.service('cloud3', 'volume', { availability_zone: 'west', updated_at: '2011-09-22 10:00:00.000000' });
    expect(await world.cloud.zones.list()).to.deep.equal([
      { name: 'nova', state: 'available' },
      { name: 'west', state: 'available' },
      { name: 'east', state: 'not available' },
    ]);
    const lines = await world.cloud.zones.listVerbose(caller(world.runtime, { isAdmin: true }));
    expect(lines.map(({ name, state }) => `${name} ${state}`.replace(/(:-\)) .*/, '$1'))).to.deep.equal([
      'nova available',
      '|- cloud1 ',
      '| |- nova-compute enabled :-)',
      '|- cloud3 ',
      '| |- nova-volume enabled XXX 2011-09-22 10:00:00',
    ]);
    expect(await world.cloud.zones.listVerbose(user())).to.have.length(3);
  });
});
