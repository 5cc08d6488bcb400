import { expect } from 'chai';
import { Cloud } from '../../../common/cloud/cloud.js';
import type { DaemonParts, RunningDaemon } from '../../../common/daemon.js';
import { openDatabase } from '../../../common/db/database.js';
import { listServices } from '../../../common/db/services.js';
import { syncDatabase } from '../../../common/db/sync.js';
import type { ImageService } from '../../../common/images/imageService.js';
import { createRpc } from '../../../common/rpc/client.js';
import { InProcessBus } from '../../../common/rpc/inProcess.js';
import { startScheduler } from '../../../nova-scheduler/start.js';
import { startVolume } from '../../../nova-volume/start.js';
import { testRuntime } from '../../support/runtime.js';
import { caller } from '../../support/volumeWorld.js';

describe('nova-scheduler and nova-volume on one bus', () => {
  it('make and delete a volume, and go when told to', async () => {
    const bus = new InProcessBus();
    const { runtime, statePath } = testRuntime({ sql_connection: 'sqlite://' });
    const db = openDatabase(runtime);
    await syncDatabase(db);
    const parts = async (binary: string, host: string): Promise<DaemonParts> => {
      const own = testRuntime(
        { state_path: statePath, host, volume_driver: 'nova.volume.driver.FakeISCSIDriver' },
        { binary },
      );
      const transport = bus.transport(own.runtime);
      await transport.connect();
      return {
        runtime: own.runtime,
        db,
        transport,
        rpc: createRpc(own.runtime, transport),
        images: {} as ImageService,
      };
    };
    const daemons: RunningDaemon[] = [
      await startScheduler(await parts('nova-scheduler', 'cloud1')),
      await startVolume(await parts('nova-volume', 'cloud1')),
      await startVolume(await parts('nova-volume', 'cloud2')),
    ];
    const cloud = new Cloud(await parts('nova-api', 'cloud1'));
    const user = caller(runtime);
    const until = async (done: () => Promise<boolean>): Promise<void> => {
      while (!(await done())) await runtime.sleep(5);
    };
    const services = await listServices(db);
    expect(services.map(({ host, binary, topic, report_count: count }) => [host, binary, topic, count])).to.deep.equal([
      ['cloud1', 'nova-scheduler', 'scheduler', 1],
      ['cloud1', 'nova-volume', 'volume', 1],
      ['cloud2', 'nova-volume', 'volume', 1],
    ]);
    const { id } = await cloud.volumes.create(user, { size: 1 });
    await until(async () => (await cloud.volumes.get(user, id)).volume.status === 'available');
    expect((await cloud.volumes.get(user, id)).volume.host).to.be.oneOf(['cloud1', 'cloud2']);
    await cloud.volumes.delete(user, id);
    await until(async () => (await cloud.volumes.list(user)).length === 0);
    for (const daemon of daemons) await daemon.stop();
  }).timeout(20_000);
});
