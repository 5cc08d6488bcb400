import { readFileSync } from 'node:fs';
import { expect } from 'chai';
import type { Context } from '../../../common/context.js';
import { allocateTarget } from '../../../common/db/iscsiTargets.js';
import { projectRoot } from '../../../common/projectRoot.js';
import { caller, VolumeWorld, type Sent, type TestDaemon, type Write } from '../../support/volumeWorld.js';

interface RecordedMessage {
  exchange: string;
  routing_key: string;
  body: { method: string; args: Record<string, unknown>; _msg_id?: string };
}
interface RecordedWrite {
  op: string;
  table: string;
  id: number;
  set: Record<string, unknown>;
}

function recording<T>(path: string): T {
  return JSON.parse(readFileSync(`${projectRoot()}/test/recordings/${path}.json`, 'utf8')) as T;
}

/** The messages of a recorded flow which our daemons shall send as well. */
function recordedMessages(flow: string): unknown[] {
  return recording<RecordedMessage[]>(`amqp/flows/${flow}`)
    .filter((message) => message.exchange === 'nova' && message.routing_key.match(/^(scheduler|volume|compute)/))
    .map(({ routing_key: key, body }) => [key, body.method, body.args]);
}
function sentMessages(sent: readonly Sent[]): unknown[] {
  return sent.map(({ routingKey, method, args }) => [routingKey, method, args]);
}

/** Times are different in each run; booleans are 0 and 1 in SQLite; the pool's inserts are compared elsewhere. */
function comparable(writes: readonly (RecordedWrite | Write)[]): unknown[] {
  const value = (name: string, raw: unknown): unknown =>
    name.endsWith('_at') && raw !== null ? 'a time' : typeof raw === 'boolean' ? Number(raw) : raw;
  return writes
    .filter((write) => !(write.table === 'iscsi_targets' && write.op === 'insert'))
    .map(({ op, table, id, set }) => ({
      op,
      table,
      id,
      set: Object.fromEntries(Object.entries(set).map(([name, raw]) => [name, value(name, raw)])),
    }));
}

describe('volumes, as recorded', () => {
  let world: VolumeWorld;
  let daemons: Record<string, TestDaemon>;
  const user = (): Context => caller(world.runtime, { userId: 'akey', projectId: 'proj', isAdmin: true });

  async function expectFlow(flow: string, act: () => Promise<unknown>): Promise<void> {
    world.sent.length = 0;
    await world.writes();
    await act();
    await world.deliver(daemons);
    expect(sentMessages(world.sent)).to.deep.equal(recordedMessages(flow));
    expect(comparable(await world.writes())).to.deep.equal(comparable(recording<RecordedWrite[]>(`db/writes/${flow}`)));
  }

  async function start(flags: Record<string, unknown> = {}): Promise<void> {
    world = await VolumeWorld.create();
    await world.service('cloud1', 'volume');
    daemons = { scheduler: await world.scheduler(flags), 'volume.cloud1': await world.volumeDaemon() };
  }

  it('are created, snapshotted, made of a snapshot and deleted with the same messages and rows', async () => {
    await start();
    await expectFlow('volume_create', () => world.cloud.volumes.create(user(), { size: 1 }));
    const pool = await world.db.all<{ target_num: number; host: string }>(
      'SELECT target_num, host FROM iscsi_targets ORDER BY id',
    );
    expect(pool).to.deep.equal(Array.from({ length: 100 }, (_, index) => ({ target_num: index + 1, host: 'cloud1' })));
    await expectFlow('snapshot_create', () => world.cloud.volumes.createSnapshot(user(), 1, {}));
    await expectFlow('volume_from_snapshot', () => world.cloud.volumes.create(user(), { snapshotId: 1 }));
    await expectFlow('snapshot_delete', () => world.cloud.volumes.deleteSnapshot(user(), 1));
    await expectFlow('volume_delete', () => world.cloud.volumes.delete(user(), 2));
    expect(Object.keys(world.files())).to.deep.equal(['volume-00000001.volume.json']);
  });

  it('get their host from the simple scheduler before the message goes out', async () => {
    await start({ scheduler_driver: 'nova.scheduler.simple.SimpleScheduler' });
    for (let id = 1; id <= 3; id += 1) {
      await world.volume({ project_id: 'other' });
      await allocateTarget(world.db, id, 'cloud1', 100);
    }
    await expectFlow('simple_scheduler_volume', () => world.cloud.volumes.create(user(), { size: 1 }));
  });

  it('are attached and detached by the messages of the recordings', async () => {
    await start();
    await world.volume();
    await world.instance({ vm_state: 'active', task_state: null, host: 'cloud1', project_id: 'proj' });
    await world.cloud.volumes.attach(user(), 1, 1, 'vdb');
    expect(sentMessages(world.sent)).to.deep.equal(recordedMessages('volume_attach'));
    await world.db.update('volumes', { status: 'in-use', attach_status: 'attached', instance_id: 1 }, 'id = 1');
    world.sent.length = 0;
    await world.cloud.volumes.detach(user(), 1);
    expect(sentMessages(world.sent)).to.deep.equal(recordedMessages('volume_detach'));
  });
});
