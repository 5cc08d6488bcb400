import { expect } from 'chai';
import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import type { Write } from '../support/breakpoint.js';
import { startProcessCloud, type ProcessCloud } from '../support/cloud.js';
import { CloudWatch, numberOf } from '../support/cloudWatch.js';
import { until } from '../support/rabbitmq.js';

/** What becomes of the write at which the daemon is killed. */
type Fate = 'before' | 'after';

const task = (name: string): Write => ({
  table: 'instances',
  event: 'UPDATE',
  when: `NEW.task_state = '${name}' AND OLD.task_state IS DISTINCT FROM NEW.task_state`,
});
const vm = (name: string): Write => ({
  table: 'instances',
  event: 'UPDATE',
  when: `NEW.vm_state = '${name}' AND NEW.task_state IS NULL AND OLD.task_state IS NOT NULL`,
});

describe('nova-compute killed with kill -9', function () {
  this.timeout(120_000);
  let cloud: ProcessCloud;
  let watch: CloudWatch;

  before(async () => {
    cloud = await startProcessCloud({ hosts: 1, flags: ['--report_interval=1', '--periodic_interval=2'] });
    watch = new CloudWatch(cloud);
  });
  after(async () => {
    await watch?.end();
    await cloud?.stop();
  });

  /** Kills the daemon before or after a write which `action` leads to, and starts it again. */
  async function killedAt<T>(write: Write, fate: Fate, action: () => Promise<T>): Promise<T> {
    const point = await watch.breakpoint(write);
    const result = await action();
    await point.hit();
    await cloud.daemon('nova-compute').kill();
    await (fate === 'before' ? point.drop() : point.letGo());
    await cloud.start('nova-compute');
    return result;
  }

  const running = async (): Promise<string> => {
    const id = await watch.ec2.runInstance();
    await watch.settled(id, 'active');
    return id;
  };

  const runs: readonly [string, Write, Fate, string][] = [
    ['before its claim', task('networking'), 'before', 'active'],
    ['after its claim', task('networking'), 'after', 'error'],
    ['after the allocation of its network', task('block_device_mapping'), 'before', 'error'],
    ['while it maps block devices', task('block_device_mapping'), 'after', 'error'],
    ['before it spawns', task('spawning'), 'before', 'error'],
    ['as it begins to spawn', task('spawning'), 'after', 'error'],
    ['before the last write', vm('active'), 'before', 'active'],
    ['after the last write', vm('active'), 'after', 'active'],
  ];
  for (const [when, write, fate, end] of runs) {
    it(`of a run ${when} leaves the instance ${end}`, async () => {
      const id = await killedAt(write, fate, () => watch.ec2.runInstance());
      expect(await watch.whole(id)).to.equal(end);
      await watch.terminate(id);
    });
  }

  it('while the machine starts leaves the instance in error, and no machine', async () => {
    await cloud.daemon('nova-compute').stop();
    await cloud.start('nova-compute', 'cloud1', ['--fake_spawn_ms=600000']);
    const id = await watch.ec2.runInstance();
    await until('its machine to start', () => existsSync(watch.machineFile(id)));
    await cloud.daemon('nova-compute').kill();
    await cloud.start('nova-compute');
    expect(await watch.whole(id)).to.equal('error');
    await watch.terminate(id);
  });

  it('while the machine starts, its termination asked for before the restart, ends it', async () => {
    await cloud.daemon('nova-compute').stop();
    await cloud.start('nova-compute', 'cloud1', ['--fake_spawn_ms=600000']);
    const id = await watch.ec2.runInstance();
    await until('its machine to start', () => existsSync(watch.machineFile(id)));
    await cloud.daemon('nova-compute').kill();
    await watch.ec2.done('TerminateInstances', { 'InstanceId.1': id });
    await cloud.start('nova-compute');
    expect(await watch.whole(id)).to.equal('deleted');
  });

  const instanceEnds: Write = { table: 'instances', event: 'UPDATE', when: 'NEW.deleted AND NOT OLD.deleted' };
  for (const fate of ['before', 'after'] as const) {
    it(`of a termination ${fate} the last write ends the instance all the same`, async () => {
      const id = await running();
      await killedAt(instanceEnds, fate, () => watch.ec2.done('TerminateInstances', { 'InstanceId.1': id }));
      expect(await watch.whole(id)).to.equal('deleted');
    });

    it(`of a stop ${fate} the last write stops the instance, which starts again`, async () => {
      const id = await running();
      await killedAt(vm('stopped'), fate, () => watch.ec2.done('StopInstances', { 'InstanceId.1': id }));
      expect(await watch.whole(id)).to.equal('stopped');
      await watch.ec2.done('StartInstances', { 'InstanceId.1': id });
      await watch.settled(id, 'active');
      expect(await watch.whole(id)).to.equal('active');
      await watch.terminate(id);
    });

    it(`of a reboot ${fate} the last write leaves the instance running`, async () => {
      const id = await running();
      await killedAt(vm('active'), fate, () => watch.ec2.done('RebootInstances', { 'InstanceId.1': id }));
      expect(await watch.whole(id)).to.equal('active');
      await watch.terminate(id);
    });
  }

  describe('with a volume', () => {
    let instance: string;
    let volume: string;

    before(async () => {
      instance = await running();
      volume = (await watch.ec2.done('CreateVolume', { Size: '1', AvailabilityZone: 'nova' })).texts('volumeId')[0]!;
      await status('available');
    });
    after(async () => {
      await watch.terminate(instance);
      await status('available');
    });

    const status = (wanted: string): Promise<boolean> =>
      until(`the volume to be ${wanted}`, async () => {
        const [row] = await watch.rows<{ status: string }>('SELECT status FROM volumes WHERE id = $1', [
          numberOf(volume),
        ]);
        return row?.status === wanted;
      });
    const disks = async (): Promise<number> => {
      const machine = JSON.parse(await readFile(watch.machineFile(instance), 'utf8')) as { volumes: object };
      return Object.keys(machine.volumes).length;
    };
    const attach = (): Promise<unknown> =>
      watch.ec2.done('AttachVolume', { VolumeId: volume, InstanceId: instance, Device: '/dev/vdb' });
    const detach = (): Promise<unknown> => watch.ec2.done('DetachVolume', { VolumeId: volume });
    const attached: Write = {
      table: 'volumes',
      event: 'UPDATE',
      when: `NEW.instance_id IS NOT NULL AND OLD.instance_id IS NULL`,
    };
    const recorded: Write = { table: 'block_device_mapping', event: 'INSERT' };
    const detached: Write = {
      table: 'volumes',
      event: 'UPDATE',
      when: `NEW.instance_id IS NULL AND OLD.instance_id IS NOT NULL`,
    };

    const noted = async (): Promise<boolean> =>
      (await watch.rows('SELECT id FROM block_device_mapping WHERE volume_id = $1 AND NOT deleted', [numberOf(volume)]))
        .length === 1;

    // Until the volume is claimed the message stays in its queue, and is delivered again.
    const attachments: readonly [string, Write, Fate, 'in-use' | 'available'][] = [
      ['before it has the volume', attached, 'before', 'in-use'],
      ['after it has the volume', attached, 'after', 'in-use'],
      ['before it is recorded', recorded, 'before', 'available'],
      ['after it is recorded', recorded, 'after', 'in-use'],
    ];
    for (const [when, write, fate, end] of attachments) {
      it(`of an attachment ${when} leaves the volume ${end}, as the guest sees it`, async () => {
        await killedAt(write, fate, attach);
        const isAttached = end === 'in-use';
        await until(`the volume to be ${end}`, async () => {
          const [row] = await watch.rows<{ status: string; attach_status: string }>(
            'SELECT status, attach_status FROM volumes WHERE id = $1',
            [numberOf(volume)],
          );
          return row?.status === end && (await noted()) === isAttached && (await disks()) === Number(isAttached);
        });
        if (!isAttached) await attach();
        await until('the attachment', noted);
        await detach();
        await status('available');
      });
    }

    for (const fate of ['before', 'after'] as const) {
      it(`of a detachment ${fate} its write detaches the volume`, async () => {
        await attach();
        await until('the attachment', noted);
        await killedAt(detached, fate, detach);
        await status('available');
        expect(await disks()).to.equal(0);
      });
    }
  });
});
