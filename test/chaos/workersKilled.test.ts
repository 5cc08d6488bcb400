import { expect } from 'chai';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Write } from '../support/breakpoint.js';
import { startProcessCloud, type ProcessCloud } from '../support/cloud.js';
import { CloudWatch, numberOf } from '../support/cloudWatch.js';
import { until } from '../support/rabbitmq.js';

type Fate = 'before' | 'after';
const fates: readonly Fate[] = ['before', 'after'];

describe('killed with kill -9:', function () {
  this.timeout(120_000);
  let cloud: ProcessCloud;
  let watch: CloudWatch;

  before(async () => {
    const flags = ['--report_interval=1', '--periodic_interval=1', '--rpc_response_timeout=3'];
    cloud = await startProcessCloud({ hosts: 1, flags });
    watch = new CloudWatch(cloud);
  });
  after(async () => {
    await watch?.end();
    await cloud?.stop();
  });

  /** Kills a daemon before or after the commit of a write which `action` leads to, and starts it again. */
  async function killedAt<T>(binary: string, write: Write, fate: Fate, action: () => Promise<T>): Promise<T> {
    const point = await watch.breakpoint(write);
    const result = action();
    result.catch(() => undefined);
    await point.hit();
    await cloud.daemon(binary).kill();
    await (fate === 'before' ? point.drop() : point.letGo());
    await cloud.start(binary);
    return result;
  }
  const running = async (): Promise<string> => {
    const id = await watch.ec2.runInstance();
    await watch.settled(id, 'active');
    return id;
  };

  describe('nova-network', () => {
    const allocations: readonly [string, Write][] = [
      ['makes the interface', { table: 'virtual_interfaces', event: 'INSERT' }],
      [
        'claims the address',
        { table: 'fixed_ips', event: 'UPDATE', when: 'NEW.instance_id IS NOT NULL AND OLD.instance_id IS NULL' },
      ],
      ['allocates the address', { table: 'fixed_ips', event: 'UPDATE', when: 'NEW.allocated AND NOT OLD.allocated' }],
    ];
    for (const [when, write] of allocations) {
      for (const fate of fates) {
        it(`${fate} it ${when} leaves an instance which is whole, or nothing of it`, async () => {
          const id = await killedAt('nova-network', write, fate, () => watch.ec2.runInstance());
          await watch.whole(id);
          await watch.terminate(id);
        });
      }
    }

    const releases: readonly [string, Write][] = [
      [
        'takes the address out of use',
        { table: 'fixed_ips', event: 'UPDATE', when: 'OLD.allocated AND NOT NEW.allocated' },
      ],
      [
        'frees the address',
        { table: 'fixed_ips', event: 'UPDATE', when: 'NEW.instance_id IS NULL AND OLD.instance_id IS NOT NULL' },
      ],
      ['removes the interface', { table: 'virtual_interfaces', event: 'DELETE' }],
    ];
    for (const [when, write] of releases) {
      for (const fate of fates) {
        it(`${fate} it ${when} releases everything in the end`, async () => {
          const id = await running();
          await killedAt('nova-network', write, fate, () =>
            watch.ec2.done('TerminateInstances', { 'InstanceId.1': id }),
          );
          await watch.settled(id, 'deleted');
          await watch.holdsNothing(id);
        });
      }
    }
  });

  describe('nova-scheduler', () => {
    const chosen: Write = { table: 'instances', event: 'UPDATE', when: 'NEW.host IS NOT NULL AND OLD.host IS NULL' };
    for (const fate of fates) {
      it(`${fate} it has written the host, and before it tells that one, schedules the instance once`, async () => {
        const recording = await cloud.broker.recordMessages(cloud.vhost);
        try {
          const id = await killedAt('nova-scheduler', chosen, fate, () => watch.ec2.runInstance());
          expect(await watch.whole(id)).to.equal('active');
          const told = recording.messages.filter(
            (message) => message.routing_key === 'compute.cloud1' && message.body_raw.includes('"run_instance"'),
          );
          expect(told).to.have.length(1);
          await watch.terminate(id);
        } finally {
          await recording.stop();
        }
      });
    }
  });

  describe('nova-volume', () => {
    const status = (id: number, wanted: string): Promise<boolean> =>
      until(`volume ${id} to be ${wanted}`, async () => {
        const [row] = await watch.rows<{ status: string; deleted: boolean }>(
          'SELECT status, deleted FROM volumes WHERE id = $1',
          [id],
        );
        return (row?.deleted ? 'deleted' : row?.status) === wanted;
      });
    const create = async (): Promise<string> =>
      (await watch.ec2.done('CreateVolume', { Size: '1', AvailabilityZone: 'nova' })).texts('volumeId')[0]!;
    const remove = (id: string): Promise<unknown> => watch.ec2.done('DeleteVolume', { VolumeId: id });
    const files = (): string[] => {
      const folder = join(cloud.stateFolder, 'fake-volumes', 'cloud1');
      return existsSync(folder) ? readdirSync(folder) : [];
    };
    const targets = (id: string): Promise<object[]> =>
      watch.rows('SELECT id FROM iscsi_targets WHERE volume_id = $1', [numberOf(id)]);

    const creations: readonly [string, Write][] = [
      [
        'claims a target',
        { table: 'iscsi_targets', event: 'UPDATE', when: 'NEW.volume_id IS NOT NULL AND OLD.volume_id IS NULL' },
      ],
      ['says that it is available', { table: 'volumes', event: 'UPDATE', when: `NEW.status = 'available'` }],
    ];
    for (const [when, write] of creations) {
      for (const fate of fates) {
        it(`${fate} it ${when} makes the volume all the same`, async () => {
          const id = await killedAt('nova-volume', write, fate, create);
          await status(numberOf(id), 'available');
          expect(await targets(id)).to.have.length(1);
          expect(files()).to.have.length(1);
          await remove(id);
          await status(numberOf(id), 'deleted');
          expect(files()).to.deep.equal([]);
        });
      }
    }

    for (const fate of fates) {
      it(`${fate} it removes the row deletes the volume all the same`, async () => {
        const id = await create();
        await status(numberOf(id), 'available');
        const gone: Write = { table: 'volumes', event: 'UPDATE', when: 'NEW.deleted AND NOT OLD.deleted' };
        await killedAt('nova-volume', gone, fate, () => remove(id));
        await status(numberOf(id), 'deleted');
        expect(files()).to.deep.equal([]);
        expect(await targets(id)).to.deep.equal([]);
      });
    }
  });

  describe('nova-api', () => {
    const made: Write = { table: 'instances', event: 'INSERT' };
    const count = async (): Promise<number> => (await watch.rows('SELECT id FROM instances')).length;

    it('before the commit of RunInstances makes nothing', async () => {
      const instances = await count();
      const answer = await killedAt('nova-api', made, 'before', () =>
        watch.ec2.call('RunInstances', { ImageId: 'ami-00000001', InstanceType: 'm1.tiny' }).catch(() => null),
      );
      expect(answer).to.equal(null);
      expect(await count()).to.equal(instances);
      await watch.works();
    });

    it('after the commit of RunInstances and before its message leaves the instance in error, by the sweeper', async () => {
      await cloud.daemon('nova-scheduler').stop();
      await cloud.start('nova-scheduler', 'cloud1', ['--scheduling_timeout=1']);
      await killedAt('nova-api', made, 'after', () => watch.ec2.runInstance().catch(() => undefined));
      const [last] = await watch.rows<{ id: number }>('SELECT MAX(id) AS id FROM instances');
      const id = `i-${last!.id.toString(16).padStart(8, '0')}`;
      expect(await watch.whole(id)).to.equal('error');
      expect((await watch.ec2.instance(id)).reason).to.match(/No host took the instance/);
      await watch.terminate(id);
      await cloud.daemon('nova-scheduler').stop();
      await cloud.start('nova-scheduler');
    });
  });

  describe('the same message twice', () => {
    const claimed: Write = { table: 'instances', event: 'UPDATE', when: `NEW.task_state = 'networking'` };
    const boots = (id: string): number =>
      (JSON.parse(readFileSync(watch.machineFile(id), 'utf8')) as { boots: unknown[] }).boots.length;
    const builtOnce = async (id: string): Promise<void> => {
      await cloud.daemon('nova-compute').until(new RegExp(`instance-${id.slice(2)}: run_instance is nothing to do`));
      expect(await watch.whole(id)).to.equal('active');
      expect(boots(id)).to.equal(1);
      await watch.terminate(id);
    };

    it('builds one machine when the connection breaks before the message is acknowledged', async () => {
      const point = await watch.breakpoint(claimed);
      const id = await watch.ec2.runInstance();
      await point.hit();
      await cloud.broker.ctl('close_all_connections', '--vhost', cloud.vhost, 'a test');
      await cloud.daemon('nova-compute').until(/Lost the connection to the AMQP server[^]*Connected to AMQP server/);
      await cloud.daemon('nova-compute').until(/received run_instance, again/);
      await point.letGo();
      await builtOnce(id);
      await watch.works();
    });

    it('builds one machine when the sender sends it twice', async () => {
      const recording = await cloud.broker.recordMessages(cloud.vhost);
      const id = await watch.ec2.runInstance();
      const message = await recording.waitFor(
        (one) => one.routing_key === 'compute.cloud1' && one.body_raw.includes('"run_instance"'),
      );
      await recording.stop();
      const connection = await cloud.broker.connect(cloud.vhost);
      const channel = await connection.createConfirmChannel();
      const options = { contentType: 'application/json', contentEncoding: 'utf-8' };
      channel.publish('nova', message.routing_key, Buffer.from(message.body_raw), options);
      await channel.waitForConfirms();
      await connection.close();
      await builtOnce(id);
    });
  });
});
