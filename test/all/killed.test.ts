import { expect } from 'chai';
import { existsSync, readFileSync, rmSync } from 'node:fs';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { type DaemonProcess, spawnDaemon } from '../support/daemons.js';
import { Ec2Caller, type SeenInstance } from '../support/ec2Client.js';
import { until } from '../support/rabbitmq.js';
import { temporaryFolder } from '../support/temporary.js';

describe('nova-all killed with kill -9', function () {
  this.timeout(120_000);
  let state: string;
  let cloud: DaemonProcess | null = null;

  beforeEach(() => {
    state = join(temporaryFolder('killed'), 'state');
  });
  afterEach(async () => {
    await cloud?.kill();
    rmSync(join(state, '..'), { recursive: true, force: true });
  });

  const start = async (...flags: string[]): Promise<Ec2Caller> => {
    const all = [`--state_path=${state}`, '--ec2_listen_port=0', '--images_listen_port=0', ...flags];
    cloud = await spawnDaemon('nova-all', all, { ready: /Ctrl-C ends it/ });
    const text = readFileSync(join(state, 'novarc'), 'utf8');
    const value = (name: string): string => new RegExp(`^export ${name}="([^"]*)"$`, 'm').exec(text)?.[1] ?? '';
    return new Ec2Caller({
      EC2_URL: value('EC2_URL'),
      EC2_ACCESS_KEY: value('EC2_ACCESS_KEY'),
      EC2_SECRET_KEY: value('EC2_SECRET_KEY'),
    });
  };
  const machine = (id: string): string => join(state, 'fake', readHost(state), `instance-${id.slice(2)}.json`);
  const settled = (ec2: Ec2Caller, id: string): Promise<SeenInstance> =>
    until(`${id} to settle`, async () => {
      const seen = await ec2.instance(id);
      return seen.state === 'pending' || seen.state === 'shutting-down' ? undefined : seen;
    });

  it('leaves what runs running, and what was being built or waited for its turn in error with a reason', async () => {
    const before = await start();
    const running = await before.runInstance();
    expect((await settled(before, running)).state).to.equal('running');
    await cloud!.kill();

    const ec2 = await start('--fake_spawn_ms=600000', '--max_concurrent_builds=1');
    const building = await ec2.runInstance();
    await until('its machine to start', () => existsSync(machine(building)));
    const waiting = await ec2.runInstance();
    await cloud!.kill();

    const after = await start();
    expect((await after.instance(running)).state).to.equal('running');
    expect((await settled(after, building)).reason).to.match(/restarted while the instance was being built/);
    expect((await settled(after, waiting)).reason).to.match(/restarted before a host took the instance/);
    for (const id of [building, waiting]) expect(existsSync(machine(id)), 'an orphan').to.equal(false);
    for (const id of [running, building, waiting]) await after.done('TerminateInstances', { 'InstanceId.1': id });
    for (const id of [running, building, waiting]) expect((await settled(after, id)).state).to.equal('terminated');
    await until('their machines to go', () => ![running, building, waiting].some((id) => existsSync(machine(id))));
    const fresh = await after.runInstance();
    expect((await settled(after, fresh)).state).to.equal('running');
    expect(await cloud!.stop()).to.deep.equal({ code: 0, signal: null });
  });
});

/** The name under which the only host has its machines. */
function readHost(state: string): string {
  const line = /^--host=(.*)$/m.exec(readFileSync(join(state, 'nova.conf'), 'utf8'));
  return line?.[1] ?? hostname();
}
