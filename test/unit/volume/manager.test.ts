import { expect } from 'chai';
import { readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { allocateTarget } from '../../../common/db/iscsiTargets.js';
import { delivery } from '../../support/fakeRpc.js';
import { caller, VolumeWorld, type Sent, type TestDaemon } from '../../support/volumeWorld.js';

describe('nova-volume', () => {
  let world: VolumeWorld;
  const message = (method: string, args: Record<string, unknown>): Sent => ({
    kind: 'cast',
    routingKey: 'volume.cloud1',
    method,
    args,
    context: caller(world.runtime),
  });
  const creating = { status: 'creating', host: null };
  beforeEach(async () => {
    world = await VolumeWorld.create();
  });

  /** Kills the daemon with each of its effects in turn; whoever comes next gets the message again if it wasn't acknowledged. */
  async function killAtEachStep(
    prepare: () => Promise<Sent>,
    expectEnd: (killedAt: number) => Promise<void>,
  ): Promise<number> {
    for (let killAt = 1; ; killAt += 1) {
      world = await VolumeWorld.create();
      const first = await world.volumeDaemon();
      const sent = await prepare();
      first.killAt = killAt;
      const receipt = delivery();
      await world.handle(first, sent, receipt).catch(() => undefined);
      const killed = first.runtime.halted;
      if (killed) {
        const second = await world.volumeDaemon();
        if (!receipt.accepted)
          await world.handle(second, sent, { ...delivery(), redelivered: true }).catch(() => undefined);
      }
      await expectEnd(killAt);
      if (!killed) return killAt;
    }
  }

  it('killed at any step of a creation, finishes it at its next start', async () => {
    const steps = await killAtEachStep(
      async () => {
        await world.volume(creating);
        return message('create_volume', { volume_id: 1, snapshot_id: null });
      },
      async (killedAt) => {
        expect(await world.volumeRow(1), `killed at ${killedAt}`).to.include({ status: 'available', host: 'cloud1' });
        expect(await world.targets()).to.deep.equal({ 1: 1 });
        expect(world.files()).to.have.nested.property('volume-00000001\\.volume\\.json.target', 1);
      },
    );
    expect(steps).to.be.greaterThan(4);
  });

  it('killed at any step of a deletion, finishes it at its next start', async () => {
    const steps = await killAtEachStep(
      async () => {
        await world.volume(creating);
        await world.handle(await world.volumeDaemon(), message('create_volume', { volume_id: 1 }));
        await world.cloud.volumes.delete(caller(world.runtime), 1);
        return message('delete_volume', { volume_id: 1 });
      },
      async (killedAt) => {
        expect(await world.volumeRow(1), `killed at ${killedAt}`).to.include({ status: 'deleting', deleted: true });
        expect(await world.targets()).to.deep.equal({});
        expect(world.files()).to.deep.equal({});
      },
    );
    expect(steps).to.be.greaterThan(3);
  });

  it('killed at any step of an undo, leaves either a whole volume or none', async () => {
    await killAtEachStep(
      async () => {
        await world.volume({ ...creating, snapshot_id: 99 });
        return message('create_volume', { volume_id: 1, snapshot_id: 99 });
      },
      async () => {
        expect((await world.volumeRow(1)).status).to.equal('error');
        expect(await world.targets()).to.deep.equal({});
        expect(world.files()).to.deep.equal({});
      },
    );
  });

  it('killed at any step of making or deleting a snapshot, finishes that at its next start', async () => {
    await killAtEachStep(
      async () => {
        await world.volume(creating);
        await world.handle(await world.volumeDaemon(), message('create_volume', { volume_id: 1 }));
        await world.cloud.volumes.createSnapshot(caller(world.runtime), 1, {});
        return message('create_snapshot', { volume_id: 1, snapshot_id: 1 });
      },
      async () => {
        expect(await world.snapshotRow(1)).to.include({ status: 'available', progress: '100%' });
        expect(Object.keys(world.files())).to.include('snapshot-00000001.snapshot.json');
      },
    );
    await killAtEachStep(
      async () => {
        await world.volume();
        await world.db.insert('snapshots', { volume_id: 1, project_id: 'acme', status: 'deleting', volume_size: 1 });
        return message('delete_snapshot', { snapshot_id: 1 });
      },
      async () => {
        expect(await world.snapshotRow(1)).to.include({ deleted: true });
      },
    );
  });

  it('leaves a snapshot which fails in error, from where it can be deleted', async () => {
    await world.volume(creating);
    const daemon = await world.volumeDaemon('cloud1', { fake_volume_fail: ['snapshot'] });
    await world.handle(daemon, message('create_volume', { volume_id: 1 }));
    await world.cloud.volumes.createSnapshot(caller(world.runtime), 1, {});
    await world.handle(daemon, message('create_snapshot', { volume_id: 1, snapshot_id: 1 })).catch(() => undefined);
    expect((await world.snapshotRow(1)).status).to.equal('error');
    await world.cloud.volumes.deleteSnapshot(caller(world.runtime), 1);
    await world.handle(daemon, message('delete_snapshot', { snapshot_id: 1 }));
    expect((await world.snapshotRow(1)).deleted).to.equal(true);
  });

  for (const operation of ['create', 'export']) {
    it(`undoes everything when the driver fails to ${operation}, and the volume can be deleted`, async () => {
      await world.volume(creating);
      const daemon = await world.volumeDaemon('cloud1', { fake_volume_fail: [operation] });
      const error = await world
        .handle(daemon, message('create_volume', { volume_id: 1 }))
        .catch((thrown: Error) => thrown);
      expect(error).to.be.an('error').with.property('message').that.includes(operation);
      expect((await world.volumeRow(1)).status).to.equal('error');
      expect(await world.targets()).to.deep.equal({});
      expect(world.files()).to.deep.equal({});
      await world.cloud.volumes.delete(caller(world.runtime), 1);
      await world.deliver({ 'volume.cloud1': daemon });
      expect((await world.volumeRow(1)).deleted).to.equal(true);
    });
  }

  it('shows a deletion which failed as error_deleting, from where it can be tried again', async () => {
    await world.volume(creating);
    const daemon = await world.volumeDaemon('cloud1', { fake_volume_fail: ['delete'] });
    await world.handle(daemon, message('create_volume', { volume_id: 1 }));
    await world.cloud.volumes.delete(caller(world.runtime), 1);
    await world.deliver({ 'volume.cloud1': daemon });
    expect((await world.volumeRow(1)).status).to.equal('error_deleting');
    await world.cloud.volumes.delete(caller(world.runtime), 1);
    await world.deliver({ 'volume.cloud1': await world.volumeDaemon() });
    expect((await world.volumeRow(1)).deleted).to.equal(true);
    expect(await world.targets()).to.deep.equal({});
  });

  it('refuses to delete what is attached or elsewhere, as 2011.3 does, and shows no deletion for ever', async () => {
    await world.volume({ status: 'in-use', attach_status: 'attached', instance_id: 7 });
    await world.volume({ status: 'deleting', attach_status: 'attached', instance_id: 7 });
    await world.volume({ host: 'cloud2' });
    const daemon = await world.volumeDaemon();
    const refusals: string[] = [];
    for (const volume_id of [1, 2, 3]) {
      const error = await world
        .handle(daemon, message('delete_volume', { volume_id }))
        .catch((thrown: Error) => thrown);
      refusals.push(`${(error as Error).name} ${(error as Error).message}`);
    }
    expect(refusals).to.deep.equal([
      'Error Volume is still attached',
      'Error Volume is still attached',
      'Error Volume is not local to this node',
    ]);
    const states = [1, 2, 3].map(async (id) => (await world.volumeRow(id)).status);
    expect(await Promise.all(states)).to.deep.equal(['in-use', 'in-use', 'available']);
  });

  it('keeps a volume which has a snapshot, exported as it was', async () => {
    await world.volume(creating);
    const daemon = await world.volumeDaemon();
    await world.handle(daemon, message('create_volume', { volume_id: 1 }));
    const { id } = await world.cloud.volumes.createSnapshot(caller(world.runtime), 1, {});
    await world.handle(daemon, message('create_snapshot', { volume_id: 1, snapshot_id: id }));
    await world.cloud.volumes.delete(caller(world.runtime), 1);
    expect(await world.handle(daemon, message('delete_volume', { volume_id: 1 }))).to.equal(true);
    expect(await world.volumeRow(1)).to.include({ status: 'available', deleted: false });
    expect(world.files()).to.have.nested.property('volume-00000001\\.volume\\.json.target', 1);
  });

  it('does nothing at a second delivery', async () => {
    await world.volume(creating);
    const daemon = await world.volumeDaemon();
    const sent = message('create_volume', { volume_id: 1 });
    await Promise.all([world.handle(daemon, sent), world.handle(daemon, sent)]);
    await world.writes();
    await world.handle(daemon, sent);
    expect(await world.writes()).to.deep.equal([]);
    expect(await world.volumeRow(1)).to.include({ status: 'available' });
  });

  it('refuses an id which is none', async () => {
    const daemon = await world.volumeDaemon();
    for (const volume_id of ['1 OR 1', null, {}, 1.5, 2 ** 40]) {
      const error = await world
        .handle(daemon, message('delete_volume', { volume_id }))
        .catch((thrown: Error) => thrown);
      expect(error).to.have.property('name', 'InvalidInput');
    }
  });

  it('leaves alone what was given up, and what another host makes', async () => {
    await world.volume({ ...creating, status: 'error' });
    await world.volume({ ...creating, host: 'cloud2' });
    const daemon = await world.volumeDaemon();
    for (const volume_id of [1, 2]) {
      const receipt = delivery();
      await world.handle(daemon, message('create_volume', { volume_id }), receipt);
      expect(receipt.accepted).to.equal(true);
    }
    expect(world.files()).to.deep.equal({});
    expect(await world.volumeRow(2)).to.include({ status: 'creating', host: 'cloud2' });
  });

  it('exports its volumes at the start, and starts though one of them cannot be', async () => {
    await world.volume(creating);
    await world.handle(await world.volumeDaemon(), message('create_volume', { volume_id: 1 }));
    const broken: TestDaemon = await world.volumeDaemon('cloud1', { fake_volume_fail: ['export'] });
    expect(broken.log.lines.filter((line) => line.startsWith('ERROR')).join()).to.include(
      'volume-00000001: could not be taken up',
    );
    const daemon = await world.volumeDaemon();
    expect(daemon.log.lines.filter((line) => line.startsWith('ERROR'))).to.deep.equal([]);
    expect(await world.handle(daemon, message('check_for_export', { instance_id: 5 }))).to.equal(null);
  });

  it("takes over the volumes of 2011.3's fake driver, which left no trace of them", async () => {
    const volume = await world.volume();
    await allocateTarget(world.db, volume.id, 'cloud1', 100);
    const daemon = await world.volumeDaemon();
    expect(daemon.log.lines.filter((line) => line.startsWith('ERROR'))).to.deep.equal([]);
    await world.cloud.volumes.createSnapshot(caller(world.runtime), volume.id, {});
    const args = { volume_id: volume.id, snapshot_id: 1 };
    expect(await world.handle(daemon, message('create_snapshot', args))).to.equal(1);
  });

  it('throws away at its start what a predecessor was killed amid writing', async () => {
    const { runtime } = await world.volumeDaemon();
    const folder = join(runtime.flags.state_path, 'fake-volumes', runtime.host);
    writeFileSync(join(folder, 'volume-00000054.volume.json.4711.0a1b2c3d.tmp'), '{');
    await world.volumeDaemon();
    expect(readdirSync(folder).filter((name) => name.endsWith('.tmp'))).to.deep.equal([]);
  });

  it('sends a snapshot to the host of its volume when it gets it by mistake', async () => {
    await world.volume({ host: 'cloud2' });
    await world.cloud.volumes.createSnapshot(caller(world.runtime), 1, {});
    world.sent.length = 0;
    await world.handle(await world.volumeDaemon(), message('create_snapshot', { volume_id: 1, snapshot_id: 1 }));
    expect(world.sent).to.have.length(1);
    expect(world.sent[0]).to.deep.include({ routingKey: 'volume.cloud2', args: { volume_id: 1, snapshot_id: 1 } });
  });

  it('refuses to start with a driver which is not there, naming those which are', async () => {
    const error = await world.volumeDaemon('cloud1', { volume_driver: 'nova.volume.driver.ISCSIDriver' }).then(
      () => undefined,
      (thrown: Error) => thrown,
    );
    expect(error).to.have.property('name', 'StartupError');
    expect(error!.message).to.include('--volume_driver=').and.to.include('nova.volume.driver.FakeISCSIDriver');
  });
});
