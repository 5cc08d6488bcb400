import { expect } from 'chai';
import { powerState, type MachineSpec, type VirtDriver } from '../../nova-compute/virt/driver.js';

const signal = new AbortController().signal;
const disk = { devicePath: '/dev/disk/by-path/volume-id-1', mountpoint: '/dev/vdb' };

/** A small machine. Its password and file must not be found anywhere. */
export function machine(name: string): MachineSpec {
  return {
    name,
    uuid: '3f9b7e69-bbe4-436e-9475-9fd2ea349a48',
    memoryMb: 64,
    vcpus: 1,
    localGb: 0,
    imageRef: '1',
    kernelId: null,
    ramdiskId: null,
    rootDeviceName: null,
    keyData: null,
    hostname: 'server-1',
    metadata: {},
    networkInfo: [],
    volumes: [],
    adminPassword: 'pa55word',
    injectedFiles: [['/etc/motd', 'secr3t text']],
  };
}

/** What every hypervisor must do. `open` gives a driver on the same host each time, after `init`. */
export function behavesAsVirtDriver(open: () => Promise<VirtDriver>): void {
  it('runs a machine, once, until it is destroyed', async () => {
    const driver = await open();
    await driver.spawn(machine('instance-00000001'), signal);
    await driver.spawn(machine('instance-00000001'), signal);
    expect(await driver.info('instance-00000001')).to.deep.equal({
      name: 'instance-00000001',
      state: powerState.running,
    });
    expect(await driver.list()).to.have.length(1);
    await driver.reboot('instance-00000001', []);
    expect((await driver.info('instance-00000001'))?.state).to.equal(powerState.running);
    await driver.destroy('instance-00000001');
    await driver.destroy('instance-00000001');
    expect(await driver.info('instance-00000001')).to.equal(undefined);
    expect(await driver.list()).to.deep.equal([]);
    await driver.close();
  });

  it('keeps machines running while the daemon is away', async () => {
    const before = await open();
    await before.spawn(machine('instance-00000002'), signal);
    await before.close();
    const after = await open();
    expect((await after.info('instance-00000002'))?.state).to.equal(powerState.running);
    await after.destroy('instance-00000002');
    await after.close();
  });

  it('plugs and unplugs a volume any number of times', async () => {
    const driver = await open();
    await driver.spawn(machine('instance-00000003'), signal);
    await driver.attachVolume('instance-00000003', disk);
    await driver.attachVolume('instance-00000003', disk);
    expect(await driver.volumeDisks('instance-00000003')).to.deep.equal([disk]);
    await driver.detachVolume('instance-00000003', disk.mountpoint);
    await driver.detachVolume('instance-00000003', disk.mountpoint);
    expect(await driver.volumeDisks('instance-00000003')).to.deep.equal([]);
    expect(await driver.volumeDisks('instance-0000ffff')).to.deep.equal([]);
    await driver.detachVolume('instance-0000ffff', disk.mountpoint);
    await driver.destroy('instance-00000003');
    await driver.close();
  });

  it('bounds the console, and knows none of a machine which is not there', async () => {
    const driver = await open();
    await driver.spawn(machine('instance-00000004'), signal);
    expect(await driver.consoleOutput('instance-00000004', 16)).to.have.length.at.most(16);
    await driver.destroy('instance-00000004');
    const error = await driver.consoleOutput('instance-00000004', 16).catch((thrown: unknown) => thrown);
    expect(error).to.have.property('name', 'InstanceNotFound');
    await driver.close();
  });

  it('leaves nothing of a machine whose start was aborted', async () => {
    const driver = await open();
    const abort = new AbortController();
    abort.abort(new Error('not wanted any more'));
    const error = await driver.spawn(machine('instance-00000005'), abort.signal).catch((thrown: unknown) => thrown);
    expect(error).to.be.an('error').with.property('message', 'not wanted any more');
    expect(await driver.info('instance-00000005')).to.equal(undefined);
    await driver.close();
  });

  it('pauses and suspends a machine, and brings it back, any number of times', async () => {
    const driver = await open();
    const name = 'instance-00000006';
    await driver.spawn(machine(name), signal);
    for (const [change, state] of [
      [() => driver.pause(name), powerState.paused],
      [() => driver.unpause(name), powerState.running],
      [() => driver.suspend(name), powerState.suspended],
      [() => driver.resume(name, []), powerState.running],
    ] as const) {
      await change();
      await change();
      expect((await driver.info(name))?.state).to.equal(state);
    }
    await driver.destroy(name);
    expect(await driver.pause(name).catch((thrown: unknown) => thrown)).to.be.an('error');
    await driver.close();
  });

  it('rescues a machine and brings it back to its own disk', async () => {
    const driver = await open();
    const name = 'instance-00000007';
    const image = { imageRef: '9', kernelId: null, ramdiskId: null };
    await driver.spawn(machine(name), signal);
    await driver.rescue(name, image, []);
    await driver.rescue(name, image, []);
    expect((await driver.info(name))?.state).to.equal(powerState.running);
    await driver.unrescue(name, []);
    await driver.unrescue(name, []);
    expect((await driver.info(name))?.state).to.equal(powerState.running);
    await driver.destroy(name);
    await driver.close();
  });

  it('gives the bits of a disk, and none of a machine which is not there', async () => {
    const driver = await open();
    const name = 'instance-00000008';
    await driver.spawn(machine(name), signal);
    let bytes = 0;
    await driver.snapshot(name, async (bits) => {
      for await (const chunk of bits) bytes += chunk.length;
    });
    expect(bytes).to.be.greaterThan(0);
    const refusal = await driver
      .snapshot(name, () => Promise.reject(new Error('no room')))
      .catch((thrown: unknown) => thrown);
    expect(refusal).to.have.property('message', 'no room');
    expect((await driver.info(name))?.state).to.equal(powerState.running);
    await driver.destroy(name);
    expect(await driver.snapshot(name, async () => undefined).catch((thrown: unknown) => thrown)).to.be.an('error');
    await driver.close();
  });

  it('lets go of a machine, keeps it until the move is confirmed, and takes it up again when it is not', async () => {
    const driver = await open();
    const name = 'instance-00000009';
    await driver.spawn(machine(name), signal);
    const info = await driver.migrateOut(name, '192.168.0.2');
    expect(await driver.migrateOut(name, '192.168.0.2')).to.equal(info);
    expect(await driver.info(name)).to.deep.include({ role: 'outgoing' });
    expect(await driver.reboot(name, []).catch((thrown: unknown) => thrown)).to.be.an('error');
    await driver.revertMigration(name, []);
    await driver.revertMigration(name, []);
    expect(await driver.info(name)).to.deep.equal({ name, state: powerState.running });
    await driver.confirmMigration(name);
    expect(await driver.info(name), 'confirming removes kept machines only').to.not.equal(undefined);
    await driver.migrateOut(name, '192.168.0.2');
    await driver.confirmMigration(name);
    await driver.confirmMigration(name);
    expect(await driver.info(name)).to.equal(undefined);
    await driver.finishMigration(machine(name), info, signal);
    expect(await driver.info(name)).to.deep.equal({ name, state: powerState.running });
    await driver.destroy(name);
    await driver.close();
  });

  it('makes ready for a machine which comes alive, and takes it up', async () => {
    const driver = await open();
    const name = 'instance-0000000d';
    await driver.prepareIncoming(machine(name), null);
    await driver.prepareIncoming(machine(name), null);
    expect(await driver.info(name)).to.deep.include({ role: 'incoming' });
    await driver.completeIncoming(name);
    await driver.completeIncoming(name);
    expect(await driver.info(name)).to.deep.equal({ name, state: powerState.running });
    expect(await driver.prepareIncoming(machine(name), null).catch((thrown: unknown) => thrown)).to.be.an('error');
    expect(JSON.parse(await driver.diskInfo(name))).to.be.an('array');
    await driver.destroy(name);
    await driver.close();
  });

  it('compares CPUs', async () => {
    const driver = await open();
    expect(await driver.compareCpu('no json').catch((thrown: unknown) => thrown)).to.have.property(
      'name',
      'InvalidCPUInfo',
    );
    await driver.close();
  });
}
