import { expect } from 'chai';
import { StartupError } from '../../../common/errors.js';
import { powerState } from '../../../nova-compute/virt/driver.js';
import { FakeDriver } from '../../../nova-compute/virt/fake/fakeDriver.js';
import { createDriver } from '../../../nova-compute/virt/registry.js';
import { testRuntime } from '../../support/runtime.js';
import { behavesAsVirtDriver, machine } from '../../support/virtDriverBehaviour.js';

const signal = new AbortController().signal;

describe('the fake hypervisor', () => {
  const host = testRuntime({ fake_spawn_ms: 0 });
  const open = async (flags = {}): Promise<FakeDriver> => {
    const { runtime } = testRuntime({ state_path: host.statePath, fake_spawn_ms: 0, ...flags });
    const driver = new FakeDriver(runtime);
    await driver.init('cloud1');
    return driver;
  };

  behavesAsVirtDriver(open);

  it('shows a machine whose start was cut off as building, with no secret in its file', async () => {
    const { runtime } = testRuntime({ state_path: host.statePath, fake_spawn_ms: 600_000 });
    const killed = new FakeDriver(runtime);
    await killed.init('cloud1');
    void killed.spawn(machine('instance-0000000a'), signal);
    while ((await killed.info('instance-0000000a')) === undefined) await host.runtime.sleep(5);
    runtime.halt();
    const file = await host.runtime.files.read(`${host.statePath}/fake/cloud1/instance-0000000a.json`);
    expect(file).to.not.contain('pa55word').and.to.not.contain('secr3t');
    const successor = await open();
    expect((await successor.info('instance-0000000a'))?.state).to.equal(powerState.building);
    await successor.spawn(machine('instance-0000000a'), signal);
    expect((await successor.info('instance-0000000a'))?.state).to.equal(powerState.running);
    await successor.destroy('instance-0000000a');
  });

  it('fails what fake_fail names, for all machines or one', async () => {
    const driver = await open({ fake_fail: ['spawn:instance-0000000b', 'reboot'] });
    const error = await driver.spawn(machine('instance-0000000b'), signal).catch((thrown: unknown) => thrown);
    expect(error).to.have.property('message').that.contains('--fake_fail');
    expect(await driver.info('instance-0000000b')).to.equal(undefined);
    await driver.spawn(machine('instance-0000000c'), signal);
    expect(await driver.reboot('instance-0000000c', []).catch((thrown: unknown) => thrown)).to.be.an('error');
    await driver.destroy('instance-0000000c');
  });

  it('is not chosen by a connection_type which has no driver: the flag and the values which work are named', async () => {
    const { runtime } = testRuntime({ connection_type: 'libvirt' });
    const error = await createDriver(runtime).catch((thrown: unknown) => thrown);
    expect(error).to.be.instanceOf(StartupError);
    expect((error as Error).message).to.match(/--connection_type=libvirt.*fake/);
  });
});
