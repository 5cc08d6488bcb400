import { expect } from 'chai';
import { execFileSync, spawnSync } from 'node:child_process';
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import type { DaemonProcess } from '../support/daemons.js';
import { until } from '../support/rabbitmq.js';
import type { Storm } from '../support/storm.js';
import {
  kills,
  outages,
  pauses,
  rollingRestart,
  StormyCloud,
  stormSize,
  type Trouble,
} from '../support/stormyCloud.js';

describe('while 200 instances start and 100 are terminated', function () {
  this.timeout(300_000);
  let cloud: StormyCloud;

  before(async () => {
    cloud = await StormyCloud.start();
  });
  after(() => cloud?.stop());
  afterEach(() => cloud.clear());

  /** Raises a storm, lets something happen in its midst, and checks what is left when all is quiet. */
  async function storm(happen: (running: Storm) => Promise<void>): Promise<Storm> {
    const { storm: one } = await cloud.raise(happen);
    expect(one.odd, 'answers').to.deep.equal([]);
    expect(new Set(one.accepted).size, 'instances').to.equal(stormSize.instances);
    await until('all queues to be empty, and to belong to somebody', async () => {
      const queues = await cloud.broker.list('queues', cloud.processes.vhost, ['name', 'messages', 'consumers']);
      return queues.every(({ messages, consumers }) => messages === 0 && Number(consumers) > 0);
    });
    for (const id of one.toEnd) expect((await cloud.watch.state(id)).deleted, `${id} is deleted`).to.equal(true);
    return one;
  }
  const through = (trouble: Trouble): Promise<Storm> => storm((running) => trouble.happen(cloud, running));

  const failed = (): Promise<{ id: number; error: string | null }[]> =>
    cloud.watch.rows(`SELECT i.id, a.error FROM instances i LEFT JOIN instance_actions a ON a.instance_id = i.id
                WHERE NOT i.deleted AND i.vm_state = 'error'`);

  it('and nothing else happens, every one runs or is gone', async () => {
    const one = await storm(() => Promise.resolve());
    expect(await failed()).to.deep.equal([]);
    expect([one.refused, one.unanswered]).to.deep.equal([0, 0]);
  });

  for (const trouble of kills) {
    it(`${trouble.what} leaves nothing on its way, and nothing behind`, async () => {
      const one = await through(trouble);
      if (trouble.silences !== true) expect(one.unanswered).to.equal(0);
    });
  }

  for (const trouble of outages) {
    it(`${trouble.what} leaves nothing on its way, and nothing behind`, async () => {
      await through(trouble);
    });
  }

  for (const trouble of pauses) {
    it(`${trouble.what}, wakes without harm`, async () => {
      await through(trouble);
    });
  }

  it('a full disk of one host costs what was to be built there, and says so', async function () {
    const { processes } = cloud;
    const disk = join(processes.stateFolder, 'fake', 'cloud2');
    const filler = join(disk, 'filler');
    const compute = (): DaemonProcess => processes.daemon('nova-compute', 'cloud2');
    await compute().stop();
    try {
      execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=2m', 'tmpfs', disk], { stdio: 'pipe' });
    } catch {
      await processes.start('nova-compute', 'cloud2');
      this.skip(); // a container without the right to mount
    }
    try {
      await processes.start('nova-compute', 'cloud2');
      await storm(async (running) => {
        await running.until(40);
        spawnSync('dd', ['if=/dev/zero', `of=${filler}`, 'bs=4k'], { stdio: 'ignore' });
        await compute().until(/ENOSPC|no space left/i);
        await running.until(150);
        rmSync(filler);
      });
      const broken = await failed();
      expect(broken.length).to.be.greaterThan(0);
      for (const { error } of broken) expect(error).to.match(/no space left/i);
      await cloud.clear();
    } finally {
      await compute().stop();
      execFileSync('umount', [disk]);
      await processes.start('nova-compute', 'cloud2');
    }
  });

  it('a rolling restart of everything loses no request that was accepted', async () => {
    await through(rollingRestart);
    expect(await failed()).to.deep.equal([]);
  });
});
