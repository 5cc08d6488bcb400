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
    await driver.detachVolume('instance-00000003', disk.mountpoint);
    await driver.detachVolume('instance-00000003', disk.mountpoint);
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
}
