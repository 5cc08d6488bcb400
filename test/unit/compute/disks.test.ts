import { expect } from 'chai';
import { NovaPlainError } from '../../../common/errors.js';
import { ComputeWorld, userContext } from '../../support/computeWorld.js';
import { delivery } from '../../support/fakeRpc.js';

const context = userContext();
const nameOf = (id: number): string => `instance-${id.toString(16).padStart(8, '0')}`;

describe('nova-compute and a hypervisor which does more than it says', () => {
  let world: ComputeWorld;

  before(async () => {
    world = await ComputeWorld.create();
  });

  it('believes the machine when a disk is gone although the hypervisor said that it could not unplug it', async () => {
    const on = await world.compute('disks1');
    const id = await world.instance();
    await on.manager.handlers.run_instance(context, { instance_id: id }, delivery());
    const volumeId = await world.volume();
    const args = { instance_id: id, volume_id: volumeId, mountpoint: '/dev/vdb' };
    await on.manager.handlers.attach_volume(context, args, delivery());
    const detach = on.driver.detachVolume.bind(on.driver);
    on.driver.detachVolume = async (name, mountpoint) => {
      await detach(name, mountpoint);
      throw new NovaPlainError('no answer from the guest');
    };
    await on.manager.handlers.detach_volume(context, args, delivery());
    expect(await world.volumeRow(volumeId)).to.include({ status: 'available', instance_id: null, mountpoint: null });
    expect(await world.mappings(id)).to.deep.equal([]);
    expect(await on.driver.volumeDisks(nameOf(id))).to.deep.equal([]);
  });

  it('gives nobody a volume whose disk a machine keeps, and takes it back when that can be done', async () => {
    const on = await world.compute('disks2');
    const id = await world.instance();
    await on.manager.handlers.run_instance(context, { instance_id: id }, delivery());
    const volumeId = await world.volume();
    const args = { instance_id: id, volume_id: volumeId, mountpoint: '/dev/vdb' };
    const { attachVolume, detachVolume } = on.driver;
    on.driver.attachVolume = async (name, disk) => {
      await attachVolume.call(on.driver, name, disk);
      throw new NovaPlainError('no answer from the guest');
    };
    on.driver.detachVolume = () => Promise.reject(new NovaPlainError('the guest keeps it'));
    const attached = on.manager.handlers.attach_volume(context, args, delivery());
    expect(await attached.catch((error: unknown) => error)).to.be.an('error');
    const recover = on.manager.periodicTasks.find(({ name }) => name === 'recover_unfinished')!;
    await recover.run(context);
    expect(await world.volumeRow(volumeId)).to.include({ status: 'in-use', instance_id: id });
    on.driver.detachVolume = detachVolume;
    await recover.run(context);
    expect(await world.volumeRow(volumeId)).to.include({ status: 'available', instance_id: null });
    expect(await on.driver.volumeDisks(nameOf(id))).to.deep.equal([]);
  });
});
